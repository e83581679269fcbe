//go:build !js

package keyserver

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/quicdial"
	"github.com/sealpost/sealpost/internal/race"
)

// Our own limits.
const (
	dialTimeout = 10 * time.Second       // of one connection, with its handshake
	headStart   = 200 * time.Millisecond // of UDP before TCP is dialled, too
	answerFirst = 3 * time.Second        // until QUIC's first packet: TCP has been dialled long before
	idleTimeout = time.Minute            // of a connection without requests
	maxHeader   = 16 << 10               // bytes of a response's header
	// tcpLasts is how long TCP is not raced again after it won: on a network that swallows UDP
	// the head start is lost once, and on the next network UDP gets its chance.
	tcpLasts = 10 * time.Minute
)

// dialer carries requests over the connection that was there first: HTTP/3 over QUIC, or
// HTTP/1.1 or HTTP/2 over TCP. What races is connections; a request is sent over one of them,
// once.
type dialer struct {
	// Static.
	addr   Address
	opts   Options
	tcp    *http.Transport
	spare  chan net.Conn // cap 1: of TCP, which won and which tcp has not taken yet
	racing chan struct{} // cap 1: held by who dials, so that there is one race at a time

	mu       sync.Mutex
	quic     *overQUIC // takes new requests; nil: none
	tcpUntil time.Time // TCP is not raced before
}

func newTransport(addr Address, opts Options) http.RoundTripper {
	d := &dialer{addr: addr, opts: opts, spare: make(chan net.Conn, 1), racing: make(chan struct{}, 1)}
	d.tcp = &http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			select {
			case c := <-d.spare:
				return c, nil
			default:
				return d.dialTCP(ctx)
			}
		},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    4,
		MaxResponseHeaderBytes: maxHeader,
	}
	return d
}

// RoundTrip sends a request over the connection that there is, or over the winner of a race.
func (d *dialer) RoundTrip(req *http.Request) (*http.Response, error) {
	over, err := d.connect(req.Context())
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	if over == nil {
		return d.tcp.RoundTrip(req)
	}
	resp, err := over.http.RoundTrip(req)
	if err != nil {
		d.drop(over) // the network may have begun to swallow UDP: the next request races again
		d.leave(over)
		return nil, err
	}
	resp.Body = &leavingBody{ReadCloser: resp.Body, leave: sync.OnceFunc(func() { d.leave(over) })}
	return resp, nil
}

// CloseIdleConnections closes what no request uses, at once or when the last one is done.
func (d *dialer) CloseIdleConnections() {
	d.tcp.CloseIdleConnections()
	select {
	case c := <-d.spare:
		c.Close()
	default:
	}
	d.mu.Lock()
	over := d.quic
	d.mu.Unlock()
	if over != nil {
		d.drop(over)
	}
}

// connect returns the QUIC connection to use, with one more user, or nil for TCP.
func (d *dialer) connect(ctx context.Context) (*overQUIC, error) {
	if over, tcp := d.have(); over != nil || tcp {
		return over, nil
	}
	select {
	case d.racing <- struct{}{}:
		defer func() { <-d.racing }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if over, tcp := d.have(); over != nil || tcp { // another request was faster
		return over, nil
	}
	return d.race(ctx)
}

// have tells what is there to send over.
func (d *dialer) have() (over *overQUIC, tcp bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.quic != nil && d.quic.conn.Context().Err() == nil {
		d.quic.users++
		return d.quic, false
	}
	return nil, d.opts.DialContext != nil && d.opts.ListenPacket == nil || time.Now().Before(d.tcpUntil)
}

// connection is what is raced: one of the two.
type connection struct {
	tcp  net.Conn
	quic *quicdial.Conn
}

func (c connection) close() {
	if c.tcp != nil {
		c.tcp.Close()
	} else {
		c.quic.Close()
	}
}

func (d *dialer) race(ctx context.Context) (*overQUIC, error) {
	won, err := race.First(ctx, connection.close,
		race.Attempt[connection]{Name: "QUIC", Run: func(ctx context.Context) (connection, error) {
			c, err := d.dialQUIC(ctx)
			return connection{quic: c}, err
		}},
		race.Attempt[connection]{Name: "TCP", After: headStart, Run: func(ctx context.Context) (connection, error) {
			c, err := d.dialTCP(ctx)
			return connection{tcp: c}, err
		}},
	)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := won.Value.tcp; c != nil {
		d.tcpUntil = time.Now().Add(tcpLasts)
		select {
		case d.spare <- c:
		default:
			c.Close()
		}
		return nil, nil
	}
	tr := &http3.Transport{DisableCompression: true, MaxResponseHeaderBytes: maxHeader}
	d.quic = &overQUIC{conn: won.Value.quic, http: tr.NewClientConn(won.Value.quic.Conn), users: 1}
	return d.quic, nil
}

func (d *dialer) dialTCP(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dial := d.opts.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	raw, err := dial(ctx, "tcp", d.addr.hostport())
	if err != nil {
		return nil, err
	}
	conf := certpin.ClientConfig(d.addr.Host, d.addr.Pin)
	conf.NextProtos = []string{"h2", "http/1.1"}
	conn := tls.Client(raw, conf)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

func (d *dialer) dialQUIC(ctx context.Context) (*quicdial.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conf := certpin.ClientConfig(d.addr.Host, d.addr.Pin)
	conf.NextProtos = []string{http3.NextProtoH3}
	return quicdial.Dial(ctx, d.addr.hostport(), conf, &quic.Config{
		HandshakeIdleTimeout:       answerFirst,
		MaxIdleTimeout:             idleTimeout,
		MaxStreamReceiveWindow:     1 << 20, // bytes; the largest answer is smaller
		MaxConnectionReceiveWindow: 2 << 20,
		MaxIncomingStreams:         -1, // a server opens HTTP/3's own three (RFC 9114 section 6.2)
		MaxIncomingUniStreams:      8,
	}, d.opts.ListenPacket)
}

// overQUIC is one connection. The dialer's mu guards its counts.
type overQUIC struct {
	conn    *quicdial.Conn
	http    *http3.ClientConn
	users   int  // requests under way
	dropped bool // takes no more of them, and is closed after the last
}

// drop has over take no more requests.
func (d *dialer) drop(over *overQUIC) {
	d.mu.Lock()
	over.dropped = true
	if d.quic == over {
		d.quic = nil
	}
	idle := over.users == 0
	d.mu.Unlock()
	if idle {
		over.conn.Close()
	}
}

// leave ends the use of one request.
func (d *dialer) leave(over *overQUIC) {
	d.mu.Lock()
	over.users--
	last := over.users == 0 && over.dropped
	d.mu.Unlock()
	if last {
		over.conn.Close()
	}
}

// leavingBody is a response's body, with whose Close its request is done.
type leavingBody struct {
	io.ReadCloser
	leave func()
}

func (b *leavingBody) Close() error {
	err := b.ReadCloser.Close()
	b.leave()
	return err
}

func (a Address) hostport() string { return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))) }
