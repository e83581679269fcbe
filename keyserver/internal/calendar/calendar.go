// Package calendar is the day by which the key server's stores expire things. It follows the
// wall clock, but never steps back, and only a sweep moves it, by one: a clock that jumps a
// year ahead expires nothing before its operator can notice (ATTACKS R24).
//
// Start with [Today]. What is stored is stamped with [Stamp], not with the day that expires:
// after a long halt that one moves faster than time until it has caught up.
package calendar

import (
	"encoding/binary"
	"time"

	"github.com/sealpost/sealpost/internal/shard"
)

// Of is the number of days since 1970.
func Of(t time.Time) uint32 { return uint32(max(t.Unix(), 0) / 86400) }

// Today returns the day that key holds, or the wall clock's when there is none yet. A record
// of another size is shard.ErrCorrupt: a day that is not known may expire everything.
func Today(r shard.Reader, key []byte, now time.Time) (uint32, error) {
	b, ok, err := r.Get(key)
	switch {
	case err != nil:
		return 0, err
	case !ok:
		return Of(now), nil
	case len(b) != 4:
		return 0, shard.ErrCorrupt
	}
	return binary.BigEndian.Uint32(b), nil
}

// Stamp returns the day to count from for what is stored now: the wall clock's, but not one
// that is over for the store.
func Stamp(r shard.Reader, key []byte, now time.Time) (uint32, error) {
	today, err := Today(r, key, now)
	return max(today, Of(now)), err
}

// Move moves the day by one if the wall clock is ahead. Every sweep begins with it.
func Move(tx *shard.Tx, key []byte, now time.Time) error {
	today, err := Today(tx, key, now)
	if err != nil {
		return err
	}
	if today < Of(now) {
		today++
	}
	return tx.Set(key, binary.BigEndian.AppendUint32(nil, today))
}
