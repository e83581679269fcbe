package relayclient

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// A Conn is one session. One goroutine reads and one writes, and over WebTransport one more
// reads each branch. Dial starts them, and Close waits for all, and for what the race has left
// behind.
type Conn struct {
	carrier *carrier
	session *session.Session
	binding relay.Binding // static
	tap     func(sent bool, frame []byte)
	log     *slog.Logger

	done    chan struct{} // closed when every Call is resolved and every Stream closed
	goAway  chan time.Duration
	kick    chan struct{} // cap 1: the writer has something to do
	closing chan struct{} // closed by Close: the writer sends what is queued and ends
	running sync.WaitGroup

	// handling is held while a frame is acted on, whichever goroutine read it, and guards what
	// its comment says of it here and in Stream. It is taken before mu.
	handling     sync.Mutex
	over         bool                      // nothing is acted on any more
	streams      map[uint64]*Stream        // by the relay's attachment number
	queues       map[relay.QueueID]*Stream // the latest of each queue, for promises
	fresh        *Stream                   // whose ATTACHED was the last frame of the session's own stream
	branches     map[[16]byte]*branch      // by name: STREAM or the stream itself is here
	branchesOpen int                       // those whose STREAM has come

	mu           sync.Mutex
	room         sync.Cond // waiting got shorter, or err was set
	err          error     // why it ended; nil while it lives
	closed       bool      // Close was called
	lastRequest  uint64
	waiting      []*request // not sent yet, in order
	waitingBytes int
	flightBytes  int
	inFlight     map[uint64]*request  // sent, by number
	proofs       map[proofName]*proof // sent or waiting
	acks         map[*Stream]struct{} // streams with an ACK or DETACH to send
	pings, pongs uint64
	pingDue      bool
}

func newConn(t *carrier, s *session.Session, opt Options) *Conn {
	c := &Conn{
		carrier:  t,
		session:  s,
		binding:  s.Binding(),
		tap:      opt.FrameTap,
		log:      opt.Logger,
		done:     make(chan struct{}),
		goAway:   make(chan time.Duration, 1),
		kick:     make(chan struct{}, 1),
		closing:  make(chan struct{}),
		streams:  make(map[uint64]*Stream),
		queues:   make(map[relay.QueueID]*Stream),
		branches: make(map[[16]byte]*branch),
		inFlight: make(map[uint64]*request),
		proofs:   make(map[proofName]*proof),
		acks:     make(map[*Stream]struct{}),
	}
	c.room.L = &c.mu
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.running.Go(c.readLoop)
	if from := t.brancher(); from != nil {
		c.running.Go(func() { c.acceptBranches(from) })
	}
	c.running.Go(c.writeLoop)
	return c
}

// Transport returns what carries the session. It stays the same for a session.
func (c *Conn) Transport() Transport { return c.carrier.kind }

// Incarnation returns the relay's incarnation. It stays the same for a session.
func (c *Conn) Incarnation() relay.Incarnation { return c.session.Incarnation() }

// Done is closed when the Conn has ended: every Call is resolved and every
// Stream closed.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns nil while the Conn lives, then why it ended: [ErrClosed],
// [ErrTimeout], [*CloseError], [ErrProtocol], or an error of the network.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// GoAway yields once when the relay announces that it goes away: open calls are
// still answered, new ones are refused as DRAINING, and the Conn will end. The
// duration is the advice for [Backoff.Next].
func (c *Conn) GoAway() <-chan time.Duration { return c.goAway }

// Close ends the Conn. ACKs and requests that are queued are still sent if that
// takes under a second; Calls without an answer resolve to [ErrDisconnected].
// It returns when both goroutines have ended, always nil after the first call's
// work, and may be called many times.
func (c *Conn) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	if first {
		close(c.closing)
		limit := time.AfterFunc(closeTimeout, func() { c.fail(ErrClosed) })
		defer limit.Stop()
	}
	c.running.Wait()
	return nil
}

// fail ends the Conn for the first err it is given. The goroutines notice
// because the transport is closed; the reading one cleans up.
func (c *Conn) fail(err error) {
	for _, broken := range []error{session.ErrRecord, session.ErrFrameTooLarge, session.ErrMalformed, session.ErrUnexpected} {
		if errors.Is(err, broken) {
			err = fmt.Errorf("%w: %w", ErrProtocol, err)
		}
	}
	c.mu.Lock()
	if c.err == nil {
		if c.closed {
			err = ErrClosed
		}
		c.err = err
		if errors.Is(err, ErrProtocol) {
			c.log.Warn("relay broke the protocol", "err", err) // these errors hold no id
		}
	}
	c.room.Broadcast()
	c.mu.Unlock()
	c.carrier.Close()
	c.wakeWriter()
}

// finish resolves everything that is open, after which nothing is answered or delivered any
// more.
func (c *Conn) finish() {
	c.handling.Lock()
	defer c.handling.Unlock()
	c.over = true
	for _, b := range c.branches {
		if b.late != nil {
			b.late.Stop()
		}
	}
	c.mu.Lock()
	cause := disconnected(c.err)
	waiting, inFlight := c.waiting, c.inFlight
	c.waiting, c.inFlight = nil, nil
	c.mu.Unlock()
	for _, r := range inFlight {
		r.answer(nil, cause)
	}
	for _, r := range waiting {
		r.answer(nil, cause)
	}
	for _, s := range c.streams {
		s.finish(cause)
	}
	close(c.done)
}
