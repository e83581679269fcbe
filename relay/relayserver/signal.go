package relayserver

import (
	"slices"

	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/relay"
)

// signal is one on its way to a reader. It is sent behind the entries that are there, and is
// the first to be dropped: for a newer one, or when the reader's window is full.
type signal struct {
	to     *attachment
	sealed [relay.SignalSize]byte
}

// pass hands a client's signal to the queue's other readers.
func (p *peer) pass(f *relay.Signal) {
	p.mu.Lock()
	a, draining := p.attachments[f.Attachment], p.draining
	p.mu.Unlock()
	if a != nil && !draining {
		a.source.Signal(&f.Sealed)
	}
}

// hear takes a signal for a from another session's reader.
func (p *peer) hear(a *attachment, sealed *[relay.SignalSize]byte) {
	p.mu.Lock()
	if p.attachments[a.id] != a {
		p.mu.Unlock()
		return
	}
	if len(p.signals) >= maxSignals {
		p.signals = slices.Delete(p.signals, 0, 1)
		p.srv.metrics.Signal(metrics.SignalDropped)
	}
	p.signals = append(p.signals, signal{a, *sealed})
	p.mu.Unlock()
	p.look(a)
}

// signalled takes what waits for a, and counts it as what becomes of it.
func (p *peer) signalled(a *attachment, fate metrics.Fate) (frames []relay.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.signals) == 0 {
		return nil
	}
	p.signals = slices.DeleteFunc(p.signals, func(s signal) bool {
		if s.to == a {
			p.srv.metrics.Signal(fate)
			frames = append(frames, &relay.Signalled{Attachment: a.id, Sealed: s.sealed})
		}
		return s.to == a
	})
	if len(p.signals) == 0 {
		p.signals = nil
	}
	return frames
}
