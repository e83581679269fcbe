package clientlib

import (
	"context"
	"fmt"
	"math"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// passOver moves a closed client's place in its conversations' logs to where other stands, as
// if a relay had withheld everything up to there.
func (u *user) passOver(other *user, ids ...ConversationID) {
	u.t.Helper()
	at := map[groupID]relay.Position{}
	other.must(other.eng.call(other.ctx(), func() error {
		for _, id := range ids {
			g := other.eng.primary(id)
			at[g.id] = g.cursor
		}
		return nil
	}))
	db := need[*state.DB](u.t)(state.Open(u.cfg.Path, u.cfg.Key))
	u.must(db.Update(u.ctx(), func(tx *state.Tx) error {
		for id, p := range at {
			if err := tx.Put(bucketCursor, id[:], need[[]byte](u.t)(wire.Marshal(&p))); err != nil {
				return err
			}
		}
		return nil
	}))
	u.must(db.Close())
}

// gapTo has the relay say that the entries before a conversation's place are not to be had;
// silent hides that a commit is among them.
func (u *user) gapTo(id ConversationID, silent bool) {
	u.t.Helper()
	u.until("the conversation's log", func() (attached bool) {
		u.must(u.eng.call(u.ctx(), func() error {
			g := u.eng.primary(id)
			if g == nil || g.stream == nil {
				return nil
			}
			if attached = true; silent {
				g.stream.LastCommit = g.rec.LastCommit
			}
			u.eng.streamEvent(g, g.stream, relayclient.Gap{From: 1, To: g.cursor.Seq, Reason: relay.GapQuota, Position: g.cursor})
			return nil
		}))
		return attached
	})
}

// TestA15_CommitWithheld: a relay withholds a commit from one member, openly or in silence.
// That member can read nothing from there on, and is told so, whatever happens first; it asks
// to be replaced, and then goes on.
func TestA15_CommitWithheld(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	peer := need[keyserver.AccountID](t)(alice.Find(alice.ctx(), "bob"))
	var ids []ConversationID
	for i := range 3 {
		ids = append(ids, need[ConversationID](t)(alice.CreateGroup(alice.ctx(), fmt.Sprint(i), peer)))
		bob.awaitKind(EventJoined, i+1)
	}
	alice.quiet()
	bob.quiet()
	bob.close()
	for _, id := range ids {
		alice.must(alice.RenewKeys(alice.ctx(), id))
	}
	alice.quiet()
	bob.passOver(alice, ids...)
	bob.open()

	bob.gapTo(ids[0], false) // the relay names the last commit, which is among them
	bob.gapTo(ids[1], true)
	alice.must(alice.RenewKeys(alice.ctx(), ids[1])) // the next commit is for an epoch that bob never saw
	bob.say(ids[2], "anybody there?")                // and so is the writer key
	for _, id := range ids {
		bob.await("cannot follow", func(events []Event) bool {
			return slices.ContainsFunc(events, func(ev Event) bool { return ev.Kind == EventCannotFollow && ev.Conversation == id })
		})
		bob.say(id, fmt.Sprint("hello? ", id)) // waits until he is understood
	}
	for _, id := range ids {
		alice.awaitText(fmt.Sprint("hello? ", id))
		alice.say(id, fmt.Sprint("hello ", id))
		bob.awaitText(fmt.Sprint("hello ", id))
	}
	alice.awaitText("anybody there?")
}

// TestAcceptedAndWithheld: a relay says that it has a message on disk, and then shows another
// entry in its place. The sender is told, with evidence, and sends it again.
func TestAcceptedAndWithheld(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	bob.quiet()
	m := content.Text("one")
	body := need[[]byte](t)(m.Encode())
	var message MessageID
	var place relay.Position
	alice.must(alice.eng.call(alice.ctx(), func() (err error) {
		e, g := alice.eng, alice.eng.primary(id)
		if message, err = m.ID(senderURI(e.id.Account), e.roomOf(id)); err != nil {
			return err
		}
		err = e.update(func(tx *state.Tx) error {
			if _, err := e.remember(tx, g, id, message, body, m.PlainText()); err != nil {
				return err
			}
			return e.queueRow(tx, outRow{Conversation: id, Kind: payloadContent, ID: message, Body: body, State: rowQueued})
		})
		if err != nil {
			return err
		}
		r := e.rows[len(e.rows)-1]
		if err := e.sealRows(g, []*row{r}); err != nil {
			return err
		}
		place = relay.Position{Incarnation: g.cursor.Incarnation, Seq: g.cursor.Seq + 1, Chain: relay.Hash{1}}
		e.appended(g, r, place, nil) // ACCEPTED, and nothing behind it
		return nil
	}))
	alice.awaitKind(EventSent, 1)
	bob.say(id, "two") // takes the place
	alice.awaitText("two")
	alice.awaitKind(EventRollback, 1)
	bob.awaitText("one")
	alice.quiet()
	alice.mu.Lock()
	defer alice.mu.Unlock()
	for _, ev := range alice.events {
		if ev.Kind == EventRollback && (ev.Message != message || need[*Evidence](t)(ev.Proof()).Known != place) {
			t.Errorf("the event is about message %x, with evidence %x", ev.Message, ev.Evidence)
		}
	}
	if n := alice.count(alice.events, EventRollback); n != 1 {
		t.Errorf("%d events of one broken promise", n)
	}
}

// TestSeqsOfALyingRelay: a relay numbers its log as far up as a client can store.
func TestSeqsOfALyingRelay(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	bob.quiet()
	d := bob.defect(id)
	var room string
	bob.must(bob.eng.call(bob.ctx(), func() error { room = bob.eng.roomOf(id); return nil }))
	for _, seq := range []uint64{1 << 32, 1 << 62, math.MaxInt64 - 1} {
		m := content.Text(fmt.Sprint("at ", seq))
		message := need[MessageID](t)(m.ID(senderURI(bob.id), room))
		plain := need[[]byte](t)(wire.Marshal(&payload{Kind: payloadContent, ID: message, Body: need[[]byte](t)(m.Encode())}))
		envelope := need[[]byte](t)(d.keys.seal(relay.KindMessage, need[[]byte](t)(d.mls.Encrypt(plain, nil))))
		alice.must(alice.eng.call(alice.ctx(), func() error {
			g := alice.eng.primary(id)
			at := relay.Position{Incarnation: g.cursor.Incarnation, Seq: seq, Chain: relay.Hash{1}}
			alice.eng.deliver(g, g.stream, []relayclient.Entry{{Position: at, Kind: relay.KindMessage, Envelope: envelope}})
			return nil
		}))
		alice.awaitText(fmt.Sprint("at ", seq))
	}
	alice.reopen()
	if got := alice.texts(id); len(got) != 3 {
		t.Errorf("the history has %q", got)
	}
}

// gate is a network that can stop taking bytes, as behind a relay that does not read.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // closed while bytes pass
}

func newGate() *gate {
	g := &gate{open: make(chan struct{})}
	close(g.open)
	return g
}

func (g *gate) shut() (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
	return sync.OnceFunc(func() { close(g.open) })
}

func (g *gate) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	over := make(chan struct{})
	return &gateConn{Conn: conn, g: g, over: over, end: sync.OnceFunc(func() { close(over) })}, nil
}

type gateConn struct {
	net.Conn
	g    *gate
	over chan struct{}
	end  func()
}

func (c *gateConn) Write(p []byte) (int, error) {
	c.g.mu.Lock()
	open := c.g.open
	c.g.mu.Unlock()
	select {
	case <-open:
		return c.Conn.Write(p)
	case <-c.over:
		return 0, net.ErrClosed
	}
}

func (c *gateConn) Close() error {
	c.end()
	return c.Conn.Close()
}

// TestR09_RelayThatStopsReading: a relay stops reading while much is to be sent. The client
// goes on answering, and keeps what it is told; when the relay reads again, all arrives.
func TestR09_RelayThatStopsReading(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	network := newGate()
	alice, bob := s.register("alice"), s.register("bob")
	alice.close()
	alice.cfg.DialContext = network.dial
	alice.open()
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	release := network.shut()
	defer release() // or closing would wait
	// relayclient takes about 9 MiB before it makes its caller wait. More than half of that is
	// taken by requests that cost the store nothing.
	const others, count, size = 10, 10, 500 << 10
	var conn *relayclient.Conn
	alice.must(alice.eng.call(alice.ctx(), func() error { conn = alice.eng.links[s.relay.String()].conn; return nil }))
	for range others {
		conn.Append(relay.QueueID{}, newIdempotencyID(), newSecret().signer(), make([]byte, maxEnvelope))
	}
	kept := make(chan error, 1)
	want := map[MessageID]bool{}
	go func() {
		for range count {
			m := content.Text("")
			m.Body.Content = content.Single{ContentType: "application/octet-stream", Data: make([]byte, size)}
			message, err := alice.Send(alice.ctx(), id, m)
			if err != nil {
				kept <- err
				return
			}
			want[message] = true
		}
		all, err := alice.Conversations(alice.ctx())
		if err == nil && len(all) != 1 {
			err = fmt.Errorf("%d conversations", len(all))
		}
		kept <- err
	}()
	select {
	case err := <-kept:
		alice.must(err)
	case <-alice.ctx().Done():
		t.Fatal("the client waits for a relay that does not read")
	}
	if messages, _, err := alice.Pending(alice.ctx()); err != nil || messages != count {
		t.Errorf("%d of %d messages wait: %v", messages, count, err)
	}
	release()
	bob.awaitKind(EventMessage, count)
	bob.mu.Lock()
	defer bob.mu.Unlock()
	for _, ev := range bob.events {
		delete(want, ev.Message)
	}
	if len(want) != 0 {
		t.Errorf("%d of %d messages did not arrive", len(want), count)
	}
}
