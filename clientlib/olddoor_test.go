package clientlib

import (
	"crypto/rand"
	"slices"
	"testing"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// sealed has a user write something and encrypt it, and ends the program before it is sent.
func (u *user) sealed(id ConversationID, text string) (envelope []byte) {
	u.t.Helper()
	m := content.Text(text)
	body := need[[]byte](u.t)(m.Encode())
	u.must(u.eng.call(u.ctx(), func() error {
		e, g := u.eng, u.eng.primary(id)
		message, err := m.ID(senderURI(e.id.Account), e.roomOf(id))
		if err != nil {
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
		err = e.sealRows(g, []*row{r})
		envelope = r.rec.Envelope
		return err
	}))
	u.close()
	return envelope
}

// TestQ14_OldDoorOpenedAgain: a removed member that is still a reader commits a dud which names the
// writer key of the epoch before, and appends in that epoch. Nobody shows what it says. An honest
// message that came through the same door is sent again, once.
func TestQ14_OldDoorOpenedAgain(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol, dave := s.register("alice"), s.register("bob"), s.register("carol"), s.register("dave")
	var id ConversationID
	group8(&id, alice, bob, carol, dave)
	for _, u := range []*user{alice, bob, carol, dave} {
		u.quiet()
	}
	inOneEpoch(id, alice, bob, carol, dave)
	reach(id, "before", alice, bob, carol, dave)
	// A place in the queue that outlasts her removal, as if no admin were there to end it.
	d, place := carol.defect(id), newSecret().signer()
	conn := alice.insider()
	change := relay.AddReader{Key: publicKey(place)}
	admin := alice.eng.id.Secret.adminKey(d.last.Queue)
	if _, err := conn.Configure(d.last.Queue, newIdempotencyID(), admin, change).Wait(alice.ctx()); err != nil {
		t.Fatal(err)
	}
	old := publicKey(d.keys.writer.signer())
	bobs := bob.sealed(id, "bob, in the old epoch")

	alice.must(alice.RemoveMember(alice.ctx(), id, carol.id))
	carol.awaitKind(EventRemoved, 1)
	alice.quiet()
	inOneEpoch(id, alice, dave)
	dud := alice.dud(id, old)
	dud.Reader = place
	if _, err := d.conn.Commit(dud).Wait(alice.ctx()); err != nil {
		t.Fatal(err)
	}
	m := content.Text("from the grave")
	var room string
	alice.must(alice.eng.call(alice.ctx(), func() error { room = alice.eng.roomOf(id); return nil }))
	said := payload{Kind: payloadContent, ID: need[MessageID](t)(m.ID(senderURI(carol.id), room)), Body: need[[]byte](t)(m.Encode())}
	plain := need[[]byte](t)(wire.Marshal(&said))
	envelope := need[[]byte](t)(d.keys.seal(relay.KindMessage, need[[]byte](t)(d.mls.Encrypt(plain, nil))))
	garbage := make([]byte, minEnvelope)
	rand.Read(garbage)
	for _, b := range [][]byte{envelope, bobs, garbage} { // Bob's arrives late, from a session that broke
		d.append(b)
	}
	bob.open()
	alice.say(id, "alice, after it")
	dave.say(id, "dave, after it")
	want := []string{"alice, after it", "bob, in the old epoch", "dave, after it"}
	for _, u := range []*user{alice, bob, dave} {
		u.until("all of it", func() bool { return len(u.texts(id)) >= 3+len(want) })
		u.quiet()
	}
	for _, u := range []*user{alice, bob, dave} {
		got := slices.DeleteFunc(sorted(u.texts(id)), func(text string) bool { return text[len(text)-6:] == "before" })
		if !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", u.name, got, want)
		}
	}
	if _, skipped := alice.logged(id); skipped != 4 { // the dud and the three behind it
		t.Errorf("alice passed over %d entries", skipped)
	}
}
