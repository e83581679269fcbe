package race

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

// way is an attempt that ends after some time, or with its context.
type way struct {
	after, takes time.Duration // takes 0: for ever
	err          error
	deaf         bool // does not notice that it is cancelled
}

// track runs ways and notes when each started and what was discarded.
type track struct {
	begun    map[string]time.Duration
	discards chan string
}

func (tr *track) run(ctx context.Context, ways ...way) (Won[string], error) {
	start := time.Now()
	tr.begun, tr.discards = make(map[string]time.Duration), make(chan string, len(ways))
	begun := make(chan func(), len(ways))
	var attempts []Attempt[string]
	for i, w := range ways {
		name := string(rune('a' + i))
		attempts = append(attempts, Attempt[string]{Name: name, After: w.after, Run: func(ctx context.Context) (string, error) {
			at := time.Since(start)
			begun <- func() { tr.begun[name] = at }
			var done <-chan time.Time
			if w.takes > 0 {
				done = time.After(w.takes)
			}
			cancelled := ctx.Done()
			if w.deaf {
				cancelled = nil
			}
			select {
			case <-done:
				return name, w.err
			case <-cancelled:
				return "", errors.New("cut off")
			}
		}})
	}
	won, err := First(ctx, func(s string) { tr.discards <- s }, attempts...)
	for len(begun) > 0 {
		(<-begun)()
	}
	return won, err
}

var (
	errRefused = errors.New("refused")
	errForged  = errors.New("forged")
)

// TestStages: who wins, when, and who was started when, on a fake clock.
func TestStages(t *testing.T) {
	for name, c := range map[string]struct {
		ways   []way
		winner string
		at     time.Duration
		begun  string
	}{
		"the first is fast enough": {[]way{{takes: 150 * ms}, {after: 200 * ms, takes: ms}}, "a", 150 * ms, "a0s"},
		"the first is a black hole": {
			[]way{{}, {after: 200 * ms, takes: 80 * ms}, {after: 600 * ms, takes: 80 * ms}}, "b", 280 * ms, "a0s b200ms"},
		"the second is refused": {
			[]way{{}, {after: 200 * ms, takes: 30 * ms, err: errRefused}, {after: 600 * ms, takes: 80 * ms}}, "c", 680 * ms, "a0s b200ms c600ms"},
		"the second hangs": {
			[]way{{}, {after: 200 * ms}, {after: 600 * ms, takes: 90 * ms}}, "c", 690 * ms, "a0s b200ms c600ms"},
		"both are refused at once": {
			[]way{{takes: 5 * ms, err: errRefused}, {after: 200 * ms, takes: 5 * ms, err: errRefused}, {after: 600 * ms, takes: 50 * ms}},
			"c", 60 * ms, "a0s b5ms c10ms"},
		"the first comes in late": {[]way{{takes: 250 * ms}, {after: 200 * ms, takes: 100 * ms}}, "a", 250 * ms, "a0s b200ms"},
		"a later start stays where it is after an early one": {
			[]way{{takes: 10 * ms, err: errRefused}, {after: 200 * ms}, {after: 600 * ms, takes: ms}}, "c", 601 * ms, "a0s b10ms c600ms"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tr track
				start := time.Now()
				won, err := tr.run(t.Context(), c.ways...)
				if at := time.Since(start); err != nil || won.Value != c.winner || won.Index != int(c.winner[0]-'a') || at != c.at {
					t.Errorf("%q won after %v: %v; want %q after %v", won.Value, at, err, c.winner, c.at)
				}
				won.Wait()
				var begun []string
				for i := range c.ways {
					if at, ok := tr.begun[string(rune('a'+i))]; ok {
						begun = append(begun, fmt.Sprintf("%c%v", 'a'+i, at))
					}
				}
				if got := strings.Join(begun, " "); got != c.begun {
					t.Errorf("started %q, want %q", got, c.begun)
				}
			})
		})
	}
}

// TestAllFail: the error tells each failure, and none hides another.
func TestAllFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr track
		start := time.Now()
		_, err := tr.run(t.Context(), way{takes: 900 * ms, err: errForged}, way{after: 200 * ms, takes: ms, err: errRefused}, way{after: 600 * ms, takes: ms, err: errRefused})
		if !errors.Is(err, errForged) || !errors.Is(err, errRefused) || time.Since(start) != 900*ms {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if err.Error() != "a: forged\nb: refused\nc: refused" {
			t.Errorf("it reads %q", err)
		}
	})
	if _, err := First[int](t.Context(), nil); !errors.Is(err, ErrNone) {
		t.Errorf("a race of nobody: %v", err)
	}
}

// TestContextEnds: what had failed before is told beside the cause, nothing new is started,
// and a context that has ended starts nothing but the first.
func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr track
		cause := errors.New("time is up")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 400*ms, cause)
		defer cancel()
		start := time.Now()
		_, err := tr.run(ctx, way{}, way{after: 200 * ms, takes: ms, err: errForged}, way{after: 600 * ms})
		if !errors.Is(err, cause) || !errors.Is(err, errForged) || time.Since(start) != 400*ms || len(tr.begun) != 2 {
			t.Errorf("after %v, %d started: %v", time.Since(start), len(tr.begun), err)
		}
		if _, err := tr.run(ctx, way{}, way{after: 200 * ms}); !errors.Is(err, cause) || len(tr.begun) != 1 {
			t.Errorf("%d started: %v", len(tr.begun), err)
		}
	})
}

// TestLosersAreDiscarded: a loser that cannot be stopped is thrown away when it arrives; the
// winner is told what had failed before it.
func TestLosersAreDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr track
		won, err := tr.run(t.Context(), way{takes: 10 * ms, err: errForged}, way{takes: 100 * ms, deaf: true}, way{takes: 100 * ms, deaf: true}, way{takes: 300 * ms, deaf: true}, way{})
		if err != nil || !errors.Is(won.Failed, errForged) {
			t.Fatalf("%v, failed before: %v", err, won.Failed)
		}
		won.Wait()
		close(tr.discards)
		n := 0
		for s := range tr.discards {
			if n++; s == won.Value {
				t.Errorf("the winner %q was discarded", s)
			}
		}
		if n != 2 {
			t.Errorf("%d discarded, want the two that came in late", n)
		}
	})
}
