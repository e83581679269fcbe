package queue

import (
	"slices"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// books reads one queue's records, in a snapshot or in the transaction being applied.
type books struct {
	rd     shard.Reader
	namer  namer
	name   []byte // HMAC of the queue's id
	header header
	had    uint64 // header.Bytes as stored

	// lost is the gap before the present incarnation while it is not stored yet: a queue
	// moves to a new incarnation when it is first written, and reads as if it had.
	lost *gap
	old  *segment // what the header said before the move

	auth *authority // read when asked for
}

func queueName(n namer, q relay.QueueID) []byte { return n.Name('Q', q[:])[1:] }

// openBooks reads the header of the queue with this name; ok is false if there is no such
// queue. It does not move the queue to the present incarnation.
func openBooks(rd shard.Reader, n namer, name []byte) (b *books, ok bool, err error) {
	b = &books{rd: rd, namer: n, name: name}
	ok, err = b.get(b.key(kindHeader), &b.header)
	b.had = b.header.Bytes
	return b, ok, err
}

// openQueue is openBooks for a queue whose id is known, in the present incarnation.
func openQueue(rd shard.Reader, n namer, relayKey relay.RelayKey, q relay.QueueID) (b *books, ok bool, err error) {
	return openNamed(rd, n, relayKey, q, queueName(n, q))
}

// openNamed is openQueue for a queue whose name is known as well.
func openNamed(rd shard.Reader, n namer, relayKey relay.RelayKey, q relay.QueueID, name []byte) (b *books, ok bool, err error) {
	b, ok, err = openBooks(rd, n, name)
	if !ok || err != nil || b.header.State == stateGone {
		return b, ok, err
	}
	if now := relay.Incarnation(rd.Incarnation()); b.header.Incarnation != now {
		b.move(now, relay.ChainStart(relayKey, q, now))
	}
	return b, ok, nil
}

// move begins a new chain above everything that the store ever answered. The gap is never
// empty, since only a gap can tell a reader of the new incarnation.
func (b *books) move(now relay.Incarnation, start relay.Hash) {
	h := &b.header
	b.old = &segment{Incarnation: h.Incarnation, Base: h.Base, Last: h.Seq, Chain: h.Chain}
	base := max(b.rd.Floor(), h.Seq+1)
	b.lost = &gap{From: h.Seq + 1, Reason: relay.GapLost, Incarnation: now, Chain: start, last: base}
	h.Incarnation, h.Base, h.Seq, h.Chain = now, base, base, start
}

func (b *books) key(kind byte) []byte {
	return append(append(make([]byte, 0, 1+len(b.name)+12), kind), b.name...)
}

// member is the name of a reader's or writer's record.
func (b *books) member(kind byte, key relay.PublicKey) []byte {
	return append(b.key(kind), b.namer.Name(kind, b.name, key[:])[1:13]...)
}

func (b *books) get(key []byte, into wire.Unmarshaler) (bool, error) {
	v, ok, err := b.rd.Get(key)
	if !ok || err != nil {
		return false, err
	}
	if err := wire.Unmarshal(v, into); err != nil {
		return false, b.corrupt()
	}
	return true, nil
}

// corrupt is the error of a record that does not decode. It fails the operation being
// applied, so that no caller has to: nothing is ever accepted on top of such a record.
func (b *books) corrupt() error {
	if tx, ok := b.rd.(*shard.Tx); ok {
		return tx.Fail(shard.ErrCorrupt)
	}
	return shard.ErrCorrupt
}

// authority returns the queue's authority record, with the segment that a move adds.
func (b *books) authority() (*authority, error) {
	if b.auth != nil {
		return b.auth, nil
	}
	a := new(authority)
	ok, err := b.get(b.key(kindAuthority), a)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, b.corrupt() // it is written with the header and erased with it
	}
	if b.old != nil {
		a.Segments = append(a.Segments, *b.old)
		if len(a.Segments) > maxSegments {
			a.Segments = slices.Clone(a.Segments[1:])
		}
	}
	b.auth = a
	return a, nil
}

func (b *books) reader(key relay.PublicKey) (p reader, ok bool, err error) {
	ok, err = b.get(b.member(kindReader, key), &p)
	return p, ok, err
}

// everyReader calls fn for each reader's record.
func (b *books) everyReader(fn func(key []byte, p reader)) error {
	bad := false
	prefix := b.key(kindReader)
	err := b.rd.Scan(prefix, nil, func(key, value []byte) bool {
		var p reader
		if wire.Unmarshal(value, &p) != nil {
			bad = true
			return false
		}
		fn(key, p)
		return true
	})
	if bad {
		return b.corrupt()
	}
	return err
}

// incarnationOf returns the incarnation that wrote seq.
func (b *books) incarnationOf(seq uint64) (relay.Incarnation, error) {
	if seq > b.header.Base {
		return b.header.Incarnation, nil
	}
	a, err := b.authority()
	if err != nil {
		return relay.Incarnation{}, err
	}
	for _, s := range a.Segments {
		if seq > s.Base && seq <= s.Last {
			return s.Incarnation, nil
		}
	}
	return b.header.Incarnation, nil
}

// gapAt returns the first gap that ends at seq or later.
func (b *books) gapAt(seq uint64) (g *gap, err error) {
	prefix := b.key(kindGap)
	bad := false
	err = b.rd.Scan(prefix, seqKey(prefix, seq), func(key, value []byte) bool {
		g = &gap{last: seqOf(key)}
		bad = wire.Unmarshal(value, g) != nil
		return false
	})
	if bad {
		return nil, b.corrupt()
	}
	if g == nil && err == nil && b.lost != nil && seq <= b.lost.last {
		return b.lost, nil
	}
	return g, err
}

// stored is an entry with its place.
type stored struct {
	entry
	seq uint64
}

// walk calls fn for what the log holds from seq on up to end: entries one by one, and gaps,
// whose From may lie before seq. It leaves no number out: what is neither an entry nor
// explained by a gap was lost, and is given as one, together with the next entry, since the
// chain before that one is not known. fn returns false to stop.
func (b *books) walk(seq, end uint64, fn func(e *stored, g *gap) bool) error {
	for seq <= end {
		g, err := b.gapAt(seq)
		if err != nil {
			return err
		}
		if g != nil && g.From <= seq {
			if !fn(nil, g) {
				return nil
			}
			seq = g.last + 1
			continue
		}
		stop := end
		if g != nil {
			stop = min(stop, g.From-1)
		}
		next, more, err := b.walkEntries(seq, stop, fn)
		if err != nil || !more {
			return err
		}
		if next <= stop { // lost up to the next gap, or to the head
			if more, err = b.walkLost(next, g, fn); err != nil || !more {
				return err
			}
			next = b.header.Seq + 1
			if g != nil {
				next = g.last + 1
			}
		}
		seq = next
	}
	return nil
}

// walkEntries walks over entries from seq to stop and returns the number after the last one
// it gave to fn.
func (b *books) walkEntries(seq, stop uint64, fn func(*stored, *gap) bool) (next uint64, more bool, err error) {
	prefix := b.key(kindEntry)
	more = true
	var bad error
	err = b.rd.Scan(prefix, seqKey(prefix, seq), func(key, value []byte) bool {
		at := seqOf(key)
		if at > stop {
			return false
		}
		e := &stored{seq: at}
		if wire.Unmarshal(value, &e.entry) != nil {
			bad = b.corrupt()
			return false
		}
		if at != seq {
			var inc relay.Incarnation
			if inc, bad = b.incarnationOf(at); bad != nil {
				return false
			}
			more = fn(nil, &gap{From: seq, Reason: relay.GapLost, Incarnation: inc, Chain: e.Chain, last: at})
		} else {
			more = fn(e, nil)
		}
		seq = at + 1
		return more && seq <= stop
	})
	if err == nil {
		err = bad
	}
	return seq, more, err
}

// walkLost gives what is missing from seq up to the gap g, or to the head if g is nil.
func (b *books) walkLost(seq uint64, g *gap, fn func(*stored, *gap) bool) (bool, error) {
	if g != nil {
		return fn(nil, &gap{From: seq, Reason: relay.GapLost, Incarnation: g.Incarnation, Chain: g.Chain, last: g.last}), nil
	}
	h := &b.header
	return fn(nil, &gap{From: seq, Reason: relay.GapLost, Incarnation: h.Incarnation, Chain: h.Chain, last: h.Seq}), nil
}
