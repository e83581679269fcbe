//go:build !js

package relayclient

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"github.com/coder/websocket"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/relay"
)

// dialTransport opens the WebSocket over TLS 1.3.
func dialTransport(ctx context.Context, addr relay.Address, opt Options) (*websocket.Conn, error) {
	host, _, err := net.SplitHostPort(addr.Host)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", relay.ErrAddress, err)
	}
	// A transport of its own: nothing is shared with other sessions, which a
	// relay or a network could otherwise link.
	t := &http.Transport{
		// net/http lets a dial outlive its request, to reuse the connection for
		// another; here there is no other, so ctx ends both dial and handshake.
		DialTLSContext: func(_ context.Context, network, hostport string) (net.Conn, error) {
			return dialTLS(ctx, network, hostport, certpin.ClientConfig(host, (*certpin.Pin)(addr.Pin)), opt)
		},
		MaxResponseHeaderBytes: 16 << 10,
		DisableKeepAlives:      true,
	}
	ws, resp, err := websocket.Dial(ctx, "wss://"+addr.Host+relay.Path, &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport: t,
			// A redirect would carry the session to a host that nobody named.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Subprotocols:    []string{relay.Subprotocol},
		CompressionMode: websocket.CompressionDisabled,
	})
	switch {
	case err == nil && ws.Subprotocol() != relay.Subprotocol:
		ws.CloseNow()
		return nil, fmt.Errorf("%w: not the subprotocol %s", ErrProtocol, relay.Subprotocol)
	case err == nil:
		return ws, nil
	case resp != nil && resp.StatusCode != http.StatusSwitchingProtocols:
		return nil, &UpgradeError{Status: resp.StatusCode}
	}
	return nil, fmt.Errorf("relayclient: %w", err)
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
