package metrics

import (
	"sync/atomic"
	"time"

	vm "github.com/VictoriaMetrics/metrics"
)

// Bounds of the histograms' buckets: from a solid-state disk's cache to a disk that hangs, in
// seconds; and up to a whole batch, in operations.
var (
	syncBounds  = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}
	batchBounds = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256}
)

// Store counts what one synced store does. It is safe for concurrent use.
type Store struct {
	sync, batch                *vm.PrometheusHistogram
	full, failed, incarnations *vm.Gauge
	free                       atomic.Pointer[func() float64] // nil before the store is open
}

// Store returns the group of one store.
func (s *Set) Store(name StoreName) *Store {
	of := func(what string) string { return series(what, "store", string(name)) }
	store := &Store{
		sync:         s.set.NewPrometheusHistogramExt(of(storeSync), syncBounds),
		batch:        s.set.NewPrometheusHistogramExt(of(storeBatch), batchBounds),
		full:         s.set.NewGauge(of(storeFull), nil),
		failed:       s.set.NewGauge(of(storeFailed), nil),
		incarnations: s.set.NewGauge(of(storeIncarnations), nil),
	}
	s.gauge(of(storeFree), func() float64 {
		if free := store.free.Load(); free != nil {
			return (*free)()
		}
		return 0
	})
	return store
}

// Opened notes how many lives the store has had; free is asked for the free bytes of its disk
// whenever somebody reads the series. A store that is closed and opened again, as one that begins
// a new life is, calls it again: from then on the later function is asked.
func (s *Store) Opened(lives int, free func() float64) {
	s.incarnations.Set(float64(lives))
	s.free.Store(&free)
}

// Stored counts a batch of so many operations that took so long to be on disk.
func (s *Store) Stored(operations int, took time.Duration) {
	s.batch.Update(float64(operations))
	s.sync.Update(took.Seconds())
}

// Full notes that the disk has passed the watermark, one way or the other.
func (s *Store) Full(full bool) {
	if full {
		s.full.Set(1)
		return
	}
	s.full.Set(0)
}

// Failed notes that the store accepts nothing any more.
func (s *Store) Failed() { s.failed.Set(1) }
