// Package metrics counts what a server does, for an operator's Prometheus.
//
// Start with [New], give each part of a server its own group ([Set.Relay], [Set.Store],
// [Set.Connections], [Set.Keys]), and write everything with [Set.Write]. A group that was taken
// from a Set that nobody writes counts for nobody, which is what packages do without one.
//
// Every series exists from the start and none is added later: label values are the constants of
// names.go, and what a peer sends can choose among them only, so no flood of ids, queues or
// addresses makes another series (ATTACKS R32), and none is shown (R31). What has no name of its
// own counts as "other".
//
// Counting is one atomic addition without an allocation. The histograms take a lock of their own
// for some nanoseconds, and are for what happens once in a batch.
//
// The exposition is VictoriaMetrics' library's. Prometheus' own, client_golang, gives the same
// format and brings 18 packages more, which a newcomer would wait for at the first start.
package metrics

import (
	"io"
	"strconv"
	"strings"
	"sync"

	vm "github.com/VictoriaMetrics/metrics"
)

// Set is every series of one server. It is safe for concurrent use.
type Set struct{ set *vm.Set }

var typeLines = sync.OnceFunc(func() { vm.ExposeMetadata(true) })

// New returns a Set with the series of the process itself. Each group is taken from it once.
func New() *Set {
	typeLines() // Prometheus wants to know what is a counter
	s := &Set{vm.NewSet()}
	s.process()
	return s
}

// Write writes all series in Prometheus' text format. It asks the functions that groups were
// given, on the calling goroutine.
func (s *Set) Write(w io.Writer) {
	s.set.WritePrometheus(w)
	vm.WriteProcMetrics(w)
	vm.WriteFDMetrics(w)
}

// series returns the name of a series: pairs are names and values of labels.
func series(name string, pairs ...string) string {
	if len(pairs) == 0 {
		return name
	}
	var b strings.Builder
	b.WriteString(name)
	for i := 0; i < len(pairs); i += 2 {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(pairs[i])
		b.WriteByte('=')
		b.WriteString(strconv.Quote(pairs[i+1]))
	}
	b.WriteByte('}')
	return b.String()
}

// counters are those of one name, one for each value of its label; the first is "other".
type counters []*vm.Counter

func (s *Set) counters(name, label string, values []string) counters {
	all := make(counters, len(values))
	for i, value := range values {
		all[i] = s.set.NewCounter(series(name, label, value))
	}
	return all
}

// at returns the counter of a value, or that of all values without a name.
func (c counters) at(i int) *vm.Counter {
	if i < 0 || i >= len(c) {
		i = 0
	}
	return c[i]
}

func (s *Set) gauge(name string, f func() float64) { s.set.NewGauge(name, f) }
