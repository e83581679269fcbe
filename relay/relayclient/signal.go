package relayclient

import "github.com/sealpost/sealpost/relay"

const (
	// maxSignalsDue is how many signals of a stream wait to be sent. What is older
	// says less, so the oldest goes.
	maxSignalsDue = 8
	// maxSignalsQueued is how many events may wait for the caller before signals
	// are dropped: whoever is behind with the log has no use for them, and their
	// places are the log's.
	maxSignalsQueued = 32
)

// Signalled is a signal of somebody else who is attached to the queue: sealed
// bytes that no position and no chain says anything about. The relay may invent,
// repeat, reorder and drop it.
type Signalled struct{ Sealed [relay.SignalSize]byte }

func (Signalled) event() {}

// Signal has the relay pass sealed to whoever else is attached to the queue now.
// It does not wait, has no answer, and may be dropped anywhere.
func (s *Stream) Signal(sealed [relay.SignalSize]byte) {
	s.mu.Lock()
	due := !s.finished && !s.detaching
	if due {
		if len(s.signals) == maxSignalsDue {
			s.signals = append(s.signals[:0], s.signals[1:]...)
		}
		s.signals = append(s.signals, &relay.Signal{Attachment: s.attachment, Sealed: sealed})
	}
	s.mu.Unlock()
	if due {
		s.conn.schedule(s)
	}
}

// signalled queues a signal, or drops it.
func (s *Stream) signalled(f *relay.Signalled) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.finished && len(s.events) < maxSignalsQueued {
		s.events <- Signalled{Sealed: f.Sealed}
	}
	return nil
}
