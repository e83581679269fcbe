package relayserver

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// strangersRequests is every command, from somebody with a key of their own.
func strangersRequests(q relay.QueueID) map[string]relay.Request {
	k := public(stranger)
	requests := map[string]relay.Request{
		"leave":              &relay.Leave{ID: newID(), Queue: q, Reader: k},
		"append":             appendTo(q, stranger, envelope(512, 9)),
		"append as a reader": &relay.Append{ID: newID(), Queue: q, Writer: k, Reader: &k, Envelope: envelope(512, 9)},
		"commit":             &relay.Commit{ID: newID(), Queue: q, Reader: k, NextWriter: k, Envelope: envelope(512, 9)},
		"commit with admins": &relay.Commit{ID: newID(), Queue: q, Reader: k, NextWriter: k, Envelope: envelope(512, 9),
			Admins: &relay.AdminChange{Admins: []relay.PublicKey{k}, Key: k}},
		"attach": &relay.Attach{Queue: q, Reader: k, Window: 1 << 20},
		"attach at a position": &relay.Attach{Queue: q, Reader: k, Window: 1 << 20,
			Position: &relay.Position{Incarnation: relay.Incarnation{1}, Seq: 1 << 40}},
		"rekey":  &relay.Rekey{ID: newID(), Queue: q, Ticket: k, Reader: public(20)},
		"knock":  &relay.Knock{ID: newID(), Queue: q, Reader: k, Envelope: envelope(512, 9)},
		"vote":   &relay.Knock{ID: newID(), Queue: q, Reader: k, Class: relay.ClassVote, Envelope: envelope(512, 9)},
		"delete": &relay.Delete{ID: newID(), Queue: q, Key: k},
	}
	for _, change := range []relay.Change{
		relay.AddReader{Key: k}, relay.RemoveReader{Key: public(alice)}, relay.AddWriter{Key: k}, relay.RemoveWriter{Key: public(group)},
		relay.SetRequestWriter{Key: &k}, relay.SetAdmins{Keys: []relay.PublicKey{k}}, relay.SetNamedWriting{On: true},
		relay.SetRetention{Days: 1}, relay.SetWakeHandle{Handle: []byte("h")}, relay.SetLimits{MaxEntries: 1},
	} {
		requests[fmt.Sprintf("configure %T", change)] = &relay.Configure{ID: newID(), Queue: q, Key: k, Changes: []relay.Change{change}}
	}
	return requests
}

// TestR01_StrangerHearsTheSameEverywhere: every command from a key without a place is
// answered by the same bytes for a queue that exists and for one that does not, and
// changes nothing.
func TestR01_StrangerHearsTheSameEverywhere(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		here, nowhere := queueID(10), queueID(11)
		owner, c := dial(t, h), dial(t, h)
		owner.must(create(here))
		owner.must(proveWrite(here, group))
		head := owner.must(appendTo(here, group, envelope(512, 1)))
		for _, q := range []relay.QueueID{here, nowhere} {
			c.must(proveRead(q, stranger)) // tells nothing: it is PROVED for both
			c.must(proveWrite(q, stranger))
		}
		absent := strangersRequests(nowhere)
		for name, r := range strangersRequests(here) {
			c.request = 100
			there := c.refused(r, relay.CodeUnknown)
			c.request = 100
			none := c.refused(absent[name], relay.CodeUnknown)
			a, err1 := relay.AppendFrame(nil, there)
			b, err2 := relay.AppendFrame(nil, none)
			if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
				t.Errorf("%s: %x for a queue that exists, %x for none", name, a, b)
			}
		}
		taken := create(here)
		taken.Key, taken.Admins, taken.ID = public(stranger), []relay.PublicKey{public(stranger)}, newID()
		c.refused(taken, relay.CodeUnknown)

		if a := owner.attach(here, alice, nil, 1<<20); a.Head != head || !a.LastCommit.IsZero() {
			t.Errorf("the queue changed: head %+v", a.Head)
		}
		owner.readUntil(newLog(owner, here), 1)
		owner.must(appendTo(here, group, envelope(512, 2)))
	})
}

// TestR01_WithoutProof: who has not proven a key in this session hears BAD_PROOF whatever
// the key and the queue are.
func TestR01_WithoutProof(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		q := queueID(12)
		owner, c := dial(t, h), dial(t, h)
		owner.must(create(q))
		for _, where := range []relay.QueueID{q, queueID(13)} {
			c.refused(appendTo(where, group, envelope(512, 1)), relay.CodeBadProof)
			c.refused(&relay.Attach{Queue: where, Reader: public(alice), Window: 1}, relay.CodeBadProof)
		}
		c.must(proveRead(q, group)) // for reading, which is not for writing
		c.refused(appendTo(q, group, envelope(512, 1)), relay.CodeBadProof)
		c.must(proveWrite(q, alice))
		c.refused(&relay.Attach{Queue: q, Reader: public(alice), Window: 1}, relay.CodeBadProof)
		c.must(proveWrite(q, group))
		named := appendTo(q, group, envelope(512, 1))
		named.Reader = new(public(alice))
		c.refused(named, relay.CodeBadProof)
	})
}

// TestR04_ProofsOfAnotherSession: what was signed for one session is worthless in another.
func TestR04_ProofsOfAnotherSession(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		q := queueID(14)
		victim, thief := dial(t, h), dial(t, h)
		victim.must(create(q))
		stolen := []relay.Request{
			proveRead(q, alice), proveWrite(q, group), create(queueID(15)),
			&relay.Configure{ID: newID(), Queue: q, Key: public(admin), Changes: []relay.Change{relay.SetRetention{Days: 1}}},
			&relay.Commit{ID: newID(), Queue: q, Reader: public(alice), NextWriter: public(stranger), Envelope: envelope(512, 1)},
			&relay.Knock{ID: newID(), Queue: q, Reader: public(alice), Envelope: envelope(512, 1)},
			&relay.Rekey{ID: newID(), Queue: q, Ticket: public(ticket), Reader: public(stranger)},
			&relay.Delete{ID: newID(), Queue: q, Key: public(admin)},
		}
		for _, r := range stolen {
			victim.sign(r)
			thief.write(r)
			a, ok := thief.answer(r.RequestNumber()).(*relay.Refused)
			if !ok || a.Refusal.Code != relay.CodeBadProof {
				t.Errorf("%T of another session is answered %+v", r, a)
			}
		}
		victim.must(proveWrite(q, group))
		if p := victim.must(appendTo(q, group, envelope(512, 1))); p.Seq != 1 {
			t.Errorf("the thief left %d entries", p.Seq-1)
		}
	})
}

// TestBadProofsEndTheSession: guessing costs the guesser its session.
func TestBadProofsEndTheSession(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		c := dial(t, h)
		for range maxBadProofs {
			c.write(&relay.Prove{Purpose: relay.ProveRead})
			if _, ok := c.read().(*relay.Refused); !ok {
				t.Fatal("a proof without a signature is taken")
			}
		}
		c.write(&relay.Prove{Purpose: relay.ProveRead})
		c.ended(relay.CloseProtocol)
	})
}

// TestCheckedContents: what no queue takes is refused and the session goes on.
func TestCheckedContents(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		q := queueID(16)
		c := dial(t, h)
		c.must(create(q))
		c.must(proveWrite(q, group))
		c.refused(appendTo(q, group, envelope(600, 1)), relay.CodeMalformed)
		c.refused(appendTo(q, group, envelope(relay.MaxEnvelope+1, 1)), relay.CodeTooLarge)
		c.refused(&relay.Prove{Purpose: 3, Queue: q, Key: public(alice)}, relay.CodeMalformed)
		c.refused(&relay.Configure{ID: newID(), Queue: q, Key: public(admin), Changes: []relay.Change{relay.UnknownChange{ChangeType: 99}}}, relay.CodeMalformed)
		reused := appendTo(q, group, envelope(512, 1))
		c.must(reused)
		reused.Envelope = envelope(512, 2)
		c.refused(reused, relay.CodeReused)
	})
}

// TestCreateIsLimitedByNetwork: one address prefix makes so many queues and is told when
// it may go on.
func TestCreateIsLimitedByNetwork(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), func(c *Config) { c.Limits.CreateBurst = 3 }))
		c := dial(t, h)
		for i := range byte(3) {
			c.must(create(queueID(100 + i)))
		}
		r := c.refused(create(queueID(110)), relay.CodeLimit)
		if r.Refusal.Limit != relay.LimitCreate || r.Refusal.RetryAfter <= 0 {
			t.Errorf("refused with %+v", r.Refusal)
		}
		dial(t, h).refused(create(queueID(111)), relay.CodeLimit) // another session, the same network
	})
}

func TestSessionLimitsOfProofsAndAttachments(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		s := open(t, t.TempDir(), nil)
		h := listen(t, s)
		c := dial(t, h)
		p := &peer{srv: s, session: c.s, proofs: make(map[proof]struct{})}
		for i := range relay.MaxProofs {
			p.proofs[proof{queue: relay.QueueID(bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 16))}] = struct{}{}
		}
		f := c.sign(proveRead(queueID(1), alice)).(*relay.Prove)
		if r, ok := p.prove(f).(*relay.Refused); !ok || r.Refusal.Limit != relay.LimitProofs || r.Refusal.RetryAfter <= 0 {
			t.Error("a session holds any number of proofs")
		}
		p.attachments = make(map[uint64]*attachment)
		for i := range uint64(relay.MaxAttachments) {
			p.attachments[i] = nil
		}
		p.proofs[proof{relay.ProveRead, queueID(1), public(alice)}] = struct{}{}
		p.attach(&relay.Attach{Queue: queueID(1), Reader: public(alice)}, nil)
		if r, ok := p.out[0].frame.(*relay.Refused); !ok || r.Refusal.Limit != relay.LimitAttachments || r.Refusal.RetryAfter <= 0 {
			t.Error("a session holds any number of attachments")
		}
	})
}
