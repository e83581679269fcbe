package queue

import (
	"bytes"

	"github.com/sealpost/sealpost/internal/wire"
)

// cursors are those over all kinds of records that belong to queues.
type cursors struct{ headers, authorities, entries, gaps, readers, writers *cursor }

func (c *cursors) all() []*cursor {
	return []*cursor{c.headers, c.authorities, c.entries, c.gaps, c.readers, c.writers}
}

// least returns the queue's name that comes first in any of them; nil at the end of all.
func (c *cursors) least() (name []byte) {
	for _, k := range c.all() {
		if k.next != nil && (name == nil || bytes.Compare(k.next.name(), name) < 0) {
			name = k.next.name()
		}
	}
	return name
}

// queues looks at every queue.
func (c *checker) queues() error {
	k := &cursors{
		newCursor(c.snap, kindHeader), newCursor(c.snap, kindAuthority), newCursor(c.snap, kindEntry),
		newCursor(c.snap, kindGap), newCursor(c.snap, kindReader), newCursor(c.snap, kindWriter),
	}
	defer func() {
		for _, one := range k.all() {
			one.stop()
		}
	}()
	for name := k.least(); name != nil; name = k.least() {
		c.queue(k, name)
		for _, one := range k.all() {
			if one.err != nil {
				return one.err
			}
		}
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
	}
	return nil
}

// queue looks at one queue and leaves the cursors behind it.
func (c *checker) queue(k *cursors, name []byte) {
	defer func() {
		for _, one := range k.all() {
			one.skip(name) // what was not asked for
		}
	}()
	var h header
	rec, ok := k.headers.of(name)
	switch {
	case !ok:
		c.find(name, meansUnusable, "there are records of a queue whose header is missing")
		return
	case rec.err != nil || wire.Unmarshal(rec.value, &h) != nil:
		c.find(name, meansUnusable, "its header cannot be read")
		return
	case h.State == stateGone:
		return // sweeps erase the rest
	case h.State != stateOpen && h.State != stateClosed && h.State != stateSuspended:
		c.find(name, meansUnusable, "its header has a state that this version does not know, %d", h.State)
		return
	}
	var a authority
	rec, ok = k.authorities.of(name)
	if !ok || rec.err != nil || wire.Unmarshal(rec.value, &a) != nil {
		c.find(name, meansUnusable, "the record of its admins and limits is missing or cannot be read")
		return
	}
	c.numbers(name, &h, &a)
	c.log(k, name, &h)
	c.readers(k, name, &h, &a)
	writers := uint32(0)
	for rec, ok := k.writers.of(name); ok; rec, ok = k.writers.of(name) {
		writers++
		if rec.err != nil || wire.Unmarshal(rec.value, new(contact)) != nil {
			c.find(name, "one contact is refused until the inbox's owner adds it again", "a contact writer's record cannot be read")
		}
	}
	if writers != a.Writers {
		c.find(name, meansCount, "it has %d contact writers and counts %d", writers, a.Writers)
	}
	if sum := c.stored[[nameBytes]byte(name)]; sum != h.Blobs {
		c.find(name, meansCount, "its blobs count for %d bytes, and its header says %d", sum, h.Blobs)
	}
	delete(c.stored, [nameBytes]byte(name))
}

// numbers compares what header and authority say with each other and with the store.
func (c *checker) numbers(name []byte, h *header, a *authority) {
	if h.Base > h.Seq || h.Acked > h.Seq || h.Swept > h.Seq || h.LastCommit.Seq > h.Seq {
		c.find(name, meansContra, "its header's numbers contradict each other: head %d, base %d, acked %d, erased up to %d, last commit %d",
			h.Seq, h.Base, h.Acked, h.Swept, h.LastCommit.Seq)
	}
	if !c.lives[h.Incarnation] {
		c.find(name, meansContra, "its header names a life that the store never had")
	}
	last := uint64(0)
	for _, s := range a.Segments {
		if s.Base < last || s.Last < s.Base || s.Last > h.Base {
			c.find(name, meansContra, "the parts of its log from earlier lives overlap")
		}
		if !c.lives[s.Incarnation] {
			c.find(name, meansContra, "a part of its log names a life that the store never had")
		}
		last = s.Last
	}
}

// readers looks at the places of a queue's readers.
func (c *checker) readers(k *cursors, name []byte, h *header, a *authority) {
	active := uint32(0)
	for rec, ok := k.readers.of(name); ok; rec, ok = k.readers.of(name) {
		var p reader
		if rec.err != nil || wire.Unmarshal(rec.value, &p) != nil {
			c.find(name, meansReader, "a reader's record cannot be read")
			active++ // it is counted, whatever it is
			continue
		}
		switch p.State {
		case readerActive, readerTicket:
			active++
		case readerRemoved:
		default:
			c.find(name, meansReader, "a reader has a state that this version does not know, %d", p.State)
		}
		if p.Start > h.Seq || p.Acked > h.Seq || p.End != nil && p.End.Seq > h.Seq {
			c.find(name, meansContra, "a reader stands beyond its head: from %d, acked %d, head %d", p.Start, p.Acked, h.Seq)
		}
	}
	if active != a.Readers {
		c.find(name, meansCount, "it has %d readers and tickets and counts %d", active, a.Readers)
	}
}
