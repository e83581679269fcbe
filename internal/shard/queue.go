package shard

import "sync"

// item is a submitted operation.
type item struct {
	op   Op
	done func(any, error)
}

// queue holds operations between Submit and the storing goroutine. It is bounded in
// operations and bytes; put blocks while it is full (backpressure, nothing is dropped).
type queue struct {
	mu          sync.Mutex
	room        sync.Cond // waits in put
	filled      sync.Cond // waits in take
	first, last *Flow     // those with operations, in the order of their turns; guarded by mu, as all below
	back        []item    // taken before all flows: what did not fit the last batch
	count       int       // of what waits
	bytes       int       // the same
	busy        bool      // a batch is being stored
	closed      bool
	own         Flow // of whoever names no other: not among those that take turns
}

func newQueue() *queue {
	q := new(queue)
	q.room.L, q.filled.L = &q.mu, &q.mu
	return q
}

// put adds an operation to a flow. It blocks while the queue is full; but a flow of which
// nothing waits gets in always, for whoever fills the queue must not keep others out. (It costs
// no more than that operation, which its submitter would hold in its hand otherwise.)
func (q *queue) put(f *Flow, it item) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := it.op.Size()
	for !q.closed && !f.empty() && (q.count >= maxQueuedOps || q.bytes+size > maxQueuedBytes) {
		q.room.Wait()
	}
	if q.closed {
		return ErrClosed
	}
	if f.empty() && f != &q.own {
		q.append(f)
	}
	f.push(it)
	q.count++
	q.bytes += size
	q.filled.Signal()
	return nil
}

// append puts a flow behind all others. The caller holds mu.
func (q *queue) append(f *Flow) {
	if q.last == nil {
		q.first = f
	} else {
		q.last.next = f
	}
	q.last = f
}

// shift takes the flow out whose turn it is. The caller holds mu.
func (q *queue) shift() *Flow {
	f := q.first
	if q.first, f.next = f.next, nil; q.first == nil {
		q.last = nil
	}
	return f
}

// take returns the next batch: everything that waits, up to the limits of a batch and at least one
// operation. What was put back comes first, then the store's own up to a share of the batch, then
// one operation of each flow in turn; if there is room in the end, the rest of the store's own.
// Its turn must not get rarer the more submitters there are, for its operations make room (acks,
// expiry), and each stands for many people's. While a batch is being stored it waits for a
// full one, or for that to end: smaller batches would cost more syncs, and gain nothing. It
// returns nil once the queue is closed and drained.
func (q *queue) take() []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.full() && (q.busy || q.count == 0 && !q.closed) {
		q.filled.Wait()
	}
	batch, bytes := q.back, 0
	q.back = nil
	for _, it := range batch {
		bytes += it.op.Size()
	}
	// add takes the flow's first operation if these bounds leave room for it.
	add := func(f *Flow, mostOps, mostBytes int) bool {
		if f.empty() || len(batch) >= min(mostOps, maxBatchOps) {
			return false
		}
		size := f.items[f.head].op.Size()
		if len(batch) > 0 && bytes+size > min(mostBytes, maxBatchBytes) {
			return false
		}
		if batch == nil {
			batch = make([]item, 0, min(q.count, maxBatchOps))
		}
		batch, bytes = append(batch, f.pop()), bytes+size
		return true
	}
	ops, most := len(batch)+maxBatchOps/ownShare, bytes+maxBatchBytes/ownShare
	for add(&q.own, ops, most) {
	}
	for q.first != nil && add(q.first, maxBatchOps, maxBatchBytes) {
		if f := q.shift(); !f.empty() {
			q.append(f)
		}
	}
	if q.first == nil {
		for add(&q.own, maxBatchOps, maxBatchBytes) {
		}
	}
	q.count -= len(batch)
	q.bytes -= bytes
	q.room.Broadcast()
	return batch
}

// full reports whether a full batch waits. The caller holds mu.
func (q *queue) full() bool { return q.count >= maxBatchOps || q.bytes >= maxBatchBytes }

// setBusy says whether a batch is being stored.
func (q *queue) setBusy(busy bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = busy
	q.filled.Signal()
}

// untake puts operations back in front: those that no longer fitted their batch.
func (q *queue) untake(items []item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range items {
		q.bytes += it.op.Size()
	}
	q.count += len(items)
	q.back = items
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.room.Broadcast()
	q.filled.Broadcast()
}
