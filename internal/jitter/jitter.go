// Package jitter spreads what many would otherwise do at one instant. Its randomness is that of
// crypto/rand, so whatever sets that for a whole run, as a simulation does, has set all of it.
package jitter

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"time"
)

// Below returns a random duration of [0, limit), and 0 for a limit of 0 or less.
func Below(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	// The share of limit that b is of 2^64: off from uniform by less than one in 2^64/limit.
	high, _ := bits.Mul64(binary.BigEndian.Uint64(b[:]), uint64(limit))
	return time.Duration(high)
}
