package relayserver

import (
	"crypto/ed25519"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// TestR01_SignedByAnother: every command that names the right key and is signed by another is
// BAD_PROOF, wherever the queue is, and changes nothing.
func TestR01_SignedByAnother(t *testing.T) {
	h := listen(t, open(t, t.TempDir(), nil))
	q, nowhere := queueID(1), queueID(2)
	owner := dial(t, h)
	owner.must(create(q))
	owner.must(&relay.Commit{ID: newID(), Queue: q, Reader: public(bob), NextWriter: public(group), Tickets: []relay.PublicKey{public(ticket)}, Envelope: envelope(512, 1)})
	forger := func(_ relay.PublicKey, message []byte) (relay.Signature, error) {
		return relay.Signature(ed25519.Sign(private(stranger), message)), nil
	}
	for _, where := range []relay.QueueID{q, nowhere} {
		c := dial(t, h)
		changed := &relay.Commit{ID: newID(), Queue: where, Reader: public(alice), NextWriter: public(stranger), Envelope: envelope(512, 2)}
		changed.Admins = &relay.AdminChange{Admins: []relay.PublicKey{public(stranger)}, Key: public(admin)}
		leave := &relay.Leave{ID: newID(), Queue: where, Reader: public(alice)}
		for _, r := range []relay.Request{
			proveRead(where, alice), proveWrite(where, group), create(where),
			&relay.Configure{ID: newID(), Queue: where, Key: public(admin), Changes: []relay.Change{relay.RemoveReader{Key: public(bob)}}},
			&relay.Configure{ID: newID(), Queue: where, Key: public(alice), Changes: []relay.Change{relay.SetWakeHandle{Handle: []byte("mine")}}},
			&relay.Commit{ID: newID(), Queue: where, Reader: public(alice), NextWriter: public(stranger), Envelope: envelope(512, 2)},
			changed, leave,
			&relay.Rekey{ID: newID(), Queue: where, Ticket: public(ticket), Reader: public(stranger)},
			&relay.Knock{ID: newID(), Queue: where, Reader: public(alice), Envelope: envelope(512, 2)},
			&relay.Delete{ID: newID(), Queue: where, Key: public(admin)},
		} {
			c.request++
			r.SetRequest(c.request)
			err := r.(interface {
				Sign(relay.Binding, relay.Signer) error
			}).Sign(c.s.Binding(), forger)
			if err != nil {
				t.Fatal(err)
			}
			c.write(r)
			if a, ok := c.answer(c.request).(*relay.Refused); !ok || a.Refusal.Code != relay.CodeBadProof || a.Refusal.Position != nil {
				t.Errorf("%T: %+v", r, a)
			}
		}
		// A change of admins that another signed, on a COMMIT that is the reader's own.
		c.request++
		changed.SetRequest(c.request)
		if err := changed.Sign(c.s.Binding(), func(key relay.PublicKey, message []byte) (relay.Signature, error) {
			if key == public(alice) {
				return signer()(key, message)
			}
			return forger(key, message)
		}); err != nil {
			t.Fatal(err)
		}
		c.write(changed)
		if a, ok := c.answer(c.request).(*relay.Refused); !ok || a.Refusal.Code != relay.CodeBadProof {
			t.Errorf("a change of admins that another signed: %+v", a)
		}
		// And one of the two signatures of a REKEY: a ticket is of no use to who has seen it.
		rekey := &relay.Rekey{ID: newID(), Queue: where, Ticket: public(ticket), Reader: public(20)}
		c.request++
		rekey.SetRequest(c.request)
		if err := rekey.Sign(c.s.Binding(), func(key relay.PublicKey, message []byte) (relay.Signature, error) {
			if key == public(20) {
				return signer()(key, message)
			}
			return forger(key, message)
		}); err != nil {
			t.Fatal(err)
		}
		c.write(rekey)
		if a, ok := c.answer(c.request).(*relay.Refused); !ok || a.Refusal.Code != relay.CodeBadProof {
			t.Errorf("a REKEY without the ticket's signature: %+v", a)
		}
	}
	if a := owner.attach(q, alice, nil, 1<<20); a.Head.Seq != 1 {
		t.Errorf("the forger left %d entries", a.Head.Seq-1)
	}
	owner.must(&relay.Rekey{ID: newID(), Queue: q, Ticket: public(ticket), Reader: public(21)}) // is still there
	owner.must(&relay.Configure{ID: newID(), Queue: q, Key: public(admin), Changes: []relay.Change{relay.SetRetention{Days: 1}}})
}

// TestR01_AttachmentsOfAnotherSession: ACK, DETACH and SIGNAL name an attachment of their own
// session, and those of others cannot be named.
func TestR01_AttachmentsOfAnotherSession(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	h := listen(t, s)
	q := queueID(3)
	owner, victim, thief := dial(t, h), dial(t, h), dial(t, h)
	founding := create(q)
	founding.Readers = founding.Readers[:1]
	owner.must(founding)
	owner.must(proveWrite(q, group))
	a := victim.attach(q, alice, nil, 1<<20)
	for i := range byte(3) {
		owner.must(appendTo(q, group, envelope(512, i)))
	}
	l := newLog(victim, q)
	victim.readUntil(l, 3)
	for number := range a.Attachment + 4 {
		thief.write(&relay.Ack{Attachment: number, Seq: 3}, &relay.Signal{Attachment: number}, &relay.Detach{Attachment: number})
	}
	thief.sync()
	owner.must(appendTo(q, group, envelope(512, 3)))
	victim.readUntil(l, 4)
	victim.sync()
	if len(victim.events) > 0 {
		t.Errorf("a stranger caused %T", victim.events[0])
	}
	if err := s.Shutdown(t.Context()); err != nil { // writes what was acknowledged
		t.Fatal(err)
	}
	again := dial(t, listen(t, open(t, dir, nil)))
	again.attach(q, alice, nil, 1<<20)
	again.readUntil(newLog(again, q), 4) // nothing was, so nothing is gone
}
