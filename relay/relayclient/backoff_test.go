package relayclient

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"
)

func TestBackoffGrowsToItsCapAndResets(t *testing.T) {
	b := Backoff{Jitter: func(limit time.Duration) time.Duration { return limit }}
	var got []time.Duration
	for range 10 {
		got = append(got, b.Next(0, 0))
	}
	ms := time.Millisecond
	want := []time.Duration{250 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 8000 * ms, 16000 * ms, 32000 * ms, 60000 * ms, 60000 * ms}
	if !slices.Equal(got, want) {
		t.Fatalf("limits %v, want %v", got, want)
	}
	if d := b.Next(29*time.Second, 0); d != 60*time.Second {
		t.Errorf("a session of 29 s reset the backoff: %v", d)
	}
	if d := b.Next(30*time.Second, 0); d != 250*ms {
		t.Errorf("a session of 30 s did not reset the backoff: %v", d)
	}
	b.Next(0, 0)
	b.Reset()
	if d := b.Next(0, 0); d != 250*ms {
		t.Errorf("Reset did not reset the backoff: %v", d)
	}
}

func TestBackoffUsesTheWholeRange(t *testing.T) {
	var b Backoff
	low, high := false, false
	for range 1000 {
		b.Reset()
		d := b.Next(0, 0)
		if d < 0 || d >= backoffBase {
			t.Fatalf("%v is outside [0, %v)", d, backoffBase)
		}
		low, high = low || d < backoffBase/4, high || d > backoffBase*3/4
	}
	if !low || !high {
		t.Error("the jitter does not spread over its range")
	}
}

func TestBackoffFollowsGoAway(t *testing.T) {
	for _, advice := range []time.Duration{time.Millisecond, 5 * time.Second, time.Hour} {
		var b Backoff
		for range 100 {
			d := b.Next(time.Minute, advice)
			if d < min(advice, backoffCap) || d > backoffCap {
				t.Fatalf("advice %v, delay %v", advice, d)
			}
		}
		b.Jitter = func(limit time.Duration) time.Duration { return limit }
		if d := b.Next(0, 0); d != backoffBase {
			t.Fatalf("a drain counted as a failure: %v", d)
		}
	}
}

// TestBackoffGrowsWhateverTheRelayAdvises: a relay that says GOAWAY to every session at once is not
// dialled again and again.
func TestBackoffGrowsWhateverTheRelayAdvises(t *testing.T) {
	b := Backoff{Jitter: func(limit time.Duration) time.Duration { return limit }}
	var d time.Duration
	for range 12 {
		d = b.Next(time.Second, time.Millisecond)
	}
	if d != backoffCap {
		t.Errorf("a pause of %v after twelve sessions of a second, want %v", d, backoffCap)
	}
}

// TestBackoffWaitsAsLongAsItIsTold: a relay that is full says when to come again. Clients add
// up to as much, each its own, and a failure more is no reason to come sooner.
func TestBackoffWaitsAsLongAsItIsTold(t *testing.T) {
	asked := time.Duration(0)
	b := Backoff{Jitter: func(limit time.Duration) time.Duration {
		asked = max(asked, limit)
		return limit / 2
	}}
	full := fmt.Errorf("dial: %w", errors.Join(io.EOF, &UpgradeError{Status: 429, RetryAfter: 20 * time.Second}))
	if d := b.Next(0, RetryAfter(full)); d != 30*time.Second || asked != 20*time.Second {
		t.Errorf("it waits %v, with a jitter below %v", d, asked)
	}
	if d := b.Next(0, RetryAfter(&UpgradeError{Status: 503, RetryAfter: 18 * time.Hour})); d != backoffCap {
		t.Errorf("a hostile one silences a client for %v", d)
	}
	if d := RetryAfter(io.EOF); d != 0 {
		t.Errorf("nobody said %v", d)
	}
}
