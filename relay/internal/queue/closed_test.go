package queue

import (
	"testing"

	"github.com/sealpost/sealpost/relay"
)

func vote(r *rig, q relay.QueueID, who string) *relay.Knock {
	return &relay.Knock{ID: r.id(), Queue: q, Reader: key(who), Class: relay.ClassVote, Envelope: envelope("vote by "+who, 1024)}
}

// TestQ12_ClosedQueueTakesVotes: whoever closes a queue is shown in its log to all readers, and does
// not keep them from agreeing there where they go on, though it had filled the queue before. There is
// nothing else that a closed queue takes, and in the end it is gone.
func TestQ12_ClosedQueueTakesVotes(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	r.must(r.append(q, "w0", "one"))
	r.must(r.append(q, "w0", "two"))
	r.must(r.configure(q, "admin", relay.SetLimits{MaxEntries: 1, MaxBytes: 1}))
	r.refused(relay.ErrQuota, vote(r, q, "alice"))
	live := r.follow(q, "bob", nil)
	live.want("one", "two")
	del := &relay.Delete{ID: r.id(), Queue: q, Key: key("admin")}
	if at := r.must(del); at.Seq != 3 || r.must(del) != at {
		t.Errorf("closed at %d", at.Seq)
	}
	<-live.woken
	live.read().want("one", "two", "closed")
	ballot := vote(r, q, "alice")
	if at := r.must(ballot); at.Seq != 4 || r.must(ballot) != at {
		t.Errorf("the vote stands at %d", at.Seq)
	}
	r.refused(relay.ErrUnknown, vote(r, q, "mallory"))
	r.refused(relay.ErrUnknown, vote(r, q, "admin"))
	r.refused(relay.ErrClosed, &relay.Knock{ID: r.id(), Queue: q, Reader: key("bob"), Envelope: envelope("k", 512)})
	r.refused(relay.ErrClosed, r.append(q, "w0", "x"))
	r.refused(relay.ErrClosed, &relay.Delete{ID: r.id(), Queue: q, Key: key("admin")})
	<-live.woken
	live.read().want("one", "two", "closed", "vote by alice")

	// What all have read goes, but not who closed it.
	live.ack()
	r.Ack(q, key("alice"), 4)
	r.flushAcks()
	r.follow(q, "alice", nil).want("closed")
	r.reopen()
	r.must(vote(r, q, "bob"))
	for limited := 0; ; limited++ {
		if _, err := r.try(vote(r, q, "bob")); err != nil {
			break
		}
		if limited > r.machine.limits.Votes.Burst {
			t.Fatal("a closed queue takes any number of votes")
		}
	}
	r.days(8)
	r.refused(relay.ErrUnknown, vote(r, q, "alice"))
}

// TestQ12_SuspendedQueueTakesNone: what an operator stops stands still, whatever it was before.
func TestQ12_SuspendedQueueTakesNone(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	r.must(r.append(q, "w0", "one"))
	r.must(&relay.Delete{ID: r.id(), Queue: q, Key: key("admin")})
	r.suspend(q, true)
	r.refused(relay.ErrSuspended, vote(r, q, "alice"))
	r.suspend(q, false)
	r.must(vote(r, q, "alice"))
}
