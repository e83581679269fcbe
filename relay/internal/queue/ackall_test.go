package queue

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// TestAcksOfLargeEntriesAreBounded: acks of many queues with large entries, which come all at once,
// are not read in one batch, which everybody else would wait for; everything goes all the same.
func TestAcksOfLargeEntriesAreBounded(t *testing.T) {
	const queues, each = 8, 7
	r := newRig(t)
	var op ackOp
	for i := range queues {
		q := r.group(fmt.Sprint("g", i), "alice")
		for range each {
			m := r.append(q, "w0", "large")
			m.Envelope = envelope("large", 512<<10)
			r.must(m)
		}
		op = append(op, ackItem{place: place{q, key("alice")}, seq: each})
	}
	slices.SortFunc(op, func(x, y ackItem) int { return slices.Compare(x.queue[:], y.queue[:]) })
	const perQueue = each * 512 << 10
	const most = ackBytes/perQueue + 1 // queues that one operation may read
	before := r.Erased()
	more := store(r.shard, op)
	if n := r.Erased() - before; n == 0 || n > most*each || len(more) != queues-int(n)/each {
		t.Errorf("one operation erased %d entries, and leaves %d queues", n, len(more))
	}
	for steps := 0; len(more) > 0; steps++ {
		if steps > queues {
			t.Fatalf("%d queues are never done", len(more))
		}
		more = store(r.shard, more)
	}
	if n := r.Erased() - before; n != queues*each {
		t.Errorf("%d entries of %d are erased", n, queues*each)
	}
}

// TestEverythingAckedGoesAtOnce: so much in so many queues that neither an operation nor a
// batch has room for all of it.
func TestEverythingAckedGoesAtOnce(t *testing.T) {
	const queues, each = 72, eraseEntries + 8
	r := newRig(t)
	var all sync.WaitGroup
	var acked []*Attachment
	for i := range queues {
		q := r.group(fmt.Sprint("g", i), "alice")
		for n := range each {
			all.Add(1)
			r.Submit(r.append(q, "w0", fmt.Sprint(n)), Authority{}, func(a Answer) {
				if a.Err != nil {
					t.Error(a.Err)
				}
				all.Done()
			})
		}
		a, _, err := r.Attach(q, key("alice"), nil, func() {})
		if err != nil {
			t.Fatal(err)
		}
		acked = append(acked, a)
	}
	all.Wait()
	for _, a := range acked {
		r.Ack(a.queue, a.reader, each)
		defer a.Close()
	}
	r.flushAcks()
	kept := map[byte]int{}
	for _, rec := range records(t, r) {
		kept[rec.key[0]]++
	}
	if kept[kindEntry] != 0 || kept[kindGap] != queues || r.Erased() != queues*each {
		t.Errorf("%d entries are kept, and %d gaps in %d queues; %d of %d are erased", kept[kindEntry], kept[kindGap], queues, r.Erased(), queues*each)
	}
	q := acked[0].queue
	if p := r.must(r.append(q, "w0", "more")); p.Seq != each+1 {
		t.Errorf("the next entry has number %d", p.Seq)
	}
	r.follow(q, "alice", nil).wantGaps(fmt.Sprintf("1-%d:%d", each, relay.GapAcked))
}
