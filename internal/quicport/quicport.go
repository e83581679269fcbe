// Package quicport serves HTTP/3 and WebTransport on one UDP socket, within limits on what a
// stranger can hold open.
//
// Start with [Open] and [Port.Serve]; [Port.Shutdown] ends both. A connection counts with
// those over TCP (internal/connlimit) from its first packet on. Over [maxHalfOpen] unfinished
// handshakes, newcomers are asked to prove their address first (RFC 9000 section 8.1.2), so
// that forged ones neither fill the limits nor get an answer larger than a third of what
// they sent; a network that has begun [maxUnproven] is asked before others, so that a few forged
// packets do not take all that it may begin. Over [maxHandshakes] newcomers are refused, and over
// [maxOfNetwork] those of one network: they go on over TCP. Session tickets are off: what is resumed would outlive the certificate that it
// was begun under.
//
// Nothing is logged: what the libraries have to say names addresses.
package quicport

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/internal/connlimit"
)

// Our own limits, each with its reason.
const (
	firstRequest   = 10 * time.Second       // from handshake to the first whole request header
	betweenRequest = 2 * time.Minute        // without a request under way, whatever packets come
	linger         = 200 * time.Millisecond // for the last answers to leave: closing does not wait for them

	maxHalfOpen    = 64              // handshakes that may be under way with addresses nobody has proven
	maxHandshakes  = 2 * maxHalfOpen // that may be under way at all: what they compute is not paced, so more are refused at once, and their clients try TCP
	maxUnproven    = maxHalfOpen / 8 // of one network that may be under way before all of it are asked for proof
	maxOfNetwork   = maxHalfOpen / 4 // of one network that may be under way at all: no few of them shut out everybody else for as long as a handshake may last
	maxHeaderBytes = 16 << 10        // of one request
)

// Config is what a Port is made of. All fields are required.
type Config struct {
	Conn     net.PacketConn     // the socket, which the Port closes
	TLS      *tls.Config        // certificates; the rest is set here
	Counter  *connlimit.Counter // shared with the other listeners
	ResetKey [32]byte           // of this socket alone: what clients of a process that died are told with (RFC 9000 section 10.3)
	QUIC     *quic.Config       // bounds one connection's streams, windows and times

	// Handler returns what answers requests. It may set how the server that it is given checks
	// origins (by default a page must come from the same host), and upgrade a CONNECT with it.
	// It is called once.
	Handler func(*webtransport.Server) http.Handler
}

// Port is an open socket. It is safe for concurrent use.
type Port struct {
	// Static after Open.
	transport *quic.Transport
	listener  *quic.Listener
	web       *webtransport.Server
	handler   http.Handler
	counter   *connlimit.Counter
	clients   sync.WaitGroup // goroutines of accepted connections; Add in Serve only

	handshakes *connlimit.Counter // of those that are accepted and not over

	mu       sync.Mutex
	draining bool          // guarded by mu
	requests int           // guarded by mu: handlers that run
	idle     chan struct{} // guarded by mu: closed when draining and no handler runs
}

// Open begins to listen; nobody is accepted before [Port.Serve]. The socket is closed if it
// fails.
func Open(cfg Config) (*Port, error) {
	p := &Port{
		counter: cfg.Counter, idle: make(chan struct{}),
		handshakes: connlimit.New(connlimit.Limits{Total: maxHandshakes, Network: maxOfNetwork, Loopback: maxHandshakes}),
	}
	p.web = &webtransport.Server{
		H3: &http3.Server{
			Handler:         http.HandlerFunc(p.serveHTTP),
			MaxHeaderBytes:  maxHeaderBytes,
			EnableDatagrams: true, // WebTransport asks for them
			Logger:          slog.New(slog.DiscardHandler),
		},
	}
	p.handler = cfg.Handler(p.web)
	reset := quic.StatelessResetKey(cfg.ResetKey)
	p.transport = &quic.Transport{
		Conn:              cfg.Conn,
		StatelessResetKey: &reset,
		VerifySourceAddress: func(from net.Addr) bool {
			return p.handshakes.Open() >= maxHalfOpen || p.handshakes.OpenOf(from) >= maxUnproven
		},
		ConnContext: p.admit,
	}
	config := cfg.TLS.Clone()
	config.MinVersion = tls.VersionTLS13
	config.NextProtos = []string{http3.NextProtoH3}
	config.SessionTicketsDisabled = true
	var err error
	p.listener, err = p.transport.Listen(config, cfg.QUIC)
	if err != nil {
		return nil, errors.Join(err, cfg.Conn.Close())
	}
	return p, nil
}

// Addr returns the socket's address.
func (p *Port) Addr() net.Addr { return p.listener.Addr() }

// Serve accepts clients until [Port.Shutdown] is called, and then returns nil; any other end
// is the socket's error. Call it once.
func (p *Port) Serve() error {
	for {
		c, err := p.listener.Accept(context.Background())
		if err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.draining {
				return nil
			}
			return err
		}
		held := clientOf(c.Context())
		held.settle(c)
		p.clients.Go(func() {
			if p.web.ServeQUICConn(c) != nil { // it could not open its control stream, or we are closing
				_ = c.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
			}
		})
	}
}

// Shutdown accepts nobody any more, refuses new requests, waits for those under way, and
// closes all connections and the socket. If ctx ends first, requests are cut off and ctx's
// error is returned. Call it once, after Serve was called.
func (p *Port) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	p.draining = true
	if p.requests == 0 {
		close(p.idle)
	}
	p.mu.Unlock()
	_ = p.listener.Close() // cannot fail before the transport is closed
	var err error
	select {
	case <-p.idle:
		p.letLeave(ctx)
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = p.web.Close() // tells every client; it has no listener of its own that could fail
	p.clients.Wait()
	return errors.Join(err, p.transport.Close(), p.transport.Conn.Close())
}

// letLeave waits a moment while there are clients, for an answer is written long before it has
// left.
func (p *Port) letLeave(ctx context.Context) {
	if p.counter.Open() == 0 {
		return
	}
	wait := time.NewTimer(linger)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}
