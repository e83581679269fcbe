package queue

import "sync/atomic"

// backlog sums the bytes of all queues' entries, as their quotas count them, for whoever watches
// the relay. Nothing is decided by it. A sweep begins anew, since a start knows nothing and an
// operation that is undone has been counted; a sweep goes by name, so what changes behind it is
// added to its sum, and what changes before it is met.
type backlog struct {
	bytes atomic.Int64 // what is told

	// Owned by the storing goroutine.
	sum  int64
	upto string // the first name that the sum may not have yet
}

// begin begins a sum.
func (b *backlog) begin() { b.sum, b.upto = 0, "" }

// met adds a queue. One that a step has met before it was undone is in the sum.
func (b *backlog) met(name []byte, bytes uint64) {
	if string(name) >= b.upto {
		b.sum += int64(bytes)
		b.upto = string(name) + "\x00"
	}
}

// end tells the sum.
func (b *backlog) end() { b.bytes.Store(b.sum) }

// change adds what has come to a queue or left it.
func (b *backlog) change(name []byte, by int64) {
	b.bytes.Add(by)
	if string(name) < b.upto {
		b.sum += by
	}
}

// countBacklog follows the header, which the caller has just stored.
func (w *work) countBacklog() {
	by := int64(w.header.Bytes) - int64(w.had)
	w.had = w.header.Bytes
	if by != 0 {
		w.m.backlog.change(w.name, by)
	}
}

// Usage is what the relay holds, for whoever watches it.
type Usage struct {
	Attachments int64 // readers that are attached
	Backlog     int64 // bytes of entries, from the end of the first sweep on
	Blobs       int64 // bytes that blobs count for
}

// Usage may be asked at any time; what cannot be read is 0.
func (s *Store) Usage() Usage {
	return Usage{
		Attachments: s.machine.readers.count.Load(),
		Backlog:     max(s.machine.backlog.bytes.Load(), 0),
		Blobs:       int64(s.blobBytes()),
	}
}

// Short reports whether the disk has no room for anything new.
func (s *Store) Short() bool { return s.shard.Short() }
