package relayclient

import (
	"fmt"

	"github.com/sealpost/sealpost/relay"
)

// readLoop reads the session's own stream. It never waits for a caller: a
// slow consumer of one stream holds up no answer and no other stream.
func (c *Conn) readLoop() {
	defer c.finish()
	for {
		f, err := c.session.ReadFrame()
		if err == nil {
			err = c.receive(f, nil)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// receive acts on a frame of the session's own stream, or of a branch's. An error ends the
// session.
func (c *Conn) receive(f relay.Frame, from *branch) error {
	c.handling.Lock()
	defer c.handling.Unlock()
	if c.over {
		return nil
	}
	c.show(false, f)
	return c.handle(f, from)
}

// handle acts on one frame.
func (c *Conn) handle(f relay.Frame, from *branch) error {
	fresh := c.fresh
	if from == nil {
		c.fresh = nil
	}
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
	case *relay.Stream:
		return c.onBranch(f, fresh)
	case *relay.Deliver:
		return c.onStream(f.Attachment, from, func(s *Stream) error { return s.deliver(f) })
	case *relay.Gap:
		return c.onStream(f.Attachment, from, func(s *Stream) error { return s.gap(f) })
	case *relay.End:
		return c.onStream(f.Attachment, from, func(s *Stream) error { return s.end(f) })
	case *relay.Signalled:
		return c.onStream(f.Attachment, from, func(s *Stream) error { return s.signalled(f) })
	case *relay.Detached:
		return c.detached(f, from)
	case *relay.GoAway:
		select {
		case c.goAway <- f.Reconnect:
		default:
		}
		return nil
	case *relay.Pong:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pongs = f.Value // that a byte came is what counts
		return nil
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
func (c *Conn) onStream(attachment uint64, from *branch, step func(*Stream) error) error {
	s, err := c.streamOf(attachment, from)
	if err != nil {
		return err
	}
	if s.over() {
		return nil
	}
	return step(s)
}

// streamOf finds the attachment of a frame, which comes where the attachment's frames come.
func (c *Conn) streamOf(attachment uint64, from *branch) (*Stream, error) {
	s := c.streams[attachment]
	if s == nil {
		return nil, fmt.Errorf("%w: a frame for no attachment", ErrProtocol)
	}
	if s.branch != from {
		return nil, fmt.Errorf("%w: a frame beside its attachment's branch", ErrProtocol)
	}
	return s, nil
}

func (c *Conn) detached(f *relay.Detached, from *branch) error {
	s, err := c.streamOf(f.Attachment, from)
	if err != nil {
		return err
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
