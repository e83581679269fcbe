package clientlib

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// flooder posts what opens for nobody with a member's keys.
type flooder struct {
	u      *user
	conn   *relayclient.Conn
	queue  relay.QueueID
	writer secret
	group  *group
}

func (u *user) flooder(id ConversationID) *flooder {
	u.t.Helper()
	f := &flooder{u: u, conn: u.insider()}
	u.must(u.eng.call(u.ctx(), func() error {
		f.group = u.eng.primary(id)
		f.queue, f.writer = f.group.rec.Queue, f.group.keys.writer
		return nil
	}))
	return f
}

// post posts n of them and returns the last answer.
func (f *flooder) post(n int, named bool) error {
	f.u.t.Helper()
	reader := f.u.eng.id.Secret.readerKey(f.queue, f.u.eng.reader(f.group))
	var calls []*relayclient.Call
	for range n {
		envelope := make([]byte, minEnvelope)
		rand.Read(envelope)
		if named {
			calls = append(calls, f.conn.AppendNamed(f.queue, newIdempotencyID(), f.writer.signer(), reader, envelope))
		} else {
			calls = append(calls, f.conn.Append(f.queue, newIdempotencyID(), f.writer.signer(), envelope))
		}
	}
	var err error
	for _, call := range calls {
		_, err = call.Wait(f.u.ctx())
	}
	return err
}

// TestQ10_FloodIsNamed: a member floods the queue with what opens for nobody. An admin's client has
// senders named, and then everybody knows who it is; messages go on, and the member can be removed.
// A day after the last of it senders are named no more.
func TestQ10_FloodIsNamed(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	for _, u := range []*user{alice, bob, carol} {
		u.quiet()
	}
	reach(id, "before", alice, bob, carol)
	f := carol.flooder(id)
	if err := f.post(floodAll-1, false); err != nil {
		t.Fatal(err)
	}
	bob.say(id, "not a flood yet")
	alice.awaitText("not a flood yet")
	if err := f.post(1, false); err != nil {
		t.Fatal(err)
	}
	alice.awaitKind(EventFlooded, 1)
	alice.until("named writing", func() bool { return errors.Is(f.post(1, false), relay.ErrForbidden) })
	bob.say(id, "with a name")
	alice.awaitText("with a name")
	if err := f.post(floodOne, true); err != nil {
		t.Fatal(err)
	}
	alice.awaitKind(EventFlooded, 2)
	bob.awaitKind(EventFlooded, 1)
	for _, u := range []*user{alice, bob} {
		u.mu.Lock()
		for _, ev := range u.events {
			if ev.Kind == EventFlooded && ev.Account != carol.id && (u == bob || ev.Device != [32]byte{}) {
				t.Errorf("%s hears that it is %v", u.name, ev.Account)
			}
		}
		u.mu.Unlock()
	}
	alice.must(alice.RemoveMember(alice.ctx(), id, carol.id))
	carol.awaitKind(EventRemoved, 1)
	reach(id, "without her", alice, bob)

	alice.must(alice.eng.call(alice.ctx(), func() error {
		g := alice.eng.primary(id)
		alice.eng.stopNaming(g)
		if g.rec.Named == 0 {
			return errors.New("named writing ended at once")
		}
		g.rec.Named -= int64(namedFor / time.Second)
		alice.eng.stopNaming(g)
		return nil
	}))
	bob.reopen()
	end := bob.flooder(id)
	bob.until("the end of named writing", func() bool { return end.post(1, false) == nil })
	reach(id, "at last", alice, bob)
}

// TestQ10_ReaderOfNobody: what floods under the reader of somebody who is no member loses it.
func TestQ10_ReaderOfNobody(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	bob.quiet()
	reach(id, "before", alice, bob)
	other := newSecret().signer()
	conn := alice.insider()
	var queue relay.QueueID
	alice.must(alice.eng.call(alice.ctx(), func() error { queue = alice.eng.primary(id).rec.Queue; return nil }))
	admin := alice.eng.id.Secret.adminKey(queue)
	_, err := conn.Configure(queue, newIdempotencyID(), admin, relay.AddReader{Key: publicKey(other)}, relay.SetNamedWriting{On: true}).Wait(alice.ctx())
	if err != nil {
		t.Fatal(err)
	}
	f := bob.flooder(id)
	post := func() error {
		envelope := make([]byte, minEnvelope)
		rand.Read(envelope)
		_, err := f.conn.AppendNamed(queue, newIdempotencyID(), f.writer.signer(), other, envelope).Wait(bob.ctx())
		return err
	}
	for range floodOne {
		if err := post(); err != nil {
			t.Fatal(err)
		}
	}
	alice.awaitKind(EventFlooded, 1)
	alice.until("the end of that reader", func() bool { return post() != nil })
	reach(id, "after", alice, bob)
}
