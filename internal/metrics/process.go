package metrics

import (
	"runtime"
	goruntime "runtime/metrics"
)

// process adds what Go's runtime says of itself; what the system says of the process is added
// where all is written.
func (s *Set) process() {
	s.gauge(goGoroutines, func() float64 { return float64(runtime.NumGoroutine()) })
	for name, source := range map[string]string{
		goHeap:      "/memory/classes/heap/objects:bytes",
		goMemory:    "/memory/classes/total:bytes",
		goCollected: "/gc/cycles/total:gc-cycles",
	} {
		s.gauge(name, func() float64 {
			sample := []goruntime.Sample{{Name: source}}
			goruntime.Read(sample)
			if sample[0].Value.Kind() != goruntime.KindUint64 {
				return 0 // a Go that does not know it
			}
			return float64(sample[0].Value.Uint64())
		})
	}
}
