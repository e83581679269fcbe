package main

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/relay/relayclient"
)

// TestServeBehindAProxy: a session through a listed proxy that says who comes, and none for
// whoever comes by himself; there is no UDP port.
func TestServeBehindAProxy(t *testing.T) {
	cfg := defaultConfig()
	cfg.Data, cfg.Listen = filepath.Join(t.TempDir(), "data"), ""
	cfg.Listeners = []listenerConfig{{
		Address: "127.0.0.1:0", Public: "relay.example.org:443", ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}}
	at, told, _ := serveHere(t, cfg, func(all []sockets) {
		if len(all) != 1 || all[0].udp != nil {
			t.Error("there is a UDP port, whose packets no proxy vouches for")
		}
	})
	dial := func(header string) error {
		conn, err := relayclient.Dial(t.Context(), told[0].relay, relayclient.Options{
			DialNet: func(ctx context.Context, network, _ string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, "tcp", at)
				if err != nil {
					return nil, err
				}
				_, err = c.Write([]byte(header))
				return c, err
			},
		})
		if err == nil {
			conn.Close()
		}
		return err
	}
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\xc0\x00\x02\x01\x12\x67\x01\xbb"
	if err := dial(v2); err != nil {
		t.Errorf("through the proxy: %v", err)
	}
	for name, header := range map[string]string{"no header": "", "version 1": "PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"} {
		if dial(header) == nil {
			t.Errorf("%s: there is a session", name)
		}
	}
}

// TestHeaderIsNotTakenFromEverybody: a listener without proxies takes none.
func TestHeaderIsNotTakenFromEverybody(t *testing.T) {
	p := start(t, t.TempDir(), "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, p)
	c, err := net.Dial("tcp", g.relay.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"))
	b := make([]byte, 64)
	if n, _ := c.Read(b); n > 7 { // at most a TLS alert
		t.Errorf("it answers %q", b[:n])
	}
}
