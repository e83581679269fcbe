package relayclient

import (
	"crypto/ed25519"
	"fmt"

	"github.com/sealpost/sealpost/relay"
)

const (
	// defaultWindow is what the relay may send ahead of the ACKs, in bytes of
	// envelopes: enough for a round trip at 1 MiB/s and 200 ms.
	defaultWindow = 256 << 10
	// maxWindow bounds what one stream holds in memory. Our server's is the same.
	maxWindow = 1 << 20
)

// Attach asks for the entries of queue after pos, in the name of reader, whose
// key is proven first. A nil or zero pos means from the oldest kept entry that
// it may read. window is how many bytes of envelopes the relay may deliver
// ahead of Stream.Ack (one entry always fits): 0 means 256 KiB, more than
// 1 MiB means 1 MiB.
//
// Errors: as of a Call. [relay.ErrRollback], and a [*ChainBroken] when the
// relay's own answer contradicts pos, are evidence against the relay.
func (c *Conn) Attach(queue relay.QueueID, reader ed25519.PrivateKey, pos *relay.Position, window uint32) *Attach {
	if window == 0 {
		window = defaultWindow
	}
	if pos != nil && pos.IsZero() {
		pos = nil
	}
	m := &relay.Attach{Queue: queue, Reader: public(reader), Window: min(window, maxWindow)}
	if pos != nil {
		m.Position = new(*pos)
	}
	a := &Attach{newFuture[*Stream]()}
	r := &request{frame: m, size: overhead}
	r.answer = func(f relay.Frame, err error) {
		switch f := f.(type) {
		case *relay.Attached:
			a.resolve(c.attachedTo(m, f))
		case *relay.Refused:
			a.resolve(nil, r.refusal(f))
		default:
			a.resolve(nil, err)
		}
	}
	c.submit(r, []proofName{{relay.ProveRead, queue, m.Reader}}, relay.Keys(reader))
	return a
}

// attachedTo makes the Stream before the next frame is read, which may be its
// first DELIVER.
func (c *Conn) attachedTo(m *relay.Attach, f *relay.Attached) (*Stream, error) {
	if c.streams[f.Attachment] != nil {
		err := fmt.Errorf("%w: an attachment number given twice", ErrProtocol)
		c.fail(err)
		return nil, disconnected(err)
	}
	s := newStream(c, m, f)
	c.streams[f.Attachment] = s
	c.queues[m.Queue] = s
	c.fresh = s
	if evidence := s.checkHead(); evidence != nil {
		s.broken(evidence)
		return nil, evidence
	}
	s.promise(f.Head)
	s.promise(f.LastCommit)
	return s, nil
}

// checkHead compares the head that the relay names with the caller's position.
// A relay that lost or restored its store has another incarnation and says so
// by a gap, which is no contradiction.
func (s *Stream) checkHead() *ChainBroken {
	if !s.known || s.Head.Incarnation != s.position.Incarnation {
		return nil
	}
	if s.Head.Seq < s.position.Seq || s.Head.Seq == s.position.Seq && s.Head.Chain != s.position.Chain {
		return &ChainBroken{Violation: RolledBack, Verified: s.position, Expected: s.position, Got: s.Head}
	}
	return nil
}
