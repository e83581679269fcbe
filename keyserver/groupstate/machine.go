package groupstate

import (
	"encoding/binary"
	"time"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/internal/calendar"
)

// The kinds of records, first byte of their names; directory uses others.
const (
	kindChunk byte = 0x61 // → the chunk
	kindDay   byte = 0x62 // → the day on which it was last put
	kindDue   byte = 0x63 // ‖ day ‖ a kindDay name → hash: from this day on the chunk may go
	kindTotal byte = 0x64 // → bytes of all chunks together
	kindToday byte = 0x65 // → the day by which chunks expire (package calendar)
)

// dayKey holds the store's day.
var dayKey = []byte{kindToday}

// machine is the state machine. name is set before the first operation is submitted.
type machine struct {
	name     func(kind byte, ids ...[]byte) []byte
	maxBytes uint64
	evicted  []byte // the last that room was made with: where to look on; forgotten by a restart
}

// Apply implements shard.Machine.
func (m *machine) Apply(tx *shard.Tx, env shard.Env, op shard.Op) any {
	var answer any
	var err error
	switch op := op.(type) {
	case *putOp:
		answer, err = m.put(tx, env.Now, op)
	case sweepOp:
		answer, err = m.sweep(tx, env.Now, op)
	}
	if err != nil {
		// A record that does not decode is no error of the store's; a reserved key makes it
		// undo the whole operation.
		_ = tx.Set(nil, nil)
		return nil
	}
	return answer
}

type putOp struct {
	hash  keyserver.ChunkHash
	chunk []byte
}

// Size implements shard.Op.
func (o *putOp) Size() int { return len(o.chunk) + 256 }

func (m *machine) put(tx *shard.Tx, now time.Time, o *putOp) (any, error) {
	today, err := calendar.Stamp(tx, dayKey, now)
	if err != nil {
		return nil, err
	}
	putKey := m.name(kindDay, o.hash[:])
	before, known, err := readDay(tx, putKey)
	if err != nil {
		return nil, err
	}
	if known && before >= today {
		return true, nil
	}
	if known {
		// The chunk stays where it is; only its end moves.
		if err := tx.Delete(due(before+keepDays+1, putKey)); err != nil {
			return nil, err
		}
	} else {
		if refusal, err := m.makeRoom(tx, today, uint64(len(o.chunk))); refusal != nil || err != nil {
			return refusal, err
		}
		if err := tx.Set(m.name(kindChunk, o.hash[:]), o.chunk); err != nil {
			return nil, err
		}
	}
	if err := tx.Set(putKey, binary.BigEndian.AppendUint32(nil, today)); err != nil {
		return nil, err
	}
	return true, tx.Set(due(today+keepDays+1, putKey), o.hash[:])
}

// due is in clear but for the name inside: the sweep walks it by day.
func due(day uint32, name []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kindDue}, day), name...)
}

func (m *machine) total(tx *shard.Tx) (uint64, error) {
	b, ok, err := tx.Get(m.name(kindTotal))
	if err != nil || !ok || len(b) != 8 {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

func (m *machine) setTotal(tx *shard.Tx, n uint64) error {
	return tx.Set(m.name(kindTotal), binary.BigEndian.AppendUint64(nil, n))
}

// sweepBatch bounds the chunks that one sweep erases: it shares the storing goroutine.
const sweepBatch = 256

// sweepOp erases what is due. It is served on a nearly full disk.
type sweepOp struct {
	first bool   // of a sweep: moves the day
	from  []byte // the record to look on from
}

// sweepAnswer is how many chunks were due, and the last of them; fewer than sweepBatch means
// that all are gone.
type sweepAnswer struct {
	count int
	last  []byte
}

// Size implements shard.Op.
func (sweepOp) Size() int { return sweepBatch * 256 }

// Releases implements shard.Releaser.
func (sweepOp) Releases() bool { return true }

func (m *machine) sweep(tx *shard.Tx, now time.Time, op sweepOp) (any, error) {
	if op.first {
		if err := calendar.Move(tx, dayKey, now); err != nil {
			return nil, err
		}
	}
	today, err := calendar.Today(tx, dayKey, now)
	if err != nil {
		return nil, err
	}
	var found, hashes [][]byte
	err = tx.Scan([]byte{kindDue}, op.from, func(key, hash []byte) bool {
		if binary.BigEndian.Uint32(key[1:]) > today {
			return false
		}
		found, hashes = append(found, key), append(hashes, hash)
		return len(found) < sweepBatch
	})
	if err != nil || len(found) == 0 {
		return sweepAnswer{}, err
	}
	freed, err := m.erase(tx, found, hashes)
	if err != nil {
		return nil, err
	}
	total, err := m.total(tx)
	if err != nil {
		return nil, err
	}
	return sweepAnswer{len(found), found[len(found)-1]}, m.setTotal(tx, total-min(total, freed))
}

// erase deletes the chunks of due records and returns the bytes that they had.
func (m *machine) erase(tx *shard.Tx, dues, hashes [][]byte) (freed uint64, err error) {
	for i, key := range dues {
		hash := hashes[i]
		chunk, _, err := tx.Get(m.name(kindChunk, hash))
		if err != nil {
			return 0, err
		}
		freed += uint64(len(chunk))
		for _, k := range [][]byte{m.name(kindChunk, hash), m.name(kindDay, hash), key} {
			if err := tx.Delete(k); err != nil {
				return 0, err
			}
		}
	}
	return freed, nil
}
