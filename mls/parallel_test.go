package mls

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
)

// TestInParallel: every call is made once and has ended, and the error is that of the first
// in order.
func TestInParallel(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	for _, n := range []int{0, 1, 2, 3, 4, 5, 17, 1000} {
		calls := make([]atomic.Int32, n)
		if err := inParallel(n, func(i int) error { calls[i].Add(1); return nil }); err != nil {
			t.Error(err)
		}
		for i := range calls {
			if got := calls[i].Load(); got != 1 {
				t.Errorf("of %d, number %d was called %d times", n, i, got)
			}
		}
	}
	for first := range 40 {
		bad := map[int]error{}
		for i := first; i < 40; i += 3 {
			bad[i] = fmt.Errorf("number %d", i)
		}
		for range 20 {
			var done [40]atomic.Bool
			err := inParallel(40, func(i int) error { done[i].Store(true); return bad[i] })
			if !errors.Is(err, bad[first]) {
				t.Fatalf("%v, want number %d", err, first)
			}
			for i := range first {
				if !done[i].Load() {
					t.Fatalf("number %d was left out before %d failed", i, first)
				}
			}
		}
	}
}
