package relayclient

import (
	"fmt"
	"sync"

	"github.com/sealpost/sealpost/relay"
)

const (
	// maxPromises bounds what a stream remembers of answers that its log has not
	// reached. Each is an answer to a request of our own.
	maxPromises = 4096
	// reserved places of events are for the last event.
	reserved = 1
)

// A Stream is one attachment: the verified log of one queue, in order.
//
// The caller takes Events and calls Ack for what it has stored; the relay stops
// when a window of bytes is delivered and not acked, so what a slow caller
// leaves in memory is bounded.
type Stream struct {
	// Head is the queue's last entry when the relay answered, LastCommit its
	// last COMMIT entry (zero if none). Both are checked when the log gets there.
	Head, LastCommit relay.Position

	conn       *Conn
	attachment uint64
	queue      relay.QueueID
	window     int
	events     chan Event

	// Guarded by the Conn's handling.
	branch   *branch               // where its frames come; nil is the session's own stream
	known    bool                  // position is set; not so at first for a caller without one
	position relay.Position        // everything up to here is verified
	promises map[uint64]relay.Hash // chain at later seqs of this incarnation

	mu        sync.Mutex
	err       error  // why the stream ended, unless by Detached
	finished  bool   // events is closed
	detaching bool   // what comes is dropped until DETACHED
	delivered uint64 // the last seq yielded
	unacked   []sized
	bytes     int // sum of unacked
	acked     uint64
	ackDue    bool
	signals   []*relay.Signal // to send
	detachDue bool
}

// sized is what one entry holds of the window.
type sized struct {
	seq   uint64
	bytes int
}

func newStream(c *Conn, m *relay.Attach, f *relay.Attached) *Stream {
	s := &Stream{
		Head: f.Head, LastCommit: f.LastCommit,
		conn: c, attachment: f.Attachment, queue: m.Queue, window: int(m.Window),
		promises: make(map[uint64]relay.Hash),
		// A frame holds at least one entry or is a gap beside one, so an honest
		// relay never fills it.
		events: make(chan Event, 2*int(m.Window)/relay.MinEnvelope+64),
	}
	if m.Position != nil {
		s.known, s.position, s.delivered = true, *m.Position, m.Position.Seq
		if s.position.Seq == 0 {
			// The beginning is computed, not believed.
			s.position.Chain = relay.ChainStart(c.binding.RelayKey, s.queue, s.position.Incarnation)
		}
	}
	return s
}

// Events yields what the log holds, in order. The channel is closed after
// [Detached], after [ChainBroken], or when the Conn ends; Err tells the rest.
func (s *Stream) Events() <-chan Event { return s.events }

// Err returns nil while Events is open and after Detached; [*ChainBroken] after
// that; and [ErrDisconnected] with the Conn's error when the Conn ended.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Ack tells the relay that the caller has stored everything up to seq: it opens
// the window and lets the relay erase. It is cumulative; a seq that was not
// yielded yet counts as the last that was (or as the position of the ATTACH). It
// does not wait: ACKs are merged, and one that is lost only repeats deliveries.
func (s *Stream) Ack(seq uint64) {
	s.mu.Lock()
	seq = min(seq, s.delivered)
	due := !s.finished && seq > s.acked
	if due {
		s.acked, s.ackDue = seq, true
		n := 0
		for n < len(s.unacked) && s.unacked[n].seq <= seq {
			s.bytes -= s.unacked[n].bytes
			n++
		}
		s.unacked = append(s.unacked[:0], s.unacked[n:]...)
	}
	s.mu.Unlock()
	if due {
		s.conn.schedule(s)
	}
}

// Detach asks the relay to end the attachment. Events that are queued stay;
// nothing is added to them but Detached.
func (s *Stream) Detach() {
	s.mu.Lock()
	due := !s.finished && !s.detaching
	if due {
		s.detaching, s.detachDue = true, true
	}
	s.mu.Unlock()
	if due {
		s.conn.schedule(s)
	}
}

// schedule has the writer send what s has due.
func (c *Conn) schedule(s *Stream) {
	c.mu.Lock()
	c.acks[s] = struct{}{}
	c.mu.Unlock()
	c.wakeWriter()
}

// dueFrames takes the ACK and the DETACH to send. The Conn's mu is held, and
// s.mu is taken under it, never the other way round.
func (s *Stream) dueFrames() (frames []relay.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ackDue {
		frames = append(frames, &relay.Ack{Attachment: s.attachment, Seq: s.acked})
	}
	for _, f := range s.signals {
		frames = append(frames, f)
	}
	s.signals = nil
	if s.detachDue {
		frames = append(frames, &relay.Detach{Attachment: s.attachment})
	}
	s.ackDue, s.detachDue = false, false
	return frames
}

// over reports whether frames for s are passed over.
func (s *Stream) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.finished || s.detaching
}

// yield queues an event that ends at seq. What the window does not allow ends
// the session: the memory is the caller's.
func (s *Stream) yield(e Event, seq uint64, entries ...Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		s.unacked = append(s.unacked, sized{e.Position.Seq, len(e.Envelope)})
		s.bytes += len(e.Envelope)
	}
	// The relay may overshoot by the frame that fills the window.
	if len(s.events) >= cap(s.events)-reserved || s.bytes > s.window+relay.MaxServerFrame {
		return fmt.Errorf("%w: deliveries beyond the window", ErrProtocol)
	}
	s.delivered = max(s.delivered, seq)
	s.events <- e // never waits: there is room, and whoever sends holds mu
	return nil
}

// finish closes the stream with err, after a last event if there is one.
func (s *Stream) finish(err error, last ...Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished {
		return
	}
	s.finished, s.err = true, err
	s.unacked = nil
	for _, e := range last {
		s.events <- e // in the reserved place
	}
	close(s.events)
}

// detached is the relay's last word.
func (s *Stream) detached(reason relay.DetachReason) { s.finish(nil, Detached{Reason: reason}) }

// broken ends the stream with evidence and has the relay told to stop.
func (s *Stream) broken(evidence *ChainBroken) {
	s.conn.log.Warn("relay broke a log's chain", "violation", evidence.Violation)
	s.Detach()
	s.finish(evidence, evidence)
}
