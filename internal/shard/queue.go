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
	mu     sync.Mutex
	room   sync.Cond // waits in put
	filled sync.Cond // waits in take
	items  []item    // guarded by mu, as all below
	bytes  int
	busy   bool // a batch is being stored
	closed bool
}

func newQueue() *queue {
	q := new(queue)
	q.room.L, q.filled.L = &q.mu, &q.mu
	return q
}

func (q *queue) put(it item) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := it.op.Size()
	for !q.closed && len(q.items) > 0 && (len(q.items) >= maxQueuedOps || q.bytes+size > maxQueuedBytes) {
		q.room.Wait()
	}
	if q.closed {
		return ErrClosed
	}
	q.items = append(q.items, it)
	q.bytes += size
	q.filled.Signal()
	return nil
}

// take returns the next batch: everything that waits, up to the limits of a batch and at
// least one operation. While a batch is being stored it waits for a full one, or for that to
// end: smaller batches would cost more syncs, and gain nothing. It returns nil once the queue
// is closed and drained.
func (q *queue) take() []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.full() && (q.busy || len(q.items) == 0 && !q.closed) {
		q.filled.Wait()
	}
	n, bytes := 0, 0
	for n < len(q.items) && n < maxBatchOps {
		size := q.items[n].op.Size()
		if n > 0 && bytes+size > maxBatchBytes {
			break
		}
		bytes += size
		n++
	}
	batch := q.items[:n:n]
	if q.items = q.items[n:]; len(q.items) == 0 {
		q.items = nil
	}
	q.bytes -= bytes
	q.room.Broadcast()
	return batch
}

// full reports whether a full batch waits. The caller holds mu.
func (q *queue) full() bool { return len(q.items) >= maxBatchOps || q.bytes >= maxBatchBytes }

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
	q.items = append(items[:len(items):len(items)], q.items...)
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.room.Broadcast()
	q.filled.Broadcast()
}
