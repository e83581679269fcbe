package shard

import (
	"slices"
	"sync"
	"testing"
)

// TestR38_FlowsTakeTurns: whoever has thousands of operations waiting does not hold up whoever
// has one: that is in the next batch, and if there are more of them than a batch holds, each
// gets its turn before any gets a second one.
func TestR38_FlowsTakeTurns(t *testing.T) {
	q := newQueue()
	deep, other := new(Flow), new(Flow)
	lone := make([]Flow, 2*maxBatchOps)
	add := func(f *Flow, id uint64, size int) {
		t.Helper()
		if err := q.put(f, item{op: put{id: id, size: size}}); err != nil {
			t.Fatal(err)
		}
	}
	ids := func() (list []uint64) {
		for _, it := range q.take() {
			list = append(list, it.op.(put).id)
		}
		return list
	}
	for i := range uint64(1000) {
		add(deep, i, 1)
	}
	add(other, 5000, 1)
	if batch := ids(); len(batch) != maxBatchOps || !slices.Contains(batch, 5000) {
		t.Fatalf("a lone operation is not in the next batch of %d", len(batch))
	}
	for i := range lone {
		add(&lone[i], uint64(10_000+i), 1)
	}
	var order []uint64
	for range 3 {
		order = append(order, ids()...)
	}
	deepBefore := 0 // operations of deep ahead of the last lone one
	for i, id := range order {
		if id >= 10_000 {
			deepBefore = i - int(id-10_000)
		}
	}
	if !slices.Contains(order, uint64(10_000+len(lone)-1)) || deepBefore > 3 {
		t.Errorf("%d operations of one flow came before the only ones of others", deepBefore)
	}
	order = slices.DeleteFunc(order, func(id uint64) bool { return id >= 5000 })
	if !slices.IsSorted(order) {
		t.Error("a flow's operations changed their order")
	}
}

// TestR38_OwnOperationsHaveAShare: a thousand submitters who always have something waiting do not
// hold up the store's own operations, which give room back, nor do these hold up the others. Alone
// they fill batches.
func TestR38_OwnOperationsHaveAShare(t *testing.T) {
	q := newQueue()
	flows := make([]Flow, 1000)
	for i := range flows {
		for range 2 {
			_ = q.put(&flows[i], item{op: put{id: 1, size: 1}})
		}
	}
	for range 3 * maxBatchOps {
		_ = q.put(&q.own, item{op: put{id: 2, size: 1}})
	}
	own, others := 0, 0
	count := func(batch []item) {
		for _, it := range batch {
			if it.op.(put).id == 2 {
				own++
			} else {
				others++
			}
		}
	}
	count(q.take())
	if own != maxBatchOps/ownShare || own+others != maxBatchOps {
		t.Errorf("a batch has %d operations of the store's own and %d others", own, others)
	}
	for others < 2*len(flows) {
		before := own + others
		if count(q.take()); own+others == before {
			t.Fatal("an empty batch")
		}
	}
	for own < 3*maxBatchOps {
		before := own
		if count(q.take()); own == before {
			t.Fatalf("%d of the store's own operations were taken", own)
		}
	}
	if q.count != 0 || q.bytes != 0 || !q.own.empty() {
		t.Errorf("%d operations of %d bytes are left", q.count, q.bytes)
	}

	// The same by bytes: one large operation of the store's own, then room for others.
	for range 8 {
		_ = q.put(&q.own, item{op: put{id: 2, size: maxBatchBytes / ownShare}})
	}
	_ = q.put(&flows[0], item{op: put{id: 1, size: maxBatchBytes / 2}})
	own, others = 0, 0
	if count(q.take()); others != 1 || own == 0 {
		t.Errorf("a batch has %d large operations of the store's own and %d others", own, others)
	}
}

// TestR38_LargeOperationsTakeTurns: a flow of the largest operations fills batches by bytes,
// and a lone small one is in the next batch or the one after that.
func TestR38_LargeOperationsTakeTurns(t *testing.T) {
	q := newQueue()
	deep, lone := new(Flow), new(Flow)
	for i := range uint64(16) {
		_ = q.put(deep, item{op: put{id: i, size: 512 << 10}})
	}
	_ = q.put(lone, item{op: put{id: 100}})
	has := func(batch []item) bool {
		return slices.ContainsFunc(batch, func(it item) bool { return it.op.(put).id == 100 })
	}
	if first, second := q.take(), q.take(); !has(first) && !has(second) {
		t.Error("a lone operation waits for more than two batches")
	}
}

// TestR38_FullQueueLetsOthersIn: whoever has filled the queue waits, and nobody else.
func TestR38_FullQueueLetsOthersIn(t *testing.T) {
	q := newQueue()
	deep := new(Flow)
	for i := range uint64(maxQueuedOps) {
		_ = q.put(deep, item{op: put{id: i}})
	}
	var more sync.WaitGroup
	var inside bool // whether deep's next is let in before anything is taken; guarded by q.mu
	more.Go(func() {
		_ = q.put(deep, item{op: put{id: maxQueuedOps}})
		q.mu.Lock()
		inside = q.count > maxQueuedOps
		q.mu.Unlock()
	})
	if err := q.put(new(Flow), item{op: put{id: 9999}}); err != nil { // returns
		t.Fatal(err)
	}
	if n := len(q.take()); n != maxBatchOps {
		t.Errorf("a batch of %d operations", n)
	}
	more.Wait()
	if inside {
		t.Error("the queue is not bounded")
	}
	q.close()
	n := 0
	for batch := q.take(); batch != nil; batch = q.take() {
		n += len(batch)
	}
	if n != maxQueuedOps+2-maxBatchOps {
		t.Errorf("%d operations were left", n)
	}
}

// TestOperationsPutBackStayInFront: what does not fit a batch comes first in the next one, ahead
// of what its flow has behind it, and is counted as waiting.
func TestOperationsPutBackStayInFront(t *testing.T) {
	q := newQueue()
	one, two := new(Flow), new(Flow)
	for i := range uint64(300) {
		_ = q.put(one, item{op: put{id: i, size: 1}})
	}
	_ = q.put(two, item{op: put{id: 1000, size: 1}})
	first := q.take()
	q.untake(first[100:])
	if q.count != 201 || q.bytes != 201 {
		t.Errorf("%d operations of %d bytes wait", q.count, q.bytes)
	}
	q.close()
	var order []uint64
	for batch := append(first[:100:100], q.take()...); batch != nil; batch = q.take() {
		for _, it := range batch {
			order = append(order, it.op.(put).id)
		}
	}
	if len(order) != 301 {
		t.Errorf("%d operations came out", len(order))
	}
	order = slices.DeleteFunc(order, func(id uint64) bool { return id == 1000 })
	if !slices.IsSorted(order) {
		t.Error("operations changed their order")
	}
}

// TestFlowIsBounded: a flow that always has something waiting takes no more room than that.
func TestFlowIsBounded(t *testing.T) {
	q := newQueue()
	f := new(Flow)
	for range 100 {
		for range maxBatchOps + 1 {
			_ = q.put(f, item{op: put{}})
		}
		for q.count > 1 {
			f.pop()
			q.count--
		}
	}
	if c := cap(f.items); c > 4*maxBatchOps {
		t.Errorf("room for %d operations", c)
	}
}
