package jitter

import (
	"testing"
	"testing/cryptotest"
	"time"
)

func TestBelow(t *testing.T) {
	for _, limit := range []time.Duration{-1, 0, 1} {
		if d := Below(limit); d != 0 {
			t.Errorf("below %d: %d", limit, d)
		}
	}
	var halves [2]int
	for range 1000 {
		d := Below(time.Minute)
		if d < 0 || d >= time.Minute {
			t.Fatalf("%v", d)
		}
		halves[d/(30*time.Second)]++
	}
	if min(halves[0], halves[1]) < 300 {
		t.Errorf("halves of %v", halves)
	}
}

// TestOneSeedOneDuration: whoever sets the randomness of a run has set this, too.
func TestOneSeedOneDuration(t *testing.T) {
	draw := func() (all [8]time.Duration) {
		cryptotest.SetGlobalRandom(t, 7)
		for i := range all {
			all[i] = Below(time.Hour)
		}
		return all
	}
	if a, b := draw(), draw(); a != b {
		t.Errorf("%v and %v", a, b)
	}
}
