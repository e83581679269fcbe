package queue

import (
	"bytes"
	"context"
	"io"
	"iter"

	"github.com/sealpost/sealpost/internal/shard"
)

// rawRecord is one record as a check meets it.
type rawRecord struct {
	key, value []byte
	err        error // it does not open
}

// name is that of the queue which the record belongs to.
func (r *rawRecord) name() []byte { return r.key[1 : 1+nameBytes] }

// nameBytes is the size of a queue's name.
const nameBytes = 20

// cursor reads the records of one kind in order, one ahead.
type cursor struct {
	kind byte
	pull func() (rawRecord, bool)
	stop func()
	next *rawRecord // nil at the end
	err  error      // of the walk
}

func newCursor(snap *shard.Snapshot, kind byte) *cursor {
	c := &cursor{kind: kind}
	c.pull, c.stop = iter.Pull(func(yield func(rawRecord) bool) {
		c.err = snap.Records([]byte{kind}, nil, func(key, value []byte, err error) bool {
			return len(key) < 1+nameBytes || yield(rawRecord{key, value, err})
		})
	})
	c.advance()
	return c
}

func (c *cursor) advance() {
	if r, ok := c.pull(); ok {
		c.next = &r
	} else {
		c.next = nil
	}
}

// of returns the next record if it belongs to this queue, and moves on.
func (c *cursor) of(name []byte) (rawRecord, bool) {
	if c.next == nil || !bytes.Equal(c.next.name(), name) {
		return rawRecord{}, false
	}
	r := *c.next
	c.advance()
	return r, true
}

// skip passes over the rest of a queue and tells how much it was.
func (c *cursor) skip(name []byte) (n int) {
	for {
		if _, ok := c.of(name); !ok {
			return n
		}
		n++
	}
}

// stopping is a reader that ends with its context.
type stopping struct {
	ctx context.Context
	r   io.Reader
}

// Read implements [io.Reader].
func (s stopping) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, s.ctx.Err()
	}
	return s.r.Read(p)
}
