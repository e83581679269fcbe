package mls

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// batch is how many calls a goroutine takes at a time: less would cost more than it spreads.
const batch = 4

// inParallel calls do for 0 to n-1, on at most as many goroutines as there are processors to
// run them, all of which have ended when it returns. The error is that of the smallest number
// that has one, as if the calls were made in turn. Only what reads is done so, or writes to a
// place of its own; the application is never asked from here.
func inParallel(n int, do func(i int) error) error {
	workers := min(runtime.GOMAXPROCS(0), (n+batch-1)/batch)
	if workers <= 1 {
		for i := range n {
			if err := do(i); err != nil {
				return err
			}
		}
		return nil
	}
	var (
		next  atomic.Int64
		group sync.WaitGroup
		mu    sync.Mutex
		first = n // smallest number with an error
		found error
	)
	failed := func(i int, err error) {
		mu.Lock()
		defer mu.Unlock()
		if i < first {
			first, found = i, err
			next.Store(int64(n)) // all before i were begun already
		}
	}
	for range workers {
		group.Go(func() {
			for {
				begin := int(next.Add(batch)) - batch
				for i := begin; i < min(begin+batch, n); i++ {
					if err := do(i); err != nil {
						failed(i, err)
						break
					}
				}
				if begin >= n {
					return
				}
			}
		})
	}
	group.Wait()
	return found
}
