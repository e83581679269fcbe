package clientlib

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// insider is a raw session that acts with a member's keys.
func (u *user) insider() *relayclient.Conn {
	u.t.Helper()
	conn, err := relayclient.Dial(u.ctx(), u.cfg.Relay, relayclient.Options{})
	u.must(err)
	u.t.Cleanup(func() { conn.Close() })
	return conn
}

// dud is a COMMIT that opens for nobody and names a writer key that nobody has.
func (u *user) dud(id ConversationID, next relay.PublicKey) relayclient.CommitParams {
	u.t.Helper()
	p := relayclient.CommitParams{ID: newIdempotencyID(), NextWriter: next, Envelope: make([]byte, minEnvelope)}
	rand.Read(p.Envelope)
	u.must(u.eng.call(u.ctx(), func() error {
		g := u.eng.primary(id)
		p.Queue, p.Expect = g.rec.Queue, g.rec.LastCommit
		p.Reader = u.eng.id.Secret.readerKey(g.rec.Queue, u.eng.reader(g))
		return nil
	}))
	return p
}

// TestQ01_WrongNextWriterKey: an insider commits garbage that names a wrong writer key. It
// costs one slot: the next sender sets it right by itself, and no message is lost.
func TestQ01_WrongNextWriterKey(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	for _, u := range []*user{alice, bob, carol} {
		u.quiet()
	}
	before, _ := alice.epoch(id)
	conn := carol.insider()
	if _, err := conn.Commit(carol.dud(id, publicKey(newSecret().signer()))).Wait(carol.ctx()); err != nil {
		t.Fatal(err)
	}
	alice.say(id, "after the dud")
	bob.say(id, "me too")
	bob.awaitText("after the dud")
	carol.awaitText("after the dud", "me too")
	alice.awaitText("me too")
	if after, _ := alice.epoch(id); after == before {
		t.Error("messages went out with a writer key that the queue does not have")
	}
	for _, u := range []*user{alice, bob, carol} {
		if got := sorted(u.texts(id)); !slices.Equal(got, []string{"after the dud", "me too"}) {
			t.Errorf("%s has %q", u.name, got)
		}
	}
}

// TestC01_StoreCopiedBack: a store restored from an old copy notices before it sends.
func TestC01_StoreCopiedBack(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	alice.quiet()
	alice.say(id, "one")
	alice.quiet()
	alice.close()
	copied, err := os.ReadFile(alice.cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	alice.open()
	// Bob is away, so the relay keeps what Alice's copy will have to explain.
	bob.close()
	alice.say(id, "two")
	carol.awaitText("two")
	alice.quiet()
	alice.close()
	if err := os.WriteFile(alice.cfg.Path, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	alice.open()
	alice.awaitKind(EventUnsafeStore, 1)
	if _, err := alice.Send(alice.ctx(), id, content.Text("three")); !errors.Is(err, ErrUnsafeStore) {
		t.Errorf("sending from a store that was copied back: %v, want ErrUnsafeStore", err)
	}
	bob.open()
	bob.awaitText("one", "two")
	alice.awaitKind(EventReplaced, 1)
	alice.say(id, "four")
	carol.awaitText("four")
	bob.awaitText("four")
	bob.say(id, "five")
	alice.awaitText("five")
	for _, u := range []*user{bob, carol} {
		if _, skipped := u.logged(id); skipped != 0 {
			t.Errorf("%s could make nothing of %d entries: a key was used twice", u.name, skipped)
		}
	}
}

// TestQ17_InvitationTwice: an invitation that is delivered again joins nobody again.
func TestQ17_InvitationTwice(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	bob.close() // so that the invitation is still Alice's to repeat
	peer, err := alice.Find(alice.ctx(), "bob")
	alice.must(err)
	id, err := alice.StartDirect(alice.ctx(), peer)
	alice.must(err)
	alice.say(id, "hello")
	alice.quiet()
	var copies []inviteRow
	alice.must(alice.eng.call(alice.ctx(), func() error {
		for _, j := range alice.eng.invites {
			copies = append(copies, j.rec)
		}
		return nil
	}))
	if len(copies) != 1 {
		t.Fatalf("%d invitations wait", len(copies))
	}
	conn := alice.insider()
	again := func() {
		c := copies[0]
		if _, err := conn.Append(c.Inbox, newIdempotencyID(), c.Writer.signer(), c.Envelope).Wait(alice.ctx()); err != nil {
			t.Fatal(err)
		}
	}
	again()
	bob.open()
	bob.awaitText("hello")
	again()
	alice.say(id, "still here")
	bob.awaitText("still here")
	bob.say(directID(alice.id), "so am I")
	alice.awaitText("so am I")
	bob.mu.Lock()
	defer bob.mu.Unlock()
	if n := bob.count(bob.events, EventJoined); n != 1 {
		t.Errorf("bob joined %d times", n)
	}
	if n := bob.count(bob.events, EventInvitationRefused); n != 0 {
		t.Errorf("bob was bothered with %d refused invitations", n)
	}
}

// cutter is a network that cuts every connection after some bytes.
type cutter struct {
	mu     sync.Mutex
	random *mathrand.Rand
	cuts   int
	least  int // bytes, both ways
	spread int
}

func (c *cutter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return &cutConn{Conn: conn, c: c, left: c.least + c.random.IntN(c.spread)}, nil
}

type cutConn struct {
	net.Conn
	c    *cutter
	mu   sync.Mutex
	left int
}

func (c *cutConn) count(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left -= n; c.left < 0 && c.left+n >= 0 {
		c.Conn.Close()
		c.c.mu.Lock()
		c.c.cuts++
		c.c.mu.Unlock()
	}
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.count(n)
	return n, err
}

func (c *cutConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.count(n)
	return n, err
}

// couple are two who have a conversation.
func (s *servers) couple() (alice, bob *user, id ConversationID) {
	alice, bob = s.register("alice"), s.register("bob")
	peer, err := alice.Find(alice.ctx(), "bob")
	alice.must(err)
	id, err = alice.StartDirect(alice.ctx(), peer)
	alice.must(err)
	bob.awaitKind(EventJoined, 1)
	return alice, bob, id
}

// TestA07_CutEverywhere: every connection of both members breaks again and again, in the
// middle of whatever it carries. Each message is there once, in order.
func TestA07_CutEverywhere(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	network := &cutter{random: mathrand.New(mathrand.NewPCG(7, 7)), least: 50_000, spread: 30_000}
	alice, bob, id := s.couple()
	for _, u := range []*user{alice, bob} {
		u.close()
		u.cfg.DialContext = network.dial
		u.open()
	}
	var fromAlice, fromBob []string
	for n := range 120 {
		fromAlice = append(fromAlice, fmt.Sprintf("alice %d", n))
		alice.say(id, fromAlice[n])
		fromBob = append(fromBob, fmt.Sprintf("bob %d", n))
		bob.say(directID(alice.id), fromBob[n])
	}
	alice.awaitText(fromBob...)
	bob.awaitText(fromAlice...)
	alice.quiet()
	bob.quiet()
	a, b := alice.texts(id), bob.texts(directID(alice.id))
	if !slices.Equal(a, b) {
		t.Errorf("the two have different histories:\n%q\n%q", a, b)
	}
	if len(a) != len(fromAlice)+len(fromBob) {
		t.Errorf("history has %d messages, want %d", len(a), len(fromAlice)+len(fromBob))
	}
	// One commit, one announcement, and each message once: a lost reply makes no second entry.
	if entries, skipped := alice.logged(id); entries != uint64(len(a))+2 || skipped != 0 {
		t.Errorf("the log has %d entries for %d messages, of which %d were skipped", entries, len(a), skipped)
	}
	if network.cuts < 3 {
		t.Errorf("only %d connections were cut: the test shows nothing", network.cuts)
	}
}

// TestA07_CutBeforeABurstIsThrough: no session lasts for as much as two people have to say to
// each other, not even for one turn of it. They say it in smaller pieces.
func TestA07_CutBeforeABurstIsThrough(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	network := &cutter{random: mathrand.New(mathrand.NewPCG(7, 7)), least: 14_000, spread: 4_000}
	alice, bob, id := s.couple()
	alice.quiet()
	bob.quiet()
	bob.close()
	var texts []string
	for n := range 30 {
		texts = append(texts, fmt.Sprint(n))
		alice.say(id, texts[n])
	}
	alice.quiet() // a backlog for Bob
	alice.close()
	for _, u := range []*user{alice, bob} {
		u.cfg.DialContext = network.dial
		u.open()
	}
	var answers []string
	for n := range 30 {
		answers = append(answers, fmt.Sprint("answer ", n))
		bob.say(directID(alice.id), answers[n])
	}
	bob.awaitText(texts...)
	alice.awaitText(answers...)
	if network.cuts < 3 {
		t.Errorf("only %d connections were cut: the test shows nothing", network.cuts)
	}
}

// TestC22_EventsComeAgainUntilConfirmed: an app that ends before it confirms sees them again.
func TestC22_EventsComeAgainUntilConfirmed(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	bob.close()
	peer, err := alice.Find(alice.ctx(), "bob")
	alice.must(err)
	id, err := alice.StartDirect(alice.ctx(), peer)
	alice.must(err)
	alice.say(id, "hello")
	alice.quiet()
	var first uint64
	for range 2 {
		c, err := Open(bob.cfg)
		bob.must(err)
		for ev, err := range c.Events(bob.ctx()) {
			bob.must(err)
			if ev.Kind == EventMessage {
				if first == 0 {
					first = ev.ID
				}
				if ev.ID != first {
					t.Errorf("the event came again as %d, was %d", ev.ID, first)
				}
				break // the app ends here
			}
		}
		bob.must(c.Close())
	}
	c, err := Open(bob.cfg)
	bob.must(err)
	bob.must(c.Confirm(bob.ctx(), first))
	bob.must(c.Close())
	bob.open()
	alice.say(id, "more")
	bob.awaitText("more")
	bob.mu.Lock()
	defer bob.mu.Unlock()
	for _, ev := range bob.events {
		if ev.ID <= first {
			t.Errorf("event %d came after it was confirmed", ev.ID)
		}
	}
}
