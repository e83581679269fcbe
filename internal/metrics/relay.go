package metrics

import vm "github.com/VictoriaMetrics/metrics"

// Relay counts what a relay does. It is safe for concurrent use.
type Relay struct {
	set *Set

	accepted, refused, limited, gaps, signals, turned counters

	delivered, deliveredBytes, handshakes *vm.Counter

	sessions []*vm.Gauge
}

// RelayGauges are asked whenever somebody reads the series, from any goroutine.
type RelayGauges struct {
	Attachments func() float64
	Pending     func() float64 // bytes of entries that clients are slow to take
	Backlog     func() float64 // bytes of entries stored
	Blobs       func() float64 // bytes of blobs stored
}

// Relay returns the relay's group.
func (s *Set) Relay() *Relay {
	r := &Relay{
		set:            s,
		accepted:       s.counters(relayAccepted, "operation", operations),
		limited:        s.counters(relayRefused, "reason", limits),
		gaps:           s.counters(relayGaps, "reason", gaps),
		signals:        s.counters(relaySignals, "fate", fates),
		turned:         s.counters(relayTurnedAway, "reason", reasons),
		delivered:      s.set.NewCounter(relayDelivered),
		deliveredBytes: s.set.NewCounter(relayDeliveredBytes),
		handshakes:     s.set.NewCounter(relayHandshakes),
	}
	for i, reason := range refusals {
		if i == codeLimit {
			r.refused = append(r.refused, r.limited[0])
			continue
		}
		r.refused = append(r.refused, s.set.NewCounter(series(relayRefused, "reason", reason)))
	}
	for _, t := range transports {
		r.sessions = append(r.sessions, s.set.NewGauge(series(relaySessions, "transport", t), nil))
	}
	return r
}

// Measure adds the gauges. Call it once.
func (r *Relay) Measure(g RelayGauges) {
	r.set.gauge(relayAttachments, g.Attachments)
	r.set.gauge(relayPending, g.Pending)
	r.set.gauge(relayBacklog, g.Backlog)
	r.set.gauge(relayBlobs, g.Blobs)
}

// Accepted counts an operation that was answered with yes, first time or again.
func (r *Relay) Accepted(o Operation) { r.accepted.at(int(o)).Inc() }

// Refused counts a refusal by its code, and limit, in the protocol.
func (r *Relay) Refused(code uint16, limit uint8) {
	if code == codeLimit || code == codeQuota && limit != 0 {
		r.limited.at(int(limit)).Inc()
		return
	}
	r.refused.at(int(code)).Inc()
}

// Delivered counts entries of so many bytes that were handed to a session for its client.
func (r *Relay) Delivered(entries, bytes int) {
	r.delivered.Add(entries)
	r.deliveredBytes.Add(bytes)
}

// Gap counts a gap that a reader was told of, by its reason in the protocol.
func (r *Relay) Gap(reason uint8) { r.gaps.at(int(reason)).Inc() }

// Signal counts what became of a signal for one reader.
func (r *Relay) Signal(f Fate) { r.signals.at(int(f)).Inc() }

// SessionBegins counts a session that is past its handshake, until SessionEnds.
func (r *Relay) SessionBegins(t Transport) { r.of(t).Inc() }

// SessionEnds undoes SessionBegins.
func (r *Relay) SessionEnds(t Transport) { r.of(t).Dec() }

func (r *Relay) of(t Transport) *vm.Gauge {
	if int(t) >= len(r.sessions) {
		t = OtherTransport
	}
	return r.sessions[t]
}

// TurnedAway counts a session that was not let in.
func (r *Relay) TurnedAway(why Turned) { r.turned.at(int(why)).Inc() }

// HandshakeFailed counts a session that did not get to its first frame.
func (r *Relay) HandshakeFailed() { r.handshakes.Inc() }
