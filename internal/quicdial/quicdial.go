// Package quicdial opens QUIC connections (RFC 9000) as a client, each on a UDP socket of its
// own, which ends with it: nothing that a network sees is shared by two of them.
//
// Start with [Dial]. What is spoken over the connection is out of scope; so is listening.
package quicdial

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/sealpost/sealpost/internal/race"
)

// secondAddress is how long the first address has before one of the other family is tried,
// too. RFC 8305 has 250 ms for connections that are the only way; behind these stands TCP.
const secondAddress = 100 * time.Millisecond

// Listen opens the UDP socket under a connection: network is udp4 or udp6, addr any port.
type Listen func(ctx context.Context, network, addr string) (net.PacketConn, error)

// Conn is a connection and its socket.
type Conn struct {
	*quic.Conn
	transport *quic.Transport
	released  chan struct{} // closed when the socket is
}

// Dial connects to hostport (HOST:PORT) and makes the handshake, before ctx ends, after which
// it has no effect. A name is looked up by the system; if it has addresses of both families,
// one of each is tried. listen may be nil. The caller closes the Conn.
//
// Errors: those of the look-up, of the socket, and of quic-go, in which errors.Is finds those
// of crypto/tls.
func Dial(ctx context.Context, hostport string, tlsConf *tls.Config, conf *quic.Config, listen Listen) (*Conn, error) {
	addrs, err := lookup(ctx, hostport)
	if err != nil {
		return nil, err
	}
	if listen == nil {
		listen = new(net.ListenConfig).ListenPacket
	}
	if len(addrs) == 1 {
		return dial(ctx, addrs[0], tlsConf, conf, listen)
	}
	var attempts []race.Attempt[*Conn]
	for i, addr := range addrs {
		attempts = append(attempts, race.Attempt[*Conn]{
			Name: network(addr), After: time.Duration(i) * secondAddress,
			Run: func(ctx context.Context) (*Conn, error) { return dial(ctx, addr, tlsConf, conf, listen) },
		})
	}
	won, err := race.First(ctx, func(c *Conn) { c.Close() }, attempts...)
	return won.Value, err
}

// lookup returns one address, or one of each family, the resolver's favourite first.
func lookup(ctx context.Context, hostport string) ([]netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var found []netip.AddrPort
	for _, a := range all {
		a = a.Unmap()
		if len(found) == 0 || len(found) == 1 && a.Is4() != found[0].Addr().Is4() {
			found = append(found, netip.AddrPortFrom(a, uint16(number)))
		}
	}
	if len(found) == 0 {
		return nil, &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	return found, nil
}

func network(addr netip.AddrPort) string {
	if addr.Addr().Is4() {
		return "udp4"
	}
	return "udp6"
}

func dial(ctx context.Context, addr netip.AddrPort, tlsConf *tls.Config, conf *quic.Config, listen Listen) (*Conn, error) {
	// Not connected to the server's address: the system then chooses the source anew when the
	// device changes networks, and the connection goes on from there (RFC 9000 section 9).
	socket, err := listen(ctx, network(addr), ":0")
	if err != nil {
		return nil, fmt.Errorf("opening a UDP socket: %w", err)
	}
	c := &Conn{transport: &quic.Transport{Conn: socket}, released: make(chan struct{})}
	release := sync.OnceFunc(func() {
		socket.Close()      // the connection has said goodbye before
		c.transport.Close() // waits for the goroutine that read from the socket
		close(c.released)
	})
	if c.Conn, err = c.transport.Dial(ctx, net.UDPAddrFromAddrPort(addr), tlsConf, conf); err != nil {
		release()
		return nil, err
	}
	context.AfterFunc(c.Conn.Context(), release)
	return c, nil
}

// Close ends the connection, telling the server so in one packet, and returns when the socket
// is closed. Safe to call many times and from any goroutine.
func (c *Conn) Close() {
	c.CloseWithError(0, "")
	<-c.released
}
