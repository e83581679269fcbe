package queue

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// TestRemovedHearsNothingLater: whatever a removed reader asks, no answer tells what came
// after its end.
func TestRemovedHearsNothingLater(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob", "carol")
	first := r.must(r.commit(q, "alice", relay.Position{}, "w0"))
	end := r.must(r.append(q, "w0", "before"))
	r.must(r.configure(q, "admin", relay.RemoveReader{Key: key("bob")}))
	early, at, err := r.Attach(q, key("bob"), nil, func() {})
	if err != nil || at.Head != end || at.LastCommit != first {
		t.Errorf("head %d, last commit %d: %v", at.Head.Seq, at.LastCommit.Seq, err)
	}
	early.Close()
	r.must(r.commit(q, "alice", first, "w0"))
	for i := range 5 {
		r.must(r.append(q, "w0", fmt.Sprint(i)))
	}
	_, at, err = r.Attach(q, key("bob"), nil, func() {})
	if err != nil || at.Head != end || at.LastCommit != (relay.Position{}) {
		t.Errorf("head %d, last commit %d: %v", at.Head.Seq, at.LastCommit.Seq, err)
	}
	wrong := end
	wrong.Chain[0]++
	_, _, err = r.Attach(q, key("bob"), &wrong, func() {})
	refusal, _ := errors.AsType[*relay.Refusal](err)
	if refusal == nil || refusal.Code != relay.CodeRollback || *refusal.Position != end {
		t.Errorf("a position that is not in the log: %v", err)
	}
	if p := r.must(&relay.Leave{ID: r.id(), Queue: q, Reader: key("bob")}); p != end {
		t.Errorf("LEAVE answers %d", p.Seq)
	}
	r.follow(q, "alice", nil).ack()
	r.follow(q, "carol", nil).ack() // a gap from before bob's end to beyond it
	f := r.follow(q, "bob", nil)
	if f.end == nil || *f.end != end {
		t.Errorf("END %v, want %v; gaps %v", f.end, end, f.gaps)
	}
	r.days(40)
	if f := r.follow(q, "bob", &relay.Position{Incarnation: first.Incarnation, Seq: 1, Chain: first.Chain}); f.end == nil || *f.end != end {
		t.Errorf("END %v, want %v; gaps %v", f.end, end, f.gaps)
	}
}

// TestRemovedHearsThatNobodyWaited: what the others made go before a removed reader had it is not
// told as acked, which would mean that the reader had it once; unless it did.
func TestRemovedHearsThatNobodyWaited(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	first := r.must(r.append(q, "w0", "both read it"))
	r.follow(q, "bob", nil).ack()
	for i := range 3 {
		r.must(r.append(q, "w0", fmt.Sprint(i)))
	}
	r.must(r.configure(q, "admin", relay.RemoveReader{Key: key("bob")}))
	r.follow(q, "alice", nil).ack()
	if f := r.follow(q, "bob", &first); len(f.gaps) != 1 || f.gaps[0].Reason != relay.GapRemoved {
		t.Errorf("gaps %+v, want one of what was removed", f.gaps)
	}
	if f := r.follow(q, "bob", nil); len(f.gaps) != 1 || f.gaps[0].Reason != relay.GapAcked {
		t.Errorf("gaps %+v, want one that is acked: it begins with what bob had", f.gaps)
	}
}
