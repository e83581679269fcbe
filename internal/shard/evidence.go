package shard

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/sealpost/sealpost/internal/wire"
)

// Keys of the store's own: they begin with a zero byte, which no machine may use.
var (
	keyCheckKey = []byte{0, 'k'} // sealed constant: opens only under the right storage key
	livesKey    = []byte{0, 'l'} // the incarnations
	ringPrefix  = []byte{0, 'r'} // then uint16 batch modulo ringSize: batchRecord
)

// keyCheckValue begins alike in every format.
var keyCheckValue = fmt.Appendf(nil, "%s%d", keyCheckPrefix, Format)

const keyCheckPrefix = "sealpost shard "

func ringKey(batch uint64) []byte {
	return binary.BigEndian.AppendUint16(ringPrefix[:2:2], uint16(batch%ringSize))
}

// batchRecord is written with every batch. Badger keeps or loses a transaction as a whole,
// so a batch whose record is there is there.
type batchRecord struct {
	Batch uint64
	High  uint64 // the largest number raised so far
}

func (b *batchRecord) MarshalWire(w *wire.Writer) { w.Uint64(b.Batch); w.Uint64(b.High) }

func (b *batchRecord) UnmarshalWire(r *wire.Reader) { b.Batch = r.Uint64(); b.High = r.Uint64() }

// lives is the list of incarnations as it is stored.
type lives []Incarnation

func (l *lives) MarshalWire(w *wire.Writer) {
	wire.WriteVector(w, *l, func(w *wire.Writer, i Incarnation) {
		w.Raw(i.ID[:])
		w.Uint64(i.Floor)
		w.Uint64(i.Since)
	})
}

func (l *lives) UnmarshalWire(r *wire.Reader) {
	*l = wire.Vector(r, func(r *wire.Reader) (i Incarnation) {
		r.Copy(i.ID[:])
		i.Floor = r.Uint64()
		i.Since = r.Uint64()
		return i
	})
}

// past is what Badger itself shows at start.
type past struct {
	empty    bool  // nothing of ours was ever stored
	lives    lives // nil if lost
	last     batchRecord
	complete bool // every batch of the present life that the ring can show is there
}

// readPast reads the evidence inside Badger and writes nothing. keyKnown says that the mark
// has confirmed the storage key: a record that does not open is then ErrCorrupt, else
// ErrWrongKey.
func readPast(db *badger.DB, v *vault, keyKnown bool) (past, error) {
	txn := db.NewTransactionAt(^uint64(0), false)
	defer txn.Discard()
	snap := &Snapshot{s: &Store{vault: v}, txn: txn}
	var p past
	check, ok, err := snap.Get(keyCheckKey)
	switch {
	case err != nil && keyKnown:
		return p, err
	case err != nil:
		return p, ErrWrongKey
	case !ok:
		p.empty = db.MaxVersion() == 0
		return p, nil // nothing that was committed later can be trusted to be complete
	case string(check) != string(keyCheckValue):
		if bytes.HasPrefix(check, []byte(keyCheckPrefix)) {
			return p, fmt.Errorf("%w: the database says %q", ErrFormat, check[len(keyCheckPrefix):])
		}
		return p, ErrCorrupt
	}
	b, ok, err := snap.Get(livesKey)
	if err != nil || !ok {
		return p, err
	}
	if err := wire.Unmarshal(b, &p.lives); err != nil {
		return p, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	p.complete, err = p.readRing(snap)
	return p, err
}

// readRing finds the last batch and whether one before it is missing. A write-ahead log has
// several files, and damage in an older one drops batches from the middle.
func (p *past) readRing(snap *Snapshot) (complete bool, err error) {
	var ring []batchRecord
	var bad error
	err = snap.Scan(ringPrefix, nil, func(_, value []byte) bool {
		var rec batchRecord
		if bad = wire.Unmarshal(value, &rec); bad != nil {
			return false
		}
		ring = append(ring, rec)
		if rec.Batch > p.last.Batch {
			p.last = rec
		}
		return true
	})
	if err == nil && bad != nil {
		err = fmt.Errorf("%w: %w", ErrCorrupt, bad)
	}
	if err != nil || len(p.lives) == 0 {
		return false, err
	}
	first := p.lives[len(p.lives)-1].Since
	if p.last.Batch >= ringSize {
		first = max(first, p.last.Batch-ringSize+1)
	}
	if p.last.Batch < first {
		return false, nil
	}
	found := uint64(0)
	for _, rec := range ring {
		if rec.Batch >= first {
			found++
		}
	}
	return found == p.last.Batch-first+1, nil
}

// shortfall reports whether something that was answered may be missing.
func shortfall(ev evidence, p past) bool {
	if ev.newest == nil || !p.complete || p.last.Batch < ev.newest.Batch {
		return true
	}
	// A slot torn by a crash belonged to a batch that Badger has and nobody was answered.
	// A damaged slot with no later batch in Badger may have been the newest.
	if ev.damaged && p.last.Batch == ev.newest.Batch {
		return true
	}
	for _, life := range p.lives {
		if life.ID == ev.newest.Incarnation {
			return false
		}
	}
	return true // the mark belongs to a life that Badger knows nothing of
}
