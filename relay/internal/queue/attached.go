package queue

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/sealpost/sealpost/relay"
)

// memberID is what is left of a reader's key in the name of its record.
type memberID [12]byte

func memberOf(recordName []byte) memberID { return memberID(recordName[len(recordName)-12:]) }

// readers is the registry of attachments, by queue name and reader.
type readers struct {
	count   atomic.Int64 // attachments
	mu      sync.Mutex
	byQueue map[string]map[memberID]*Attachment // guarded by mu
}

func newReaders() *readers {
	return &readers{byQueue: make(map[string]map[memberID]*Attachment)}
}

// add registers a; an earlier attachment of the same reader ends as superseded.
func (r *readers) add(a *Attachment) {
	r.mu.Lock()
	old := r.byQueue[a.name][a.member]
	if r.byQueue[a.name] == nil {
		r.byQueue[a.name] = make(map[memberID]*Attachment)
	}
	r.byQueue[a.name][a.member] = a
	r.mu.Unlock()
	if old == nil {
		r.count.Add(1)
		return
	}
	old.end(relay.DetachSuperseded)
}

// remove takes a out; false if it was superseded, and the place is another's.
func (r *readers) remove(a *Attachment) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byQueue[a.name][a.member] != a {
		return false
	}
	r.count.Add(-1)
	if delete(r.byQueue[a.name], a.member); len(r.byQueue[a.name]) == 0 {
		delete(r.byQueue, a.name)
	}
	return true
}

// has reports whether a reader is attached.
func (r *readers) has(name string, member memberID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byQueue[name][member] != nil
}

// callable notes that a reader has set a handle, if it is attached.
func (r *readers) callable(b bed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.byQueue[b.queue][b.member]; a != nil {
		a.callable.Store(true)
	}
}

// any reports whether anybody is attached to a queue.
func (r *readers) any(name []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.byQueue[string(name)]) > 0
}

// attached returns an ack of nothing for everybody who is attached.
func (r *readers) attached() ackOp {
	r.mu.Lock()
	defer r.mu.Unlock()
	var op ackOp
	for _, byReader := range r.byQueue {
		for _, a := range byReader {
			op = append(op, ackItem{place: place{a.queue, a.reader}})
		}
	}
	return op // of one queue together, as byQueue is walked
}

// of returns who is attached to a queue.
func (r *readers) of(name string) map[memberID]*Attachment {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.byQueue[name])
}

func (r *readers) wake(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.byQueue[name] {
		a.mu.Lock()
		a.hearing.changes++
		a.mu.Unlock()
		a.wake()
	}
}
