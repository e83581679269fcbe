package queue

import (
	"encoding/binary"
	"errors"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// Kinds of records: the first byte of a database key. After it come 20 bytes HMAC of the queue
// id, the same in all kinds, and what the comment says. The shard seals the values.
const (
	kindHeader    byte = 'H' // nothing more: header
	kindAuthority byte = 'A' // nothing more: authority
	kindReader    byte = 'R' // 12 bytes HMAC of queue and reader: reader
	kindWriter    byte = 'W' // 12 bytes HMAC of queue and writer: contact
	kindEntry     byte = 'E' // uint64 seq: entry
	kindGap       byte = 'G' // uint64 last seq: gap
	kindShort     byte = 'I' // no queue: uint32 period, HMAC of queue, key and id: memory
	kindLong      byte = 'J' // the same for what is remembered longer
	kindMeta      byte = 'M' // no queue: meta
	kindBlob      byte = 'B' // no queue: HMAC of the queue's and the hash, which is the file's name, too: blobRecord
	kindStored    byte = 'S' // no queue: stored
)

// The states of a queue.
const (
	stateOpen   uint8 = 1
	stateClosed uint8 = 2 // by DELETE: readable, writable for votes alone
	stateGone   uint8 = 3 // erased or being erased; only the name is still taken

	// By the operator: neither readable nor writable. A ClosedDay says that it was closed before.
	stateSuspended uint8 = 4
)

// header is what every operation on a queue reads, and every append writes. It is small.
type header struct {
	State       uint8
	ClosedDay   uint32
	Incarnation relay.Incarnation
	Base        uint64     // entries of this incarnation are above it
	Seq         uint64     // the head
	Chain       relay.Hash // after the head
	LastCommit  relay.Position
	Writer      *relay.PublicKey // the group's writer
	Entries     uint32           // stored, but for Requests
	Bytes       uint64           // of their envelopes
	Swept       uint64           // all but COMMITs are erased up to here
	Acked       uint64           // a lower bound of what every reader has acked
	Requests    []uint64         // stored entries of the request writer, at most ringEntries
	Blobs       uint64           // bytes that its blobs count for
}

func (h *header) MarshalWire(w *wire.Writer) {
	w.Uint8(h.State)
	w.Uint32(h.ClosedDay)
	w.Raw(h.Incarnation[:])
	w.Uint64(h.Base)
	w.Uint64(h.Seq)
	w.Raw(h.Chain[:])
	h.LastCommit.MarshalWire(w)
	wire.WriteOptional(w, h.Writer, writeKey)
	w.Uint32(h.Entries)
	w.Uint64(h.Bytes)
	w.Uint64(h.Swept)
	w.Uint64(h.Acked)
	wire.WriteVector(w, h.Requests, (*wire.Writer).Uint64)
	w.Uint64(h.Blobs)
}

func (h *header) UnmarshalWire(r *wire.Reader) {
	h.State = r.Uint8()
	h.ClosedDay = r.Uint32()
	r.Copy(h.Incarnation[:])
	h.Base = r.Uint64()
	h.Seq = r.Uint64()
	r.Copy(h.Chain[:])
	h.LastCommit.UnmarshalWire(r)
	h.Writer = wire.Optional(r, readKey)
	h.Entries = r.Uint32()
	h.Bytes = r.Uint64()
	h.Swept = r.Uint64()
	h.Acked = r.Uint64()
	h.Requests = wire.Vector(r, (*wire.Reader).Uint64)
	h.Blobs = r.Uint64()
}

func (h *header) head() relay.Position {
	return relay.Position{Incarnation: h.Incarnation, Seq: h.Seq, Chain: h.Chain}
}

// authority is what changes seldom: who owns the queue and how much it may hold.
type authority struct {
	Admins        []relay.PublicKey
	RequestWriter *relay.PublicKey
	Named         bool
	Retention     uint16 // days
	MaxEntries    uint32
	MaxBytes      uint64
	Readers       uint32 // active ones and tickets
	Writers       uint32 // contact writers
	Recent        []recentWriter
	Segments      []segment // earlier incarnations, oldest first
}

// recentWriter is a replaced group writer key.
type recentWriter struct {
	Key relay.PublicKey
	Day uint32 // when it was replaced
}

// segment is the part of the log that an earlier incarnation of the store wrote.
type segment struct {
	Incarnation relay.Incarnation
	Base        uint64 // its entries are above it
	Last        uint64 // the last one that survived
	Chain       relay.Hash
}

func (a *authority) MarshalWire(w *wire.Writer) {
	wire.WriteVector(w, a.Admins, writeKey)
	wire.WriteOptional(w, a.RequestWriter, writeKey)
	w.Bool(a.Named)
	w.Uint16(a.Retention)
	w.Uint32(a.MaxEntries)
	w.Uint64(a.MaxBytes)
	w.Uint32(a.Readers)
	w.Uint32(a.Writers)
	wire.WriteVector(w, a.Recent, func(w *wire.Writer, k recentWriter) {
		w.Raw(k.Key[:])
		w.Uint32(k.Day)
	})
	wire.WriteVector(w, a.Segments, func(w *wire.Writer, s segment) {
		w.Raw(s.Incarnation[:])
		w.Uint64(s.Base)
		w.Uint64(s.Last)
		w.Raw(s.Chain[:])
	})
}

func (a *authority) UnmarshalWire(r *wire.Reader) {
	a.Admins = wire.Vector(r, readKey)
	a.RequestWriter = wire.Optional(r, readKey)
	a.Named = r.Bool()
	a.Retention = r.Uint16()
	a.MaxEntries = r.Uint32()
	a.MaxBytes = r.Uint64()
	a.Readers = r.Uint32()
	a.Writers = r.Uint32()
	a.Recent = wire.Vector(r, func(r *wire.Reader) (k recentWriter) {
		r.Copy(k.Key[:])
		k.Day = r.Uint32()
		return k
	})
	a.Segments = wire.Vector(r, func(r *wire.Reader) (s segment) {
		r.Copy(s.Incarnation[:])
		s.Base = r.Uint64()
		s.Last = r.Uint64()
		r.Copy(s.Chain[:])
		return s
	})
}

// The states of a reader.
const (
	readerActive  uint8 = 1
	readerTicket  uint8 = 2 // may only be redeemed by REKEY
	readerRemoved uint8 = 3 // reads up to End
)

// errNoEnd: a reader's record of a removed one without its end, or of another with one.
var errNoEnd = errors.New("queue: a reader's state and end disagree")

// reader is one reader's place. Its key is not in it: the record's name is an HMAC of it.
type reader struct {
	State  uint8
	Start  uint64 // it reads what is after
	Acked  uint64
	Day    uint32          // last seen; of a ticket: made; of a removed reader: removed
	End    *relay.Position // of a removed reader, and only then: the head at its removal
	Handle []byte          // its sealed wake handle
}

// end is the last number that the reader may read; head is the queue's.
func (p *reader) end(head uint64) uint64 {
	if p.End != nil {
		return min(head, p.End.Seq)
	}
	return head
}

func (p *reader) MarshalWire(w *wire.Writer) {
	w.Uint8(p.State)
	w.Uint64(p.Start)
	w.Uint64(p.Acked)
	w.Uint32(p.Day)
	wire.WriteOptional(w, p.End, func(w *wire.Writer, end relay.Position) { end.MarshalWire(w) })
	w.Bytes(p.Handle)
}

func (p *reader) UnmarshalWire(r *wire.Reader) {
	p.State = r.Uint8()
	p.Start = r.Uint64()
	p.Acked = r.Uint64()
	p.Day = r.Uint32()
	p.End = wire.Optional(r, func(r *wire.Reader) (end relay.Position) { end.UnmarshalWire(r); return end })
	p.Handle = r.Bytes()
	if (p.State == readerRemoved) != (p.End != nil) {
		r.Fail(errNoEnd)
	}
}

// contact is one contact writer's place in an inbox. It counts what waits without naming an
// entry: two tallies, the older of which is dropped when the owner has acked past its end.
// Ends are rounded up, so that they point at no entry. Its blobs are counted in the same way,
// by days (see share).
type contact struct {
	Before, After tally
	Blobs         share
}

type tally struct {
	Entries uint32
	Bytes   uint64
	End     uint64 // no entry that is counted is above it
}

func (c *contact) MarshalWire(w *wire.Writer) {
	for _, t := range []tally{c.Before, c.After} {
		w.Uint32(t.Entries)
		w.Uint64(t.Bytes)
		w.Uint64(t.End)
	}
	c.Blobs.MarshalWire(w)
}

func (c *contact) UnmarshalWire(r *wire.Reader) {
	for _, t := range []*tally{&c.Before, &c.After} {
		t.Entries = r.Uint32()
		t.Bytes = r.Uint64()
		t.End = r.Uint64()
	}
	c.Blobs.UnmarshalWire(r)
}

// settle drops what is erased: swept is what the owner has acked, seq the head.
func (c *contact) settle(swept, seq uint64) {
	switch {
	case swept >= seq, swept >= c.After.End:
		c.Before, c.After = tally{}, tally{}
	case swept >= c.Before.End:
		c.Before, c.After = c.After, tally{}
	}
}

// count adds the entry seq.
func (c *contact) count(seq uint64, size int) {
	const round = 64
	c.After.Entries++
	c.After.Bytes += uint64(size)
	c.After.End = (seq/round + 1) * round
}

// entry is one entry. Its chain lets a reader's position be checked and a delivery begin
// anywhere.
type entry struct {
	Kind     relay.Kind
	Day      uint32
	Chain    relay.Hash
	Reader   *relay.PublicKey
	Blobs    []relay.Hash // of a COMMIT: they are kept while it is
	Envelope []byte
}

func (e *entry) MarshalWire(w *wire.Writer) {
	w.Uint8(uint8(e.Kind))
	w.Uint32(e.Day)
	w.Raw(e.Chain[:])
	wire.WriteOptional(w, e.Reader, writeKey)
	wire.WriteVector(w, e.Blobs, func(w *wire.Writer, h relay.Hash) { w.Raw(h[:]) })
	w.Raw(e.Envelope)
}

func (e *entry) UnmarshalWire(r *wire.Reader) {
	e.Kind = relay.Kind(r.Uint8())
	e.Day = r.Uint32()
	r.Copy(e.Chain[:])
	e.Reader = wire.Optional(r, readKey)
	e.Blobs = wire.Vector(r, func(r *wire.Reader) (h relay.Hash) { r.Copy(h[:]); return h })
	e.Envelope = r.Rest()
}

// gap stands for erased or lost entries From to the seq in its record's name.
type gap struct {
	From        uint64
	Reason      relay.GapReason
	Incarnation relay.Incarnation // after it
	Chain       relay.Hash        // after it
	last        uint64            // from the record's name
}

func (g *gap) MarshalWire(w *wire.Writer) {
	w.Uint64(g.From)
	w.Uint8(uint8(g.Reason))
	w.Raw(g.Incarnation[:])
	w.Raw(g.Chain[:])
}

func (g *gap) UnmarshalWire(r *wire.Reader) {
	g.From = r.Uint64()
	g.Reason = relay.GapReason(r.Uint8())
	r.Copy(g.Incarnation[:])
	r.Copy(g.Chain[:])
}

// memory is a mutation's answer, for its retries.
type memory struct {
	Digest   relay.Hash
	Position relay.Position
}

func (m *memory) MarshalWire(w *wire.Writer) { w.Raw(m.Digest[:]); m.Position.MarshalWire(w) }

func (m *memory) UnmarshalWire(r *wire.Reader) { r.Copy(m.Digest[:]); m.Position.UnmarshalWire(r) }

// meta is the store's own record of time.
type meta struct {
	Day    uint32 // every record is stamped with it; follows the clock by one day a sweep
	Wall   uint32 // the clock's day at the last sweep
	Period uint32 // counts the changes of Wall: what answers are remembered by
}

func (m *meta) MarshalWire(w *wire.Writer) { w.Uint32(m.Day); w.Uint32(m.Wall); w.Uint32(m.Period) }

func (m *meta) UnmarshalWire(r *wire.Reader) {
	m.Day, m.Wall, m.Period = r.Uint32(), r.Uint32(), r.Uint32()
}

func writeKey(w *wire.Writer, k relay.PublicKey) { w.Raw(k[:]) }

func readKey(r *wire.Reader) (k relay.PublicKey) {
	r.Copy(k[:])
	return k
}

// seqKey appends seq to a prefix without touching the prefix's array.
func seqKey(prefix []byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(prefix[:len(prefix):len(prefix)], seq)
}

func seqOf(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }
