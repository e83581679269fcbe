package queue

import (
	"testing"
	"time"
)

// TestManyAcksAreWrittenSooner: while each reader acks again and again, what it acked goes soon;
// many readers who ack once wait for the usual time, in which they may ack more.
func TestManyAcksAreWrittenSooner(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice")
	a := r.acks
	a.mu.Lock()
	a.delay = time.Hour // nothing is written but by flush
	a.mu.Unlock()
	sooner := func() bool {
		r.flushAcks()
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.many
	}
	for range manyAcks {
		r.Ack(q, key("alice"), 0)
	}
	if !sooner() {
		t.Error("many acks of one reader are not written sooner")
	}
	r.Ack(q, key("alice"), 0)
	if sooner() {
		t.Error("it goes on when there are no more")
	}
	for i := range manyAcks {
		r.Ack(q, key(string(rune('a'+i))), 0)
	}
	if sooner() {
		t.Error("one ack of each of many readers is written sooner")
	}
}
