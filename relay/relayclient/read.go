package relayclient

import (
	"fmt"

	"github.com/sealpost/sealpost/relay"
)

// readLoop is the only goroutine that reads. It never waits for a caller: a
// slow consumer of one stream holds up no answer and no other stream.
func (c *Conn) readLoop() {
	defer c.finish()
	for {
		f, err := c.session.ReadFrame()
		if err == nil {
			c.show(false, f)
			err = c.handle(f)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// handle acts on one frame. An error ends the session.
func (c *Conn) handle(f relay.Frame) error {
	if err := checkSeqs(f); err != nil {
		return err
	}
	switch f := f.(type) {
	case *relay.Proved:
		return c.answered(f.Request, f)
	case *relay.Accepted:
		return c.answered(f.Request, f)
	case *relay.Refused:
		return c.answered(f.Request, f)
	case *relay.Attached:
		return c.answered(f.Request, f)
	case *relay.Blob:
		return c.answered(f.Request, f)
	case *relay.BlobData:
		return c.answered(f.Request, f)
	case *relay.Deliver:
		return c.onStream(f.Attachment, func(s *Stream) error { return s.deliver(f) })
	case *relay.Gap:
		return c.onStream(f.Attachment, func(s *Stream) error { return s.gap(f) })
	case *relay.End:
		return c.onStream(f.Attachment, func(s *Stream) error { return s.end(f) })
	case *relay.Signalled:
		return c.onStream(f.Attachment, func(s *Stream) error { return s.signalled(f) })
	case *relay.Detached:
		return c.detached(f)
	case *relay.GoAway:
		select {
		case c.goAway <- f.Reconnect:
		default:
		}
		return nil
	case *relay.Pong:
		return nil // that a byte came is what counts
	case *relay.Close:
		return &CloseError{Code: f.Code}
	}
	return fmt.Errorf("%w: a client's frame from the relay", ErrProtocol)
}

// answered gives an answer to its request, which must be waiting for one of its
// type.
func (c *Conn) answered(number uint64, f relay.Frame) error {
	c.mu.Lock()
	r := c.inFlight[number]
	delete(c.inFlight, number)
	if r != nil {
		c.flightBytes -= r.size
	}
	if len(c.waiting) > 0 {
		c.wakeWriter() // it may have stopped because too much was in flight
	}
	c.mu.Unlock()
	if r == nil || !answers(r.frame, f) {
		err := fmt.Errorf("%w: an answer that no request waits for", ErrProtocol)
		if r != nil {
			r.answer(nil, disconnected(err))
		}
		return err
	}
	r.answer(f, nil)
	return nil
}

func answers(request relay.Request, f relay.Frame) bool {
	switch f.(type) {
	case *relay.Refused:
		return true
	case *relay.Proved:
		_, ok := request.(*relay.Prove)
		return ok
	case *relay.Attached:
		_, ok := request.(*relay.Attach)
		return ok
	case *relay.Blob:
		_, store := request.(*relay.StoreBlob)
		_, put := request.(*relay.PutBlob)
		return store || put
	case *relay.BlobData:
		_, ok := request.(*relay.GetBlob)
		return ok
	}
	_, ok := request.(relay.Mutation)
	return ok
}

// onStream runs step for an attachment. Frames for a stream that the client has
// given up are passed over until its DETACHED.
func (c *Conn) onStream(attachment uint64, step func(*Stream) error) error {
	s := c.streams[attachment]
	if s == nil {
		return fmt.Errorf("%w: a frame for no attachment", ErrProtocol)
	}
	if s.over() {
		return nil
	}
	return step(s)
}

func (c *Conn) detached(f *relay.Detached) error {
	s := c.streams[f.Attachment]
	if s == nil {
		return fmt.Errorf("%w: DETACHED for no attachment", ErrProtocol)
	}
	delete(c.streams, f.Attachment)
	if c.queues[s.queue] == s {
		delete(c.queues, s.queue)
	}
	s.detached(f.Reason)
	return nil
}

// promise remembers what the relay answered about a queue that is being read:
// the log that it delivers must be the log that it answered for.
func (c *Conn) promise(queue relay.QueueID, p relay.Position) {
	if s := c.queues[queue]; s != nil {
		s.promise(p)
	}
}
