package clientlib

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// proofs returns the evidence of a user's events of a kind.
func (u *user) proofs(kind EventKind) (out []*Evidence) {
	u.t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, ev := range u.events {
		if ev.Kind == kind {
			out = append(out, need[*Evidence](u.t)(ev.Proof()))
		}
	}
	return out
}

// place is how far a user has read a conversation's log.
func (u *user) place(id ConversationID) (queue relay.QueueID, at relay.Position) {
	u.t.Helper()
	u.must(u.eng.call(u.ctx(), func() error {
		g := u.eng.primary(id)
		queue, at = g.rec.Queue, g.cursor
		return nil
	}))
	return queue, at
}

// twin is the same relay with a copy of its store, to be shown to some of its users.
func (s *servers) twin(copied string) *servers {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	twin := &servers{t: s.t, dir: s.t.TempDir(), key: s.key, cert: s.cert, addr: l.Addr().String(), relay: s.relay, keys: s.keys}
	l.Close()
	if err := os.CopyFS(filepath.Join(twin.dir, "relay"), os.DirFS(copied)); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(twin.stop)
	twin.start()
	return twin
}

// through has a user reach other servers under the same address.
func (u *user) through(s *servers) {
	u.close()
	u.cfg.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.addr)
	}
	u.open()
}

// TestA01_TwoLogs: a relay shows two members two logs, and then one of them the other's. It finds
// that out, with both positions as evidence, and reads no further.
func TestA01_TwoLogs(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	bob.quiet()
	reach(id, "before", alice, bob)
	alice.quiet()
	bob.quiet()
	twin := s.twin(s.backup())
	bob.through(twin)
	alice.say(id, "one")
	alice.quiet()
	bob.say(id, "another")
	bob.quiet()
	bob.until("its own message", func() bool {
		_, at := bob.place(id)
		_, other := alice.place(id)
		return at.Seq >= other.Seq
	})
	queue, known := bob.place(id)
	bob.through(s)
	bob.awaitKind(EventRollback, 1)
	_, shown := alice.place(id)
	proofs := bob.proofs(EventRollback)
	if p := proofs[0]; len(proofs) != 1 || p.Queue != queue || p.Known != known || p.Shown != shown || p.Relay != s.relay.String() {
		t.Errorf("evidence %+v, want %v and %v", proofs, known, shown)
	}
	for _, text := range bob.texts(id) {
		if text == "one" {
			t.Error("what contradicts the log was read all the same")
		}
	}
}

// TestA01_MessageAcrossTwoLogs: a relay that shows two logs lets a message across: it says in its
// signed part what its sender had seen, and is the evidence.
func TestA01_MessageAcrossTwoLogs(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	bob.quiet()
	bob.say(id, "before")
	alice.awaitText("before")
	bob.quiet()
	_, known := alice.place(id)
	bob.until("its own message", func() bool { _, at := bob.place(id); return at == known })
	shown := known
	shown.Chain[0] ^= 1
	bob.must(bob.eng.call(bob.ctx(), func() error { bob.eng.primary(id).cursor = shown; return nil }))
	bob.say(id, "across")
	alice.awaitText("across")
	alice.awaitKind(EventForkSuspected, 1)
	p := alice.proofs(EventForkSuspected)[0]
	if p.Known != known || p.Shown != shown || p.At.Seq != known.Seq+1 {
		t.Errorf("evidence of %v and %v at %v", p.Known, p.Shown, p.At)
	}
	alice.must(alice.eng.call(alice.ctx(), func() error {
		_, err := alice.eng.primary(id).keys.open(relay.KindMessage, p.Envelope)
		return err // the message is in it
	}))
}

// TestA13_RelayGoesBackInSilence: a relay is put back to an old copy and does not say so. Whoever
// had read on holds evidence, which lasts until the app has confirmed it.
func TestA13_RelayGoesBackInSilence(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	bob.quiet()
	copied := s.backup()
	reach(id, "after the copy", alice, bob)
	alice.quiet()
	bob.quiet()
	_, known := alice.place(id)
	s.stop()
	at := filepath.Join(s.dir, "relay")
	if err := os.RemoveAll(at); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(at, os.DirFS(copied)); err != nil {
		t.Fatal(err)
	}
	s.start()
	alice.awaitKind(EventRollback, 1)
	var found *Evidence
	for _, p := range alice.proofs(EventRollback) {
		if p.Known == known {
			found = p
		}
	}
	if found == nil || found.Shown.Incarnation != known.Incarnation || found.Shown.Seq >= known.Seq {
		t.Errorf("no evidence of the group's log: %+v", alice.proofs(EventRollback))
	}
}
