package turns

import (
	"io"
	"net"
	"net/netip"
	"sync"

	"github.com/sealpost/sealpost/internal/connlimit"
)

// Listen returns a listener whose connections wait for a turn with what they make the server
// compute, until they are settled: each time bytes have come, before they are handed on, and
// for as long as nothing more is read and nothing is written. A TLS handshake reads, computes
// and writes. A connection that has no turn in time fails to read;
// one that would have none is closed as it comes.
func (t *Turns) Listen(l net.Listener) net.Listener { return &listener{l, t} }

type listener struct {
	net.Listener
	turns *Turns
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		network := connlimit.NetworkOf(c.RemoteAddr())
		if !l.turns.Hopeless(network) {
			return &conn{Conn: c, pace: &pace{turns: l.turns, network: network, closed: make(chan struct{})}}, nil
		}
		_ = c.Close() // nobody is told: that would take time, and the peer comes again
	}
}

// Settle ends the pacing of c, or of the connection below it (as of a [crypto/tls.Conn]): its
// handshake is over. It is called by whoever reads c, between two reads. Other connections are
// left alone.
func Settle(c net.Conn) {
	for c != nil {
		if paced, ok := c.(*conn); ok {
			paced.settle()
			return
		}
		over, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return
		}
		c = over.NetConn()
	}
}

// conn is a connection of a paced listener.
type conn struct {
	net.Conn

	mu   sync.Mutex
	pace *pace // guarded by mu; nil once it is settled
}

// pace is what a connection has until it is settled.
type pace struct {
	turns   *Turns
	network netip.Prefix
	closed  chan struct{} // closed by Close

	// Owned by the reader.
	begun Stage

	// Guarded by the conn's mu.
	ended bool
	holds bool // a turn
}

// paced returns what is left of the pacing, after giving back the turn.
func (c *conn) paced() *pace {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.give()
	return c.pace
}

// give gives back the turn, if there is one. Callers hold mu.
func (c *conn) give() {
	if c.pace != nil && c.pace.holds {
		c.pace.holds = false
		c.pace.turns.Give()
	}
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	p := c.paced()
	n, err := c.Conn.Read(b)
	if p == nil || n == 0 {
		return n, err
	}
	if p.turns.Take(p.network, p.begun, p.closed) != nil {
		return 0, ErrBusy
	}
	fresh := p.begun == Fresh
	p.begun = Begun
	c.mu.Lock()
	defer c.mu.Unlock()
	p.holds = true
	if p.ended || fresh && gone(c.Conn) {
		c.give()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	c.paced()
	return c.Conn.Write(b)
}

// settle gives back the turn and takes no other.
func (c *conn) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.give()
	c.pace = nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.mu.Lock()
	if c.pace != nil && !c.pace.ended {
		c.pace.ended = true
		close(c.pace.closed)
	}
	c.give()
	c.mu.Unlock()
	return c.Conn.Close()
}
