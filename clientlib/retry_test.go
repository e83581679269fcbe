package clientlib

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// TestRaceJitterDoubles: members who lose again and again spread over twice the time each
// loss, up to a bound; nobody's pause is negative.
func TestRaceJitterDoubles(t *testing.T) {
	t.Parallel()
	for losses, limit := range map[int]time.Duration{
		0: commitJitter, 1: 2 * commitJitter, 2: 4 * commitJitter, 6: 64 * commitJitter, 7: 64 * commitJitter, 1 << 40: 64 * commitJitter,
	} {
		var longest time.Duration
		for range 1000 {
			d := raceJitter(losses)
			if d < 0 || d >= limit {
				t.Fatalf("after %d losses a pause of %v, want [0, %v)", losses, d, limit)
			}
			longest = max(longest, d)
		}
		if longest < limit/2 { // by chance once in 2^1000
			t.Errorf("after %d losses no pause of 1000 is longer than %v, half of %v", losses, longest, limit)
		}
	}
}

// TestRetryAfterIsBounded: a relay can ask for patience, and not for a year of it.
func TestRetryAfterIsBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err       error
		from, til time.Duration
	}{
		"as asked":          {&relay.Refusal{Code: relay.CodeLimit, RetryAfter: 5 * time.Second}, 5 * time.Second, 5 * time.Second},
		"wrapped":           {fmt.Errorf("append: %w", &relay.Refusal{RetryAfter: time.Millisecond}), time.Millisecond, time.Millisecond},
		"a year":            {&relay.Refusal{Code: relay.CodeLimit, RetryAfter: 365 * 24 * time.Hour}, retryLongest, retryLongest},
		"no time":           {&relay.Refusal{Code: relay.CodeLimit}, retryRefused, 2 * retryRefused},
		"negative":          {&relay.Refusal{Code: relay.CodeLimit, RetryAfter: -1}, retryRefused, 2 * retryRefused},
		"not even an error": {nil, retryRefused, 2 * retryRefused},
	} {
		for range 100 {
			if d := retryAfter(c.err); d < c.from || d > c.til {
				t.Errorf("%s: %v, want %v to %v", name, d, c.from, c.til)
			}
		}
	}
}

// TestRefusalNamesNobody: what is logged of an error is its kind.
func TestRefusalNamesNobody(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"disconnected":                 fmt.Errorf("relay.example:4433: %w", relayclient.ErrDisconnected),
		"other":                        errors.New("dial tcp 192.0.2.1:4433: refused"),
		relay.CodeUnknown.String():     fmt.Errorf("queue 07aa: %w", relay.ErrUnknown),
		relay.CodeMalformed.String():   relay.ErrMalformed,
		relay.RefusalCode(99).String(): &relay.Refusal{Code: 99},
	} {
		if got := refusalName(err); got != want {
			t.Errorf("%v is logged as %q, want %q", err, got, want)
		}
	}
}

// TestMergeRowsOldestFirst: rows sealed before and rows sealed now leave in the order in which
// the user wrote them, each once.
func TestMergeRowsOldestFirst(t *testing.T) {
	t.Parallel()
	for range 200 {
		var a, b []*row
		var want []uint64
		for id := range uint64(rand.N(20)) {
			want = append(want, id)
			if r := (&row{id: id}); rand.N(2) == 0 {
				a = append(a, r)
			} else {
				b = append(b, r)
			}
		}
		var got []uint64
		for _, r := range mergeRows(a, b) {
			got = append(got, r.id)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d and %d rows come out as %v", len(a), len(b), got)
		}
	}
}
