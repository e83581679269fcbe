package queue

import (
	"runtime"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// TestAcksWaitForTheirDisk: while acks are being written, more of them gather and coalesce. No
// second flush begins beside the first, however long the disk takes, and nothing is lost by it.
func TestAcksWaitForTheirDisk(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	for range 3 {
		r.must(r.append(q, "w0", "m"))
	}
	r.follow(q, "alice", nil)
	r.follow(q, "bob", nil)
	r.flushAcks() // that they were seen
	a := r.acks
	a.mu.Lock()
	a.delay = 0
	a.mu.Unlock()

	held, release := make(chan struct{}), make(chan struct{})
	r.Submit(r.append(q, "w0", "m"), Authority{}, func(Answer) { // the store waits for whoever hears the answer
		close(held)
		<-release
	})
	<-held
	waiting := func() int {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.seqs)
	}
	r.Ack(q, key("alice"), 1)
	for waiting() > 0 { // the flush has taken it
		runtime.Gosched()
	}
	a.mu.Lock()
	first := a.timer
	a.mu.Unlock()
	for seq := range uint64(3) {
		r.Ack(q, key("alice"), seq+1)
		r.Ack(q, key("bob"), seq+1)
	}
	a.mu.Lock()
	second := a.timer
	a.mu.Unlock()
	if first == nil || second != first || waiting() != 2 {
		t.Errorf("another flush has begun, and %d readers' acks wait", waiting())
	}
	close(release)
	for waiting() > 0 { // by itself
		runtime.Gosched()
	}
	r.flushAcks() // behind it
	alice := r.follow(q, "alice", nil)
	if alice.wantGaps("1-3:4"); len(alice.seqs) != 1 || alice.gaps[0].Reason != relay.GapAcked {
		t.Errorf("alice reads %v", alice.seqs)
	}
}
