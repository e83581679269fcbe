package quicport

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/sealpost/sealpost/internal/connlimit"
	"github.com/sealpost/sealpost/internal/metrics"
)

// client is what a Port knows of one connection.
type client struct {
	place     *connlimit.Place
	handshake *connlimit.Place // among the handshakes, until it is over

	mu       sync.Mutex
	settled  bool        // guarded by mu: the handshake is over
	ended    bool        // guarded by mu
	requests int         // guarded by mu: requests that have begun and whose streams are open
	idle     *time.Timer // guarded by mu: closes a connection without one
}

// clientKey is the key of a connection's client in its context.
type clientKey struct{}

func clientOf(ctx context.Context) *client { return ctx.Value(clientKey{}).(*client) }

// Clients hear neither, only that they are refused.
var (
	errFull = errors.New("quicport: too many connections")
	errBusy = errors.New("quicport: too many handshakes")
)

// admit counts a connection at its first packet. ctx ends with the connection, or with a
// handshake that fails.
func (p *Port) admit(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	place := p.counter.Admit(info.RemoteAddr)
	if place == nil {
		return nil, errFull
	}
	handshake := p.handshakes.Admit(info.RemoteAddr)
	if handshake == nil {
		place.Release()
		p.counter.TurnedAway(metrics.Busy)
		return nil, errBusy
	}
	c := &client{place: place, handshake: handshake}
	context.AfterFunc(ctx, c.end)
	return context.WithValue(ctx, clientKey{}, c), nil
}

// settle notes that the handshake of c is over: its address is proven, and requests may come.
func (c *client) settle(conn *quic.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.settled = true
	c.handshake.Release()
	// A stream that never brings a whole header is not a request, so dripping one byte at a
	// time holds nothing open (ATTACKS R10); nor do packets without one.
	c.idle = time.AfterFunc(firstRequest, func() {
		_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
	})
}

func (c *client) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.settled {
		c.idle.Stop()
	}
	c.handshake.Release()
	c.place.Release()
}

// begin notes a request, which lasts until its stream is closed for writing: a WebTransport
// session outlives its handler.
func (c *client) begin(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	c.idle.Stop()
	context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.requests--; c.requests == 0 && !c.ended {
			c.idle.Reset(betweenRequest)
		}
	})
}

// serveHTTP counts the request and hands it on, or refuses it when the port is closing.
func (p *Port) serveHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if p.draining {
		p.mu.Unlock()
		w.Header().Set("Retry-After", "2")
		http.Error(w, "going away", http.StatusServiceUnavailable)
		return
	}
	p.requests++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.requests--; p.requests == 0 && p.draining {
			close(p.idle)
		}
	}()
	clientOf(r.Context()).begin(r.Context())
	p.handler.ServeHTTP(w, r)
}
