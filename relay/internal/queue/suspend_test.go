package queue

import (
	"errors"
	"testing"
	"time"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/blob"
)

func (r *rig) suspend(q relay.QueueID, on bool) {
	r.Helper()
	if changed, err := r.Suspend(r.Context(), q, on); err != nil || !changed {
		r.Fatalf("suspend %v: changed %v, %v", on, changed, err)
	}
}

// suspendedGroup is a group with everybody who can have a place in a queue, some entries and a
// blob.
func suspendedGroup(t *testing.T) (r *rig, q relay.QueueID, hash relay.Hash, sent *relay.Append, last relay.Position) {
	files, err := blob.Open(blob.Config{Dir: t.TempDir(), MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	r = newRig(t, func(c *Config) { c.Blobs = files })
	q = queueID("g")
	r.must(&relay.Create{ID: r.id(), Queue: q, Key: key("admin"), Admins: keys("admin"), Writer: new(key("w0")),
		RequestWriter: new(key("request")), Readers: keys("alice", "bob", "carol")})
	r.must(r.configure(q, "admin", relay.AddWriter{Key: key("contact")}, relay.RemoveReader{Key: key("carol")}))
	sent = r.append(q, "w0", "before")
	r.must(sent)
	last = r.must(r.commit(q, "alice", relay.Position{}, "w1", "ticket"))
	return r, q, r.upload(q, "alice", []byte("sealed")), sent, last
}

// TestSuspendedQueue: nothing is read or written, and only whoever has a place hears why; nothing
// is lost by it, over a restart, and then it goes on where it was.
func TestSuspendedQueue(t *testing.T) {
	r, q, hash, sent, last := suspendedGroup(t)
	alice := r.follow(q, "alice", nil)
	r.suspend(q, true)
	if reason, ended := alice.a.Ended(); !ended || reason != relay.DetachSuspended {
		t.Errorf("before it asks for anything, the attachment ended %v, for reason %d", ended, reason)
	}
	if b, err := alice.a.Next(1 << 20); err != nil || len(b.Entries) > 0 {
		t.Errorf("an attached reader gets %+v, %v", b, err)
	}
	if reason, ended := alice.a.Ended(); !ended || reason != relay.DetachSuspended {
		t.Errorf("the attachment ended %v, for reason %d", ended, reason)
	}
	for range 2 {
		for name, m := range map[string]relay.Mutation{
			"group writer": r.append(q, "w1", "x"), "contact": r.append(q, "contact", "x"), "request writer": r.append(q, "request", "x"),
			"commit": r.commit(q, "bob", last, "w2"), "configure": r.configure(q, "admin", relay.SetRetention{Days: 1}),
			"knock":  &relay.Knock{ID: r.id(), Queue: q, Reader: key("bob"), Envelope: envelope("k", 512)},
			"rekey":  &relay.Rekey{ID: r.id(), Queue: q, Ticket: key("ticket"), Reader: key("dave")},
			"delete": &relay.Delete{ID: r.id(), Queue: q, Key: key("admin")}, "delete by a reader": &relay.Delete{ID: r.id(), Queue: q, Key: key("bob")},
			"a replaced writer": r.append(q, "w0", "x"),
		} {
			if refusal := r.refused(relay.ErrSuspended, m); refusal.RetryAfter < time.Minute {
				t.Errorf("%s is told to come again after %v", name, refusal.RetryAfter)
			}
		}
		for name, m := range map[string]relay.Mutation{
			"writer": r.append(q, "nobody", "x"), "commit": r.commit(q, "nobody", last, "w2"),
			"configure": r.configure(q, "nobody", relay.SetRetention{Days: 1}), "removed": r.commit(q, "carol", last, "w2"),
			"delete": &relay.Delete{ID: r.id(), Queue: q, Key: key("nobody")},
			"knock":  &relay.Knock{ID: r.id(), Queue: q, Reader: key("nobody"), Envelope: envelope("k", 512)},
		} {
			if _, err := r.try(m); !errors.Is(err, relay.ErrUnknown) {
				t.Errorf("a stranger's %s hears %v", name, err)
			}
		}
		for who, want := range map[string]error{
			"alice": relay.ErrSuspended, "carol": relay.ErrSuspended, "ticket": relay.ErrSuspended, "nobody": relay.ErrUnknown,
		} {
			if _, err := r.attach(q, who, nil); !errors.Is(err, want) {
				t.Errorf("%s attaches: %v, want %v", who, err, want)
			}
		}
		if _, _, err := r.FindBlob(q, hash); !errors.Is(err, relay.ErrSuspended) {
			t.Errorf("its blob: %v", err)
		}
		if _, _, err := r.FindBlob(q, relay.Hash{1}); !errors.Is(err, relay.ErrUnknown) {
			t.Errorf("a blob that nobody stored: %v", err)
		}
		r.refusedBlob(relay.ErrSuspended, q, "alice", "new", 10)
		r.refusedBlob(relay.ErrSuspended, q, "w0", "new", 10) // hears of no head
		r.refusedBlob(relay.ErrUnknown, q, "nobody", "new", 10)
		if p := r.must(sent); p.Seq != 1 { // its answer is known
			t.Errorf("a retry is answered with %d", p.Seq)
		}
		if changed, err := r.Suspend(t.Context(), q, true); changed || err != nil {
			t.Errorf("suspended twice: %v, %v", changed, err)
		}
		r.reopen()
	}
	r.must(&relay.Leave{ID: r.id(), Queue: q, Reader: key("bob")}) // nobody is kept
	r.suspend(q, false)
	r.must(r.append(q, "w1", "after"))
	if f := r.follow(q, "alice", nil); len(f.texts) != 3 {
		t.Errorf("after it alice reads %q", f.texts)
	}
	if _, err := r.Suspend(t.Context(), queueID("none"), true); !errors.Is(err, relay.ErrUnknown) {
		t.Errorf("a queue that does not exist: %v", err)
	}
}

// TestSuspendedUpload: an upload that was begun before is neither gone on with nor completed, and
// is afterwards.
func TestSuspendedUpload(t *testing.T) {
	r, q, _, _, _ := suspendedGroup(t)
	upload := r.storeBlob(q, "alice", "upload", 10, 1)
	finish := func() *relay.Refusal {
		c := make(chan *relay.Refusal, 1)
		r.FinishBlob(new(Flow), upload.Name, func(refusal *relay.Refusal) { c <- refusal })
		return <-c
	}
	r.suspend(q, true)
	if refusal := finish(); refusal == nil || refusal.Code != relay.CodeSuspended || !errors.Is(r.MayPut(q), relay.ErrSuspended) {
		t.Errorf("its end hears %v, a part %v", refusal, r.MayPut(q))
	}
	r.suspend(q, false)
	if refusal := finish(); refusal != nil || r.MayPut(q) != nil || !r.has(q, "upload") {
		t.Errorf("afterwards its end hears %v, a part %v", refusal, r.MayPut(q))
	}
	if err := r.LoseBlob(upload.Name); err != nil { // it has no file
		t.Fatal(err)
	}
}

// TestSuspensionCostsNoPlace: who could not come for months is not removed for that, nor is a
// ticket over; what was to expire has expired.
func TestSuspensionCostsNoPlace(t *testing.T) {
	r, q, _, _, _ := suspendedGroup(t)
	r.suspend(q, true)
	r.days(120)
	r.suspend(q, false)
	r.days(20)
	r.must(&relay.Rekey{ID: r.id(), Queue: q, Ticket: key("ticket"), Reader: key("dave")})
	r.must(r.append(q, "w1", "after"))
	f := r.follow(q, "alice", nil)
	if len(f.texts) != 1 || len(f.gaps) == 0 || f.gaps[0].Reason != relay.GapExpired {
		t.Errorf("alice reads %q with gaps %+v", f.texts, f.gaps)
	}
}

// TestSuspensionErasesNothingUnread: who was away for a while before a suspension, and could not
// come for months of it, finds all that it has not acked: that the others have is no reason then.
func TestSuspensionErasesNothingUnread(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	r.must(r.configure(q, "admin", relay.SetRetention{Days: 90}))
	r.follow(q, "bob", nil).a.Close()
	r.flushAcks()
	r.days(20)
	r.must(r.append(q, "w0", "for bob"))
	alice := r.follow(q, "alice", nil)
	alice.a.Ack(1)
	r.flushAcks()
	r.suspend(q, true)
	alice.a.Close()
	r.days(75)
	r.must(&relay.Leave{ID: r.id(), Queue: q, Reader: key("alice")})
	r.days(1)
	r.suspend(q, false)
	if f := r.follow(q, "bob", nil); len(f.texts) != 1 || len(f.gaps) != 0 {
		t.Errorf("bob reads %q with gaps %+v", f.texts, f.gaps)
	}
}

// TestSuspensionKeepsNoDeletedQueue: what its admin deleted is erased in time, suspended or not,
// and one that is resumed before is as closed as it was.
func TestSuspensionKeepsNoDeletedQueue(t *testing.T) {
	r, q, _, _, _ := suspendedGroup(t)
	r.must(&relay.Delete{ID: r.id(), Queue: q, Key: key("admin")})
	r.suspend(q, true)
	r.days(2)
	r.suspend(q, false)
	r.refused(relay.ErrClosed, r.append(q, "w1", "x"))
	r.suspend(q, true)
	r.days(10)
	if _, err := r.Suspended(q); !errors.Is(err, relay.ErrUnknown) {
		t.Errorf("a deleted queue after its time: %v", err)
	}
}

// TestR27_FullDiskStopsWritingAlone: on a disk without room appends are told to come again, and
// reading, acks and an operator who stops a queue go on.
func TestR27_FullDiskStopsWritingAlone(t *testing.T) {
	r := newRig(t)
	q, other := r.group("g", "alice"), r.group("other", "alice")
	r.must(r.append(q, "w0", "one"))
	r.must(r.append(q, "w0", "two"))
	r.cfg.MinFree = 1 << 62
	r.reopen()
	if refusal := r.refused(relay.ErrBusy, r.append(q, "w0", "three")); refusal.RetryAfter == 0 {
		t.Error("nobody is told when to come again")
	}
	if f := r.follow(q, "alice", nil); len(f.texts) != 2 {
		t.Errorf("alice reads %q", f.texts)
	}
	r.Ack(q, key("alice"), 2)
	r.flushAcks()
	if f := r.follow(q, "alice", nil); len(f.texts) != 0 || len(f.gaps) != 1 || f.gaps[0].Reason != relay.GapAcked {
		t.Errorf("what was acked is still there: %q", f.texts)
	}
	r.suspend(other, true)
	r.cfg.MinFree = 1
	r.reopen()
	r.must(r.append(q, "w0", "three"))
	r.refused(relay.ErrSuspended, r.append(other, "w0", "x"))
}
