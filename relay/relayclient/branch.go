package relayclient

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// The specification's constants (PROTOCOL.md section 4.1).
const (
	maxBranches  = 16               // that a relay writes at a time
	branchWithin = 10 * time.Second // from STREAM to its stream, and the other way round
)

// openBranches is how many we take: the relay may have written the last of a branch that
// we have not read to its end.
const openBranches = maxBranches + 5

// branch is an attachment whose frames come on a stream of its own, from STREAM to DETACHED.
// It is guarded by the Conn's handling, as are the Conn's maps of them.
type branch struct {
	attachment uint64
	key        relay.StreamKey
	late       *time.Timer   // while its stream has not come
	come       chan struct{} // closed when STREAM is here
}

// branchStream is a stream that the relay opened.
type branchStream interface {
	io.ReadWriteCloser // Write fails
	SetReadDeadline(time.Time) error
}

// A brancher is a stream of a transport that has more of them.
type brancher interface {
	// acceptBranch waits for the next stream that the relay opens, until the session ends.
	acceptBranch() (branchStream, error)
}

// onBranch acts on a STREAM: the frame before it was the ATTACHED of its attachment.
func (c *Conn) onBranch(f *relay.Stream, fresh *Stream) error {
	switch {
	case c.carrier.brancher() == nil:
		return fmt.Errorf("%w: a branch over %v", ErrProtocol, c.carrier.kind)
	case fresh == nil || fresh.attachment != f.Attachment:
		return fmt.Errorf("%w: STREAM is not directly after its ATTACHED", ErrProtocol)
	case c.branchesOpen >= openBranches:
		return fmt.Errorf("%w: too many branches", ErrProtocol)
	}
	b := c.branches[f.Name]
	switch {
	case b == nil:
		b = &branch{come: make(chan struct{})}
		b.late = time.AfterFunc(branchWithin, func() { c.fail(fmt.Errorf("%w: a branch does not come", ErrTimeout)) })
		c.branches[f.Name] = b
	case b.named():
		return fmt.Errorf("%w: two branches of one name", ErrProtocol)
	}
	b.attachment, b.key = f.Attachment, f.Key
	close(b.come)
	fresh.branch = b
	c.branchesOpen++
	return nil
}

// named reports whether the STREAM has come.
func (b *branch) named() bool {
	select {
	case <-b.come:
		return true
	default:
		return false
	}
}

// acceptBranches takes the streams that the relay opens, until the session ends. QUIC bounds
// how many are open.
func (c *Conn) acceptBranches(from brancher) {
	for {
		s, err := from.acceptBranch()
		if err != nil {
			return // the reading goroutine hears why
		}
		c.running.Go(func() {
			if err := c.readBranch(s); err != nil {
				c.broke(err)
			}
			s.Close()
		})
	}
}

// readBranch reads a branch from its name to its DETACHED.
func (c *Conn) readBranch(s branchStream) error {
	s.SetReadDeadline(time.Now().Add(branchWithin))
	var name [16]byte
	if _, err := io.ReadFull(s, name[:]); err != nil {
		return fmt.Errorf("%w: a branch without a name: %w", ErrProtocol, err)
	}
	b, err := c.arrived(name)
	if err != nil {
		return err
	}
	select {
	case <-b.come:
	case <-time.After(branchWithin):
		return fmt.Errorf("%w: a branch that no STREAM names", ErrProtocol)
	case <-c.done:
		return nil
	}
	s.SetReadDeadline(time.Time{})
	in := c.session.Receive(c.carrier.noticing(s), b.key)
	for over := false; !over; {
		f, err := in.ReadFrame()
		if err == nil {
			over, err = c.receiveOn(b, f)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = fmt.Errorf("%w: a branch ends without DETACHED", ErrProtocol)
		}
		if err != nil {
			return err
		}
	}
	c.handling.Lock()
	defer c.handling.Unlock()
	delete(c.branches, name)
	c.branchesOpen--
	return nil
}

// arrived finds the branch whose stream has come. Whoever carries the session may repeat a
// stream: its name is then in use.
func (c *Conn) arrived(name [16]byte) (*branch, error) {
	c.handling.Lock()
	defer c.handling.Unlock()
	b := c.branches[name]
	switch {
	case b == nil:
		b = &branch{come: make(chan struct{})}
		c.branches[name] = b
	case b.late == nil:
		return nil, fmt.Errorf("%w: two streams for one branch", ErrProtocol)
	default:
		b.late.Stop()
		b.late = nil
	}
	return b, nil
}

// receiveOn acts on a frame of b's stream, and tells whether it was the last one.
func (c *Conn) receiveOn(b *branch, f relay.Frame) (last bool, err error) {
	attachment := b.attachment + 1
	switch f := f.(type) {
	case *relay.Deliver:
		attachment = f.Attachment
	case *relay.Gap:
		attachment = f.Attachment
	case *relay.End:
		attachment = f.Attachment
	case *relay.Signalled:
		attachment = f.Attachment
	case *relay.Detached:
		attachment, last = f.Attachment, true
	}
	if attachment != b.attachment {
		return false, fmt.Errorf("%w: a frame that does not belong on its branch", ErrProtocol)
	}
	return last, c.receive(f, b)
}

// receiveOnly is a stream that the relay opened: nothing is written to it.
type receiveOnly struct {
	stream interface {
		io.Reader
		SetReadDeadline(time.Time) error
	}
	cancel context.CancelFunc
}

func (r receiveOnly) Read(p []byte) (int, error)        { return r.stream.Read(p) }
func (r receiveOnly) SetReadDeadline(t time.Time) error { return r.stream.SetReadDeadline(t) }
func (r receiveOnly) Write([]byte) (int, error)         { return 0, io.ErrClosedPipe }

func (r receiveOnly) Close() error {
	r.cancel()
	return nil
}
