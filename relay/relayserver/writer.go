package relayserver

import (
	"maps"
	"slices"

	"github.com/sealpost/sealpost/internal/crashpoint"
	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// turn is what the writer sends at once.
type turn struct {
	frames []relay.Frame
	room   []place // given back when the frames are written
	bytes  int     // of entries, which count in the budget until then
	last   bool
}

// write sends turns while there is something to send, and ends: an idle session has no writer,
// whose stack would be a good part of what it costs. signal starts the next one. After the
// last turn of a session that is over, or when the client takes nothing any more, it closes
// the session, which ends the reader.
func (p *peer) write() {
	for {
		t := p.next(&p.drained)
		if len(t.frames) > 0 {
			if p.writeCounted(p.session, t.frames, t.bytes) != nil {
				break
			}
			p.inFlight.give(t.room)
			for _, f := range t.frames {
				p.blobs.written(f)
			}
		}
		if t.last {
			break
		}
		if len(t.frames) == 0 && p.rests() {
			return
		}
	}
	_ = p.session.Close()
	p.inFlight.end() // a reader that waits for room gives up
	close(p.written)
}

// rests reports whether the writer may end: nothing has come since it looked, or there is
// another writer already, who looks first of all.
func (p *peer) rests() bool {
	p.writing.Store(false)
	select {
	case <-p.wake:
		return !p.writing.CompareAndSwap(false, true)
	default:
		return true
	}
}

// next collects what can be sent now: all answers, and deliveries up to maxDeliver bytes.
func (p *peer) next(drained *bool) turn {
	var t turn
	over := false
	select {
	case <-p.over:
		over = true
	default:
	}
	p.mu.Lock()
	draining, closing := p.draining, p.closing
	p.mu.Unlock()
	// Looked at before the answers are taken: what it owed is then written or among them. What a
	// client goes on asking gets its answers with that, and holds up nothing.
	settled := *drained && p.inFlight.settled() && p.unbranched()
	var more []relay.Frame
	switch {
	case over:
	case draining && !*drained:
		*drained = true
		more = p.detachAll()
	case !draining:
		more, t.bytes = p.deliveries()
	}
	// The answers are taken last and sent first: ATTACHED, given before its attachment may be
	// looked at, then stands ahead of whatever was found for it.
	p.mu.Lock()
	for _, o := range p.out {
		t.frames = append(t.frames, o.frame)
		if o.then != nil {
			t.frames = append(t.frames, o.then)
		}
		if o.room != nil {
			t.room = append(t.room, *o.room)
		}
	}
	p.out = nil
	p.mu.Unlock()
	t.frames = append(t.frames, more...)
	switch {
	case over:
		t.last = true
		if closing != 0 {
			t.frames = append(t.frames, &relay.Close{Code: closing})
		}
	case settled:
		t.last = true
		t.frames = append(t.frames, &relay.Close{Code: relay.CloseDraining})
	}
	return t
}

// detachAll ends every attachment and tells the client to reconnect. Branches are woken, and
// end themselves.
func (p *peer) detachAll() (frames []relay.Frame) {
	p.mu.Lock()
	after, all := p.reconnect, slices.Collect(maps.Values(p.attachments))
	p.ready = nil
	p.mu.Unlock()
	for _, a := range all {
		if a.branch != nil {
			p.look(a)
			continue
		}
		frames = append(frames, p.drop(a, relay.DetachDraining)...)
	}
	return append(frames, &relay.GoAway{Reconnect: after})
}

// unbranched reports whether no branch has anything to say any more.
func (p *peer) unbranched() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.branches == 0
}

// writeCounted writes frames that hold so many bytes of entries, which count in the budget of
// all sessions for as long as the client keeps the writer waiting.
func (p *peer) writeCounted(to *session.Session, frames []relay.Frame, bytes int) error {
	p.srv.kept.add(bytes)
	defer p.srv.kept.give(bytes)
	err := to.WriteFrames(frames...)
	crashpoint.At(crashpoint.Delivered)
	return err
}

// deliveries asks the attachments that are ready, in turn, for what they have.
func (p *peer) deliveries() (frames []relay.Frame, sum int) {
	for room := p.srv.kept.room(maxDeliver); room > sum; {
		p.mu.Lock()
		if len(p.ready) == 0 {
			p.ready = nil
			p.mu.Unlock()
			return frames, sum
		}
		a := p.ready[0]
		p.ready = p.ready[1:]
		a.queued = false // before it is asked: a wake-up from here on is a new look
		p.mu.Unlock()
		got, bytes := p.deliver(a, room-sum)
		frames = append(frames, got...)
		if sum += bytes; bytes > 0 {
			p.look(a) // behind the others, for one hot queue must not starve them
		}
	}
	return frames, sum
}

// deliver returns the next frames of a, with at most room bytes of entries or a single
// entry, which on a branch has to have its turn if it is larger. It returns none while the
// window is full.
func (p *peer) deliver(a *attachment, room int) (frames []relay.Frame, bytes int) {
	p.mu.Lock()
	window, asked := a.window-a.unacked, a.asked
	if a.unacked == 0 {
		window = max(window, 1) // one entry always fits, whatever the client's window
	}
	live := p.attachments[a.id] == a
	p.mu.Unlock()
	if !live {
		return nil, 0
	}
	reason, ended := a.source.Ended()
	switch {
	case asked:
		return p.drop(a, relay.DetachAsked), 0
	case ended: // of a removed reader only after its END, or long after
		return p.drop(a, reason), 0
	case window <= 0:
		p.signalled(a, metrics.SignalDropped) // too late when there is room again
		return nil, 0                         // ACK looks again
	}
	next := a.source.Next
	if a.branch != nil && !a.branch.alone {
		next = a.source.NextWithin
	}
	b, err := next(min(window, room))
	if err != nil {
		p.srv.log.Error("reading a queue failed", "err", err)
		return p.drop(a, relay.DetachFailed), 0
	}
	p.countDelivered(b.Gap, b.Entries)
	if b.Gap != nil {
		b.Gap.Attachment = a.id
		frames = append(frames, b.Gap)
		bytes++ // there may be more behind it
		p.mu.Lock()
		a.delivered = b.Gap.To
		p.mu.Unlock()
	}
	if n := len(b.Entries); n > 0 {
		frames = append(frames, &relay.Deliver{Attachment: a.id, Entries: b.Entries, Chain: b.Chain})
		p.mu.Lock()
		for _, e := range b.Entries {
			a.sent(e.Seq, len(e.Envelope))
			bytes += len(e.Envelope)
		}
		p.mu.Unlock()
	}
	if b.End != nil {
		frames = append(frames, &relay.End{Attachment: a.id, Position: *b.End})
		return append(frames, p.drop(a, relay.DetachRemoved)...), bytes
	}
	if a.branch != nil {
		a.branch.larger = b.Larger
	}
	if bytes == 0 && !b.Larger {
		frames = p.signalled(a, metrics.SignalSent) // behind all entries
	}
	return frames, bytes
}

// drop ends a and returns its last frame.
func (p *peer) drop(a *attachment, reason relay.DetachReason) []relay.Frame {
	p.mu.Lock()
	delete(p.attachments, a.id)
	p.mu.Unlock()
	a.source.Close()
	return []relay.Frame{&relay.Detached{Attachment: a.id, Reason: reason}}
}
