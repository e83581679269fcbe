package relayserver

import (
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/queue"
)

// mark remembers that the entries up to seq, after the mark before, have so many bytes.
type mark struct {
	seq   uint64
	bytes int
}

// attachment is one ATTACH of a session, from ATTACHED to DETACHED.
type attachment struct {
	// Static.
	id     uint64
	window int
	source *queue.Attachment
	branch *branch // nil on the session's stream

	// Guarded by the peer's mu.
	queued    bool // stands in ready
	asked     bool // DETACH came
	delivered uint64
	unacked   int    // bytes
	marks     []mark // of what is unacked, in order
}

// attach answers ATTACH. Without a proof in this session the answer is the same for every
// queue; with one, the store says UNKNOWN unless the key is a reader of it.
func (p *peer) attach(f *relay.Attach, room *place) {
	refuse := func(err error) { p.send(outgoing{frame: refused(f.Request, err), room: room}) }
	if p.isDraining() {
		refuse(relay.ErrDraining)
		return
	}
	if !p.proven(relay.ProveRead, f.Queue, f.Reader) {
		refuse(relay.ErrBadProof)
		return
	}
	p.mu.Lock()
	full := len(p.attachments) >= relay.MaxAttachments
	p.mu.Unlock()
	if full {
		refuse(&relay.Refusal{Code: relay.CodeLimit, Limit: relay.LimitAttachments, RetryAfter: retryOpen})
		return
	}
	p.lastID++
	a := &attachment{id: p.lastID, window: int(min(f.Window, maxWindow))}
	source, attached, err := p.srv.store.Attach(f.Queue, f.Reader, f.Position, func() { p.look(a) })
	if err != nil {
		refuse(err)
		return
	}
	a.source = source // nobody looks into a before it stands among the attachments
	if f.Position != nil {
		a.delivered = f.Position.Seq
	}
	attached.Request, attached.Attachment = f.Request, a.id
	answer := outgoing{frame: &attached, room: room}
	if branch, stream := p.open(attached.Head, f.Position); branch != nil {
		stream.Attachment = a.id
		a.branch, answer.then = branch, stream
	}
	if !p.admit(a, answer) {
		source.Close() // nothing was written to a branch's stream: the client never hears of it
		refuse(relay.ErrDraining)
		return
	}
	source.Hear(func(sealed *[relay.SignalSize]byte) { p.hear(a, sealed) })
	if a.branch != nil {
		p.grow(a)
	}
	if a.branch != nil || source.News() {
		p.look(a)
	}
}

// admit puts a among the attachments, in one step with the answer that tells the client of it:
// DELIVER and DETACHED come after ATTACHED, and a drain finds and detaches every attachment
// that the client hears of. It returns false, and does neither, when the drain has begun.
func (p *peer) admit(a *attachment, answer outgoing) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining {
		return false
	}
	p.out = append(p.out, answer)
	p.attachments[a.id] = a
	if a.branch != nil {
		p.branches++
	}
	p.signal()
	return true
}

// ack opens a's window and moves the stored cursor. An ACK of an attachment that has ended
// meanwhile is passed over: losing one only repeats deliveries. One of what was never
// delivered would erase entries unseen.
func (p *peer) ack(f *relay.Ack) relay.CloseCode {
	p.mu.Lock()
	a := p.attachments[f.Attachment]
	if a == nil {
		p.mu.Unlock()
		return 0
	}
	if f.Seq > a.delivered {
		p.mu.Unlock()
		return relay.CloseProtocol
	}
	freed := 0
	for len(a.marks) > 0 && a.marks[0].seq <= f.Seq {
		freed += a.marks[0].bytes
		a.marks = a.marks[1:]
	}
	a.unacked -= freed
	p.mu.Unlock()
	a.source.Ack(f.Seq)
	if freed > 0 {
		p.look(a)
	}
	return 0
}

func (p *peer) detach(f *relay.Detach) {
	p.mu.Lock()
	a := p.attachments[f.Attachment]
	if a != nil {
		a.asked = true
	}
	p.mu.Unlock()
	if a != nil {
		p.look(a)
	}
}

// sent counts entries against the window. Callers hold the peer's mu.
func (a *attachment) sent(seq uint64, bytes int) {
	a.delivered = seq
	a.unacked += bytes
	if n := len(a.marks); n > 0 && a.marks[n-1].bytes+bytes <= ackStep {
		a.marks[n-1] = mark{seq, a.marks[n-1].bytes + bytes}
		return
	}
	a.marks = append(a.marks, mark{seq, bytes})
}
