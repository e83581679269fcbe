package sim

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

// errReset is what both ends of a connection see after the network cut it.
var errReset = errors.New("connection reset by the network")

// conn is one end of a connection. What is written arrives at the other end after the delay of
// its direction, in order, all of it or a part that ends at any byte.
type conn struct {
	in, out       *pipe
	local, remote net.Addr
	closed        func() // tells the network that this end is gone
	writing       func() // hears of every write before it happens; nil: nobody does
}

// pipe is one direction of a connection.
type pipe struct {
	mu     sync.Mutex
	change *sync.Cond  // broadcast when anything below changes
	random *rand.Rand  // of the delays: a stream of its own, so that no other connection moves it
	flying []segment   // oldest first
	ready  []byte      // has arrived
	err    error       // what a reader gets behind ready
	broken error       // what a writer gets
	last   time.Time   // when the newest segment arrives
	wrote  time.Time   // when it was written
	cutAt  int         // bytes that still pass before the network cuts the connection; negative: never
	cut    func()      // cuts both directions
	hole   bool        // the network swallows everything, and says nothing
	mute   bool        // nothing more gets on its way
	watch  func(n int) // hears of what arrives, in bytes

	readBy, writeBy time.Time
	readTimer       *time.Timer
}

// segment is data on its way. A nil one is the end of the stream.
type segment struct {
	data []byte
	at   time.Time
}

func newPipe(random *rand.Rand) *pipe {
	p := &pipe{random: random, cutAt: -1}
	p.change = sync.NewCond(&p.mu)
	return p
}

// Delays. They are drawn to the nanosecond: no two things happen at one instant, and so the order
// in which goroutines happen to run decides nothing.
const (
	leastDelay = 500 * time.Microsecond
	mostDelay  = 20 * time.Millisecond
)

func (p *pipe) delay() time.Duration {
	d := leastDelay + time.Duration(p.random.Int64N(int64(mostDelay-leastDelay)))
	if p.random.IntN(50) == 0 {
		d *= 40 // a packet that was lost and sent again
	}
	return d
}

// send puts data on its way. What is written at one instant travels together: into how many
// writes a program divides it is chance. The caller holds mu.
func (p *pipe) send(data []byte) {
	now := time.Now()
	if n := len(p.flying); n > 0 && p.wrote.Equal(now) && p.flying[n-1].data != nil && data != nil {
		p.flying[n-1].data = append(p.flying[n-1].data, data...)
		return
	}
	p.wrote = now
	at := now.Add(p.delay())
	if !at.After(p.last) {
		at = p.last.Add(time.Duration(1 + p.random.IntN(1000)))
	}
	p.last = at
	p.flying = append(p.flying, segment{data, at})
	time.AfterFunc(time.Until(at), p.arrive)
}

// arrive takes what is due from the network to the reader.
func (p *pipe) arrive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for len(p.flying) > 0 && !p.flying[0].at.After(now) {
		s := p.flying[0]
		p.flying = p.flying[1:]
		switch {
		case p.hole || p.err != nil:
		case s.data == nil:
			p.err = io.EOF
		default:
			p.ready = append(p.ready, s.data...)
			p.watch(len(s.data))
		}
	}
	p.change.Broadcast()
}

// reset ends the direction for both sides, after the delay.
func (p *pipe) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken == nil {
		p.broken = errReset
	}
	time.AfterFunc(p.delay(), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.err == nil {
			p.err = errReset
		}
		p.change.Broadcast()
	})
}

// swallow makes a hole of the direction.
func (p *pipe) swallow() {
	p.mu.Lock()
	p.hole = true
	p.mu.Unlock()
}

// hush has nothing more get on its way; what is on it arrives.
func (p *pipe) hush() {
	p.mu.Lock()
	p.mute = true
	p.mu.Unlock()
}

func (p *pipe) write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.broken != nil:
		return 0, p.broken
	case !p.writeBy.IsZero() && !time.Now().Before(p.writeBy):
		return 0, os.ErrDeadlineExceeded
	case p.hole, p.mute:
		return len(b), nil
	}
	if p.cutAt >= 0 {
		if len(b) >= p.cutAt {
			p.send(append([]byte{}, b[:p.cutAt]...))
			p.broken, p.cutAt = errReset, -1
			time.AfterFunc(time.Until(p.last)+1, p.cut)
			return len(b), nil // the writer hears of it later, as over TCP
		}
		p.cutAt -= len(b)
	}
	p.send(append([]byte{}, b...))
	return len(b), nil
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case len(p.ready) > 0:
			n := copy(b, p.ready)
			p.ready = p.ready[n:]
			return n, nil
		case p.err != nil:
			return 0, p.err
		case !p.readBy.IsZero() && !time.Now().Before(p.readBy):
			return 0, os.ErrDeadlineExceeded
		}
		p.change.Wait()
	}
}

// readUntil sets the reader's deadline, and wakes a reader that waits when it has come.
func (p *pipe) readUntil(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readBy = t
	if p.readTimer != nil {
		p.readTimer.Stop()
	}
	if !t.IsZero() {
		p.readTimer = time.AfterFunc(time.Until(t), p.change.Broadcast)
	}
	p.change.Broadcast()
}

func (p *pipe) writeUntil(t time.Time) {
	p.mu.Lock()
	p.writeBy = t
	p.mu.Unlock()
}

// finish is a close by the writer: the reader gets what is under way, then the end.
func (p *pipe) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken == nil {
		p.broken = net.ErrClosed
		p.send(nil)
	}
}

// abandon is a close by the reader.
func (p *pipe) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready, p.err = nil, net.ErrClosed
	if p.readTimer != nil {
		p.readTimer.Stop()
	}
	p.change.Broadcast()
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) { return c.in.read(b) }

// Write implements net.Conn. It never waits: the network has room for everything.
func (c *conn) Write(b []byte) (int, error) {
	if c.writing != nil {
		c.writing()
	}
	return c.out.write(b)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.out.finish()
	c.in.abandon()
	c.closed()
	return nil
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.in.readUntil(t)
	c.out.writeUntil(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.readUntil(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.writeUntil(t)
	return nil
}
