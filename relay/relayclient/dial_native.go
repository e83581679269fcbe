//go:build !js

package relayclient

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/relay"
)

// usable reports whether t can be tried. A caller that goes through a proxy of its own for TCP
// has said nothing about UDP, which would go past it.
func (o *Options) usable(t Transport) bool {
	switch t {
	case WebTransport:
		return o.ListenPacket != nil || o.DialNet == nil
	case WebSocket, LongPolling:
		return true
	}
	return false
}

// open connects, up to where the Noise handshake begins.
func open(ctx context.Context, t Transport, addr relay.Address, opt Options) (io.ReadWriteCloser, error) {
	switch t {
	case WebTransport:
		return openWebTransport(ctx, addr, opt)
	case LongPolling:
		return newPoll(addr, opt), nil
	}
	return openWebSocket(ctx, addr, opt)
}

// openWebSocket opens the WebSocket over TLS 1.3.
func openWebSocket(ctx context.Context, addr relay.Address, opt Options) (io.ReadWriteCloser, error) {
	t := httpTransport(ctx, addr, opt)
	t.DisableKeepAlives = true
	ws, resp, err := websocket.Dial(ctx, "wss://"+addr.Host+relay.Path, &websocket.DialOptions{
		HTTPClient:      &http.Client{Transport: t, CheckRedirect: noRedirect},
		Subprotocols:    []string{relay.Subprotocol},
		CompressionMode: websocket.CompressionDisabled,
	})
	switch {
	case err == nil && ws.Subprotocol() != relay.Subprotocol:
		ws.CloseNow()
		return nil, fmt.Errorf("%w: not the subprotocol %s", ErrProtocol, relay.Subprotocol)
	case err == nil:
		return newWebSocket(ws), nil
	case resp != nil && resp.StatusCode != http.StatusSwitchingProtocols:
		return nil, upgradeError(resp)
	}
	return nil, err
}

// upgradeError is what resp says, which is no session. A time of day in Retry-After is passed
// over: servers of ours say seconds, and clocks differ.
func upgradeError(resp *http.Response) *UpgradeError {
	e := &UpgradeError{Status: resp.StatusCode}
	if n, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16); err == nil {
		e.RetryAfter = time.Duration(n) * time.Second
	}
	return e
}

// noRedirect: a redirect would carry the session to a host that nobody named.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// httpTransport makes a transport for one session: nothing is shared with other sessions,
// which a relay or a network could otherwise link. It takes no proxy from the environment.
func httpTransport(ctx context.Context, addr relay.Address, opt Options) *http.Transport {
	host, _, _ := net.SplitHostPort(addr.Host) // Dial has checked it
	return &http.Transport{
		// net/http lets a dial outlive its request, to reuse the connection for
		// another; here there is no other, so ctx ends both dial and handshake.
		DialTLSContext: func(_ context.Context, network, hostport string) (net.Conn, error) {
			return dialTLS(ctx, network, hostport, certpin.ClientConfig(host, (*certpin.Pin)(addr.Pin)), opt)
		},
		DisableCompression:     true,
		MaxResponseHeaderBytes: 16 << 10,
	}
}

func dialTLS(ctx context.Context, network, hostport string, cfg *tls.Config, opt Options) (net.Conn, error) {
	dialNet := opt.DialNet
	if dialNet == nil {
		dialNet = new(net.Dialer).DialContext
	}
	raw, err := dialNet(ctx, network, hostport)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}
