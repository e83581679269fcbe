package relayclient

import (
	"time"

	"github.com/sealpost/sealpost/relay"
)

func (c *Conn) wakeWriter() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// writeLoop is the only goroutine that writes.
func (c *Conn) writeLoop() {
	every := pingEvery
	if c.carrier.kind == WebTransport {
		every = udpPingEvery
	}
	ping := time.NewTicker(every)
	defer ping.Stop()
	var p probe
	for {
		select {
		case <-c.kick:
		case <-ping.C:
			c.ping()
		case <-p.due(c):
			if !p.fire(c) {
				c.fail(ErrTimeout)
				return
			}
		case <-c.closing:
			// ACKs above all; what fails here is repeated or delivered again.
			if c.writeAll() == nil {
				c.carrier.finish()
			}
			c.fail(ErrClosed)
			return
		}
		if err := c.writeAll(); err != nil {
			c.broke(err)
			return
		}
	}
}

// broke ends the session, for a part of it does not get through. If the whole session is just
// ending, what the relay says about that is the better reason: a relay that has said GOAWAY and
// CLOSE takes no more, so that writing fails before they are read.
func (c *Conn) broke(err error) {
	select {
	case <-c.done:
	case <-time.After(closeTimeout):
		c.fail(err)
	}
}

// probe asks over UDP, while a request waits and nothing is heard, whether the relay is there.
// It belongs to the writing goroutine.
type probe struct {
	timer <-chan time.Time // nil: nobody waits
	since time.Time        // it asks; zero: it does not
}

// due fires when there may be something to ask.
func (p *probe) due(c *Conn) <-chan time.Time {
	if p.timer == nil && c.carrier.kind == WebTransport && c.awaits() {
		wait := probeAfter - c.carrier.silent()
		if wait <= 0 { // it has asked just now, or nobody has waited so far
			wait = probeAfter
		}
		p.timer = time.After(wait)
	}
	return p.timer
}

// fire asks if there is reason to. It reports false when it has asked for too long.
func (p *probe) fire(c *Conn) bool {
	p.timer = nil
	silent := c.carrier.silent()
	if !c.awaits() || silent < probeAfter {
		p.since = time.Time{}
		return true
	}
	if silent < time.Since(p.since) { // it was answered, or has not asked yet
		p.since = time.Now()
	}
	c.ping()
	return time.Since(p.since) < probeFor
}

// ping has the next write begin with a PING.
func (c *Conn) ping() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pingDue = true
}

// awaits reports whether a request or a PING has no answer yet.
func (c *Conn) awaits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.inFlight) > 0 || c.pings > c.pongs
}

// writeAll sends until nothing is due. It returns the Conn's error once it has
// ended.
func (c *Conn) writeAll() error {
	for {
		frames, err := c.due()
		if len(frames) == 0 || err != nil {
			return err
		}
		for _, f := range frames {
			c.show(true, f)
		}
		if err := c.session.WriteFrames(frames...); err != nil {
			return err
		}
	}
}

// due takes the frames to send next. ACKs go first: they open windows and cost
// little. Requests follow in order, while there is room in flight.
func (c *Conn) due() ([]relay.Frame, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	var frames []relay.Frame
	if c.pingDue {
		c.pingDue = false
		c.pings++
		frames = append(frames, &relay.Ping{Value: c.pings})
	}
	for s := range c.acks {
		frames = append(frames, s.dueFrames()...)
	}
	clear(c.acks)
	n, size := 0, 0
	for n < len(c.waiting) && len(c.inFlight) < maxInFlight && c.flightBytes < maxFlightBytes && size < writeBatch {
		r := c.waiting[n]
		c.inFlight[r.frame.RequestNumber()] = r
		frames = append(frames, r.frame)
		size += r.size
		c.flightBytes += r.size
		c.waitingBytes -= r.size
		n++
	}
	if n > 0 {
		// Copied down rather than resliced: sent envelopes are not kept alive.
		rest := copy(c.waiting, c.waiting[n:])
		clear(c.waiting[rest:])
		c.waiting = c.waiting[:rest]
		c.room.Broadcast()
	}
	return frames, nil
}

// show gives f to the FrameTap. The codec is canonical, so a received frame is
// encoded to the bytes that came.
func (c *Conn) show(sent bool, f relay.Frame) {
	if c.tap == nil {
		return
	}
	if b, err := relay.AppendFrame(nil, f); err == nil {
		c.tap(sent, b)
	}
}
