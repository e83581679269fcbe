// Package proxyline accepts TCP connections from proxies that say for whom they come, in
// version 2 of the PROXY protocol.
//
// Start with [Listen]. The header is required: a listener that takes it from some and does
// without it for others lets anybody choose an address. Version 1 is refused, and so is
// whatever names no TCP client. From the header on, the connection's RemoteAddr is the
// client's, and limits on connections count the client; before it they count in all.
//
// Out of scope: what a header may hold besides addresses, which is passed over.
package proxyline

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/sealpost/sealpost/internal/connlimit"
	"github.com/sealpost/sealpost/internal/metrics"
)

// The protocol's own sizes, in bytes.
const (
	fixedSize  = 16 // signature (12), version and command (1), family and protocol (1), length (2)
	signature  = "\r\n\r\n\x00\r\nQUIT\n"
	sizeOffset = 14
)

// Our own limits, each with its reason.
const (
	headerWithin = 5 * time.Second // from accept on; a proxy sends its header before anything else
	maxRest      = 1 << 10         // bytes after the fixed part: addresses, and what proxies add about TLS
	maxPending   = 1024            // connections whose header is awaited
)

// errHeader: the header is missing, malformed or names no TCP client.
var errHeader = errors.New("proxyline: not a header of PROXY protocol v2 for TCP")

// Listen returns a listener of the connections that peers in from bring. Others, and those
// over the limits, are closed without a word. l is closed with it.
func Listen(l net.Listener, from []netip.Prefix, counter *connlimit.Counter) net.Listener {
	p := &listener{
		Listener: l, from: slices.Clone(from), counter: counter,
		accepted: make(chan result), closed: make(chan struct{}), pending: make(map[net.Conn]struct{}),
	}
	go p.run()
	return p
}

// result is what Accept returns.
type result struct {
	conn net.Conn
	err  error
}

// listener reads headers beside each other, so that a slow one holds up nobody.
type listener struct {
	net.Listener
	from     []netip.Prefix
	counter  *connlimit.Counter
	accepted chan result
	closed   chan struct{} // closed by Close

	mu      sync.Mutex
	ended   bool                  // guarded by mu
	pending map[net.Conn]struct{} // guarded by mu: connections whose header is awaited
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case r := <-l.accepted:
		return r.conn, r.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Connections that Accept has not returned are closed.
func (l *listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return net.ErrClosed
	}
	l.ended = true
	close(l.closed)
	for c := range l.pending {
		_ = c.Close() // which ends its goroutine
	}
	return l.Listener.Close()
}

// run accepts until the listener is closed. Another error is Accept's caller's: it waits
// before it calls again, and until then so do we.
func (l *listener) run() {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if !l.hand(result{err: err}) || errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		place := l.enter(c)
		if place == nil {
			_ = c.Close() // nobody is told: that would take time, and the peer comes again
			continue
		}
		go l.bring(c, place)
	}
}

// hand gives r to Accept, or reports that the listener is closed.
func (l *listener) hand(r result) bool {
	select {
	case l.accepted <- r:
		return true
	case <-l.closed:
		return false
	}
}

// enter takes a place for a proxy's connection, or returns nil.
func (l *listener) enter(c net.Conn) *connlimit.Place {
	peer, err := netip.ParseAddrPort(c.RemoteAddr().String())
	addr := peer.Addr().Unmap().WithZone("")
	if err != nil || !slices.ContainsFunc(l.from, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		l.counter.TurnedAway(metrics.NotAProxy)
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || len(l.pending) >= maxPending {
		return nil
	}
	place := l.counter.Take()
	if place != nil {
		l.pending[c] = struct{}{}
	}
	return place
}

// bring reads the header of c and hands it on as the client's connection.
func (l *listener) bring(c net.Conn, place *connlimit.Place) {
	client, err := readHeader(c)
	l.mu.Lock()
	delete(l.pending, c)
	l.mu.Unlock()
	if err != nil {
		l.counter.TurnedAway(metrics.NotAProxy)
	}
	held := connlimit.Hold(&clientConn{c, client}, place)
	if err != nil || !place.Claim(client) || !l.hand(result{conn: held}) {
		_ = held.Close()
	}
}

// clientConn is a proxy's connection, from the header on.
type clientConn struct {
	net.Conn
	remote net.Addr
}

// RemoteAddr returns the client's address as the proxy gave it.
func (c *clientConn) RemoteAddr() net.Addr { return c.remote }

// NetConn returns the proxy's connection, as that of crypto/tls does.
func (c *clientConn) NetConn() net.Conn { return c.Conn }

// readHeader reads a header and not a byte more, and returns the client's address. A proxy
// that connects for itself, to see whether we live, is its own client.
func readHeader(c net.Conn) (net.Addr, error) {
	if err := c.SetReadDeadline(time.Now().Add(headerWithin)); err != nil {
		return c.RemoteAddr(), err
	}
	head := make([]byte, fixedSize)
	if _, err := io.ReadFull(c, head); err != nil {
		return c.RemoteAddr(), err
	}
	rest := int(binary.BigEndian.Uint16(head[sizeOffset:]))
	if !bytes.HasPrefix(head, []byte(signature)) || rest > maxRest {
		return c.RemoteAddr(), errHeader
	}
	head = append(head, make([]byte, rest)...)
	if _, err := io.ReadFull(c, head[fixedSize:]); err != nil {
		return c.RemoteAddr(), err
	}
	client, err := parse(head)
	if err != nil {
		return c.RemoteAddr(), err
	}
	if client == nil {
		return c.RemoteAddr(), c.SetReadDeadline(time.Time{})
	}
	return client, c.SetReadDeadline(time.Time{})
}

// parse returns the address in a whole header, nil if it is the proxy's own connection.
func parse(header []byte) (net.Addr, error) {
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(header)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errHeader, err)
	}
	if h.Version != 2 {
		return nil, errHeader
	}
	if h.Command.IsLocal() {
		return nil, nil
	}
	if h.TransportProtocol != proxyproto.TCPv4 && h.TransportProtocol != proxyproto.TCPv6 {
		return nil, errHeader
	}
	return h.SourceAddr, nil
}
