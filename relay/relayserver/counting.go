package relayserver

import (
	"errors"

	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/relay"
)

// measure has the series of what the relay holds ask for it.
func (s *Server) measure() {
	s.metrics.Measure(metrics.RelayGauges{
		Attachments: func() float64 { return float64(s.store.Usage().Attachments) },
		Pending:     func() float64 { return float64(s.kept.used.Load()) },
		Backlog:     func() float64 { return float64(s.store.Usage().Backlog) },
		Blobs:       func() float64 { return float64(s.store.Usage().Blobs) },
	})
}

// countOut counts what an answer tells, at the one place that all answers pass.
func (p *peer) countOut(f relay.Frame) {
	if r, ok := f.(*relay.Refused); ok {
		p.srv.metrics.Refused(uint16(r.Refusal.Code), uint8(r.Refusal.Limit))
	}
}

// countDelivered counts what a turn of an attachment has for its client.
func (p *peer) countDelivered(gap *relay.Gap, entries []relay.Entry) {
	if gap != nil {
		p.srv.metrics.Gap(uint8(gap.Reason))
	}
	if len(entries) == 0 {
		return
	}
	bytes := 0
	for i := range entries {
		bytes += len(entries[i].Envelope)
	}
	p.srv.metrics.Delivered(len(entries), bytes)
}

func operationOf(m relay.Mutation) metrics.Operation {
	switch m.(type) {
	case *relay.Append:
		return metrics.Append
	case *relay.Commit:
		return metrics.Commit
	case *relay.Knock:
		return metrics.Knock
	case *relay.Create:
		return metrics.Create
	case *relay.Configure:
		return metrics.Configure
	case *relay.Delete:
		return metrics.Delete
	case *relay.Leave:
		return metrics.Leave
	case *relay.Rekey:
		return metrics.Rekey
	}
	return metrics.Other
}

func transportOf(t carrier) metrics.Transport {
	switch t.(type) {
	case *wsStream:
		return metrics.WebSocket
	case *wtStream:
		return metrics.WebTransport
	case *pollStream:
		return metrics.Polling
	}
	return metrics.OtherTransport
}

func turnedOf(err error) metrics.Turned {
	switch {
	case errors.Is(err, errFull):
		return metrics.ServerFull
	case errors.Is(err, errPrefixFull):
		return metrics.NetworkFull
	case errors.Is(err, errDraining):
		return metrics.Draining
	}
	return metrics.OtherReason
}
