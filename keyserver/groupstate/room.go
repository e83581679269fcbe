package groupstate

import (
	"encoding/binary"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver"
)

// evictBatch bounds the chunks that one put erases to make room: it shares the storing
// goroutine. A put that needs more erases as many and is told to come again.
const evictBatch = 64

// makeRoom counts size bytes more. A full store gives up chunks of the day that is furthest
// back: groups that live put theirs again with each epoch, and who fills the store must not
// keep everybody out for 90 days. What was put today stays, so that nobody's flood erases
// what he was just told is stored.
func (m *machine) makeRoom(tx *shard.Tx, today uint32, size uint64) (refusal any, err error) {
	total, err := m.total(tx)
	if err != nil {
		return nil, err
	}
	for range evictBatch {
		if total+size <= m.maxBytes {
			break
		}
		key, hash, err := m.oldest(tx, today)
		if err != nil {
			return nil, err
		}
		if key == nil {
			break
		}
		freed, err := m.erase(tx, [][]byte{key}, [][]byte{hash})
		if err != nil {
			return nil, err
		}
		total -= min(total, freed)
		m.evicted = key
	}
	if total+size > m.maxBytes {
		refusal, size = &keyserver.Error{Code: keyserver.CodeUnavailable, Text: "the store of chunks is full"}, 0
	}
	return refusal, m.setTotal(tx, total+size)
}

// oldest returns the due record of a chunk that was last put before today, of the oldest day
// there is; nil if there is none. It looks on from where it was, since the database passes
// slowly over what was erased, and from the start before it says that there is none.
func (m *machine) oldest(tx *shard.Tx, today uint32) (key, hash []byte, err error) {
	for {
		err := tx.Scan([]byte{kindDue}, m.evicted, func(k, h []byte) bool {
			if binary.BigEndian.Uint32(k[1:]) < today+keepDays+1 {
				key, hash = k, h
			}
			return false
		})
		if key != nil || err != nil || m.evicted == nil {
			return key, hash, err
		}
		m.evicted = nil
	}
}
