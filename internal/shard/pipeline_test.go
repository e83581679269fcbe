package shard

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// TestR25_NobodyHearsOfABatchBelowWhich: while a batch is on its way to the disk, a full one
// is applied on top of it. Nobody hears of either before the lower one is stored; if that
// fails, both fail, and a later start knows of neither.
func TestR25_NobodyHearsOfABatchBelowWhich(t *testing.T) {
	for name, fails := range map[string]error{"it is stored": nil, "it fails": errors.New("disk")} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, m := openNotebook(t, dir)
			var applied atomic.Int64
			m.onApply = func(Env) { applied.Add(1) }
			commit, release := s.commit, make(chan struct{})
			var stored, under atomic.Int64
			s.commit = func(txn *badger.Txn, batch uint64) error {
				if under.Add(1) > 1 {
					t.Error("two batches are being stored at once")
				}
				defer under.Add(-1)
				if stored.Load() == 0 {
					<-release
					if fails != nil {
						return fails
					}
				}
				err := commit(txn, batch)
				stored.Add(1)
				return err
			}
			const ops = 1 + 2*maxBatchOps
			var told sync.WaitGroup
			var early, bad atomic.Int64
			numbers := make([]uint64, ops)
			for i := range ops {
				told.Add(1)
				s.Submit(put{id: uint64(i), fail: i%5 == 4}, func(a any, err error) {
					defer told.Done()
					switch {
					case fails == nil && stored.Load() == 0:
						early.Add(1)
					case fails != nil && !errors.Is(err, ErrFailed), fails == nil && i%5 != 4 && err != nil, i%5 == 4 && err == nil:
						bad.Add(1)
					case err == nil:
						numbers[i] = a.(uint64)
					}
				})
			}
			for applied.Load() < 1+maxBatchOps { // the batch on top is being applied
				if stored.Load() > 0 {
					t.Fatal("the first batch was stored already")
				}
			}
			close(release)
			told.Wait()
			if early.Load() > 0 || bad.Load() > 0 {
				t.Errorf("%d heard before the disk did, %d heard wrongly", early.Load(), bad.Load())
			}
			_ = s.Close()
			s, _ = openNotebook(t, dir)
			got := contents(t, s)
			if fails != nil {
				if len(got) != 0 {
					t.Errorf("%d operations of failed batches are there", len(got))
				}
				return
			}
			next := uint64(1)
			for i, n := range numbers {
				if i%5 == 4 {
					continue
				}
				if n != next || got[n] != uint64(i) {
					t.Fatalf("operation %d has number %d, want %d; on disk it is %d", i, n, next, got[n])
				}
				next++
			}
			if len(got) != int(next-1) {
				t.Errorf("%d operations on disk, want %d", len(got), next-1)
			}
		})
	}
}
