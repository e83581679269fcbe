package connlimit

import "net"

// Listen returns a listener that closes connections over the limits as they come: whoever is
// in stays in, and those turned away cost one descriptor for a moment.
func (c *Counter) Listen(l net.Listener) net.Listener { return &listener{l, c} }

type listener struct {
	net.Listener
	counter *Counter
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if place := l.counter.Admit(c.RemoteAddr()); place != nil {
			return Hold(c, place), nil
		}
		_ = c.Close() // nobody is told: that would take time, and the peer comes again
	}
}

// Hold returns c with its place, which is given back when it is closed, as often as that may
// happen.
func Hold(c net.Conn, place *Place) net.Conn { return &countedConn{c, place} }

type countedConn struct {
	net.Conn
	place *Place
}

// NetConn returns the connection below, as that of crypto/tls does.
func (c *countedConn) NetConn() net.Conn { return c.Conn }

// Close implements net.Conn.
func (c *countedConn) Close() error {
	defer c.place.Release()
	return c.Conn.Close()
}
