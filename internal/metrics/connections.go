package metrics

import vm "github.com/VictoriaMetrics/metrics"

// Connections counts who connects, below the protocols. It is safe for concurrent use.
type Connections struct {
	set    *Set
	turned counters
	tls    *vm.Counter
}

// Connections returns the group of all listeners of a process.
func (s *Set) Connections() *Connections {
	return &Connections{
		set:    s,
		turned: s.counters(connectionsRefused, "reason", reasons),
		tls:    s.set.NewCounter(tlsFailed),
	}
}

// Measure adds the gauge of open connections, which is asked from any goroutine. Call it once.
func (c *Connections) Measure(open func() float64) { c.set.gauge(connectionsOpen, open) }

// TurnedAway counts a connection that was closed as it came.
func (c *Connections) TurnedAway(why Turned) { c.turned.at(int(why)).Inc() }

// TLSFailed counts a TLS handshake over TCP that came to nothing.
func (c *Connections) TLSFailed() { c.tls.Inc() }
