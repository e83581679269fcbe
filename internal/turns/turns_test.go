package turns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/metrics"
)

// network returns one of the tests' networks.
func network(n byte) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, n, 0}), 24)
}

// queued has somebody wait, and tell in got when it has its turn.
func queued(turns *Turns, name string, n byte, stage Stage, got *[]string) {
	go func() {
		if turns.Take(network(n), stage, nil) == nil {
			*got = append(*got, name) // one at a time has a turn
			turns.Give()
		}
	}()
	synctest.Wait()
}

// TestR11_NetworksTakeTurns: a crowd of one network waits for itself, not the one who comes
// behind it from another.
func TestR11_NetworksTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New(1)
		if err := turns.Take(network(1), Fresh, nil); err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range 5 {
			queued(turns, fmt.Sprint("crowd ", i), 1, Fresh, &got)
		}
		queued(turns, "other", 2, Fresh, &got)
		turns.Give()
		synctest.Wait()
		if want := []string{"crowd 0", "other", "crowd 1", "crowd 2", "crowd 3", "crowd 4"}; !slices.Equal(got, want) {
			t.Errorf("the turns were %q", got)
		}
		if turns.free != 1 || len(turns.waiting[Fresh].networks) != 0 {
			t.Error("something of those who waited is left")
		}
	})
}

// TestR11_WhoHasBegunGoesFirst: what was computed for them is not lost; those who wait to
// begin get every fifth turn all the same.
func TestR11_WhoHasBegunGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New(1)
		if err := turns.Take(network(1), Fresh, nil); err != nil {
			t.Fatal(err)
		}
		var got []string
		for range 2 {
			queued(turns, "fresh", 1, Fresh, &got)
		}
		for range 6 {
			queued(turns, "begun", 2, Begun, &got)
		}
		turns.Give()
		synctest.Wait()
		if want := []string{"begun", "begun", "begun", "begun", "fresh", "begun", "begun", "fresh"}; !slices.Equal(got, want) {
			t.Errorf("the turns were %q", got)
		}
	})
}

// TestR11_NobodyWaitsForLong: who has no turn in five seconds is turned away, who has hung up
// at once; neither takes a turn of the others.
func TestR11_NobodyWaitsForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, set := New(1), metrics.New()
		turns.CountIn(set.Connections())
		if err := turns.Take(network(1), Fresh, nil); err != nil {
			t.Fatal(err)
		}
		begin, hungUp, answers := time.Now(), make(chan struct{}), make(chan error)
		go func() { answers <- turns.Take(network(1), Fresh, hungUp) }()
		synctest.Wait()
		close(hungUp)
		if err := <-answers; !errors.Is(err, ErrBusy) || time.Since(begin) != 0 {
			t.Errorf("who has hung up: %v after %v", err, time.Since(begin))
		}
		go func() { answers <- turns.Take(network(1), Fresh, nil) }()
		if err := <-answers; !errors.Is(err, ErrBusy) || time.Since(begin) != waitAtMost {
			t.Errorf("who waits: %v after %v", err, time.Since(begin))
		}
		go func() { answers <- turns.Take(network(1), Fresh, nil) }()
		synctest.Wait()
		turns.Give()
		if err := <-answers; err != nil {
			t.Errorf("behind them: %v", err)
		}
		turns.Give()
		if turns.free != 1 {
			t.Errorf("%d turns are free", turns.free)
		}
		var counted strings.Builder
		set.Write(&counted)
		if !strings.Contains(counted.String(), `sealpost_connections_refused_total{reason="busy"} 2`) {
			t.Errorf("what is counted:\n%s", counted.String())
		}
	})
}

// TestR11_NobodyWaitsInVain: when turns take long, a network has no more waiting than will be
// served in time; others are not held up by that. When the crowd has gone, all are welcome.
func TestR11_NobodyWaitsInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New(1)
		var served, refused atomic.Int64
		var crowd sync.WaitGroup
		come := func(n byte) {
			crowd.Go(func() {
				if turns.Take(network(n), Fresh, nil) != nil {
					refused.Add(1)
					return
				}
				served.Add(1)
				time.Sleep(100 * time.Millisecond)
				turns.Give()
			})
			synctest.Wait()
		}
		for range 40 { // of the first ones nobody knows how long they take
			come(1)
		}
		time.Sleep(3 * time.Second)
		if turns.Hopeless(network(1)) {
			t.Error("ten of them wait for a second")
		}
		for range 100 {
			come(1)
		}
		if !turns.Hopeless(network(1)) || turns.Hopeless(network(2)) {
			t.Error("one network waits in vain, and another does not")
		}
		if before := refused.Load(); before < 40 || before > 60 {
			t.Errorf("%d of 110 who would wait for eleven seconds are turned away at once", before)
		}
		come(2)
		crowd.Wait()
		if served.Load()+refused.Load() != 141 || served.Load() < 80 {
			t.Errorf("%d had their turns, and %d were turned away", served.Load(), refused.Load())
		}
		if turns.Hopeless(network(1)) {
			t.Error("nobody waits any more")
		}
	})
}

// TestNoTurns: who is paced by nothing waits for nothing.
func TestNoTurns(t *testing.T) {
	var none *Turns
	for range 3 {
		if err := none.Take(network(1), Fresh, nil); err != nil {
			t.Fatal(err)
		}
	}
	none.Give()
}
