package queue

import (
	"fmt"
	"testing"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// TestBacklogIsTheQueuesSum: what an operator is told is what the queues' quotas count, whatever
// adds and erases, and again after a start has swept.
func TestBacklogIsTheQueuesSum(t *testing.T) {
	r := newRig(t)
	check := func(when string) {
		t.Helper()
		var sum int64
		for _, rec := range records(t, r) {
			if rec.key[0] == kindHeader {
				var h header
				if err := wire.Unmarshal(rec.value, &h); err != nil {
					t.Fatal(err)
				}
				sum += int64(h.Bytes)
			}
		}
		if got := r.Usage().Backlog; got != sum || when == "full" && sum == 0 {
			t.Errorf("%s: %d bytes are told, the queues have %d", when, got, sum)
		}
	}
	r.sweep()
	var queues []relay.QueueID
	for n := range 5 {
		q := r.group(fmt.Sprint("g", n), "alice", "bob")
		queues = append(queues, q)
		for range 6 {
			r.must(r.append(q, "w0", "m"))
		}
	}
	check("full")
	r.sweep()
	check("swept")
	for _, q := range queues[:3] {
		r.Ack(q, key("alice"), 4)
		r.Ack(q, key("bob"), 3)
	}
	r.flushAcks()
	check("acked")
	r.must(r.configure(queues[3], "admin", relay.SetLimits{MaxEntries: 4, MaxBytes: 1 << 20}))
	r.Ack(queues[3], key("alice"), 6)
	r.flushAcks()
	r.refused(relay.ErrQuota, r.append(queues[3], "w0", "x"))
	r.must(&relay.Delete{ID: r.id(), Queue: queues[4], Key: key("admin")})
	check("deleted")
	r.days(9)
	check("gone")
	r.reopen()
	r.sweep()
	check("started again")
	r.must(r.append(queues[0], "w0", "m"))
	check("and written")
}

// What changes behind a sweep is added to its sum, what changes before it is met, and a step
// that is taken again counts once.
func TestBacklogWhileASweepGoesOn(t *testing.T) {
	var b backlog
	b.change([]byte("m"), 1000) // of a store that knew nothing yet
	b.begin()
	b.met([]byte("c"), 10)
	b.met([]byte("f"), 20)
	b.met([]byte("c"), 10) // the step was undone
	b.met([]byte("f"), 20)
	b.change([]byte("d"), 3)
	b.change([]byte("f"), -5)
	b.change([]byte("m"), 7) // is among what the sweep meets
	b.met([]byte("m"), 107)
	b.end()
	if got := b.bytes.Load(); got != 10+20+3-5+107 {
		t.Errorf("the sum is %d", got)
	}
}
