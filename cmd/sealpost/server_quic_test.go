package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// putOver stores a chunk on the key server at addr through tr, and returns the TLS state.
func putOver(t *testing.T, tr http.RoundTripper, addr string) *tls.ConnectionState {
	t.Helper()
	body, err := wire.Marshal(&keyserver.Chunk{Data: []byte("sealed")})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+addr+keyserver.EndpointPutChunk.Path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", keyserver.MediaType)
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var name keyserver.ChunkName
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	if err := wire.Unmarshal(b, &name); err != nil || name.Hash != keyserver.HashChunk([]byte("sealed")) {
		t.Fatalf("the answer is %x, %v", b, err)
	}
	return resp.TLS
}

// overQUIC returns an HTTP/3 client that trusts pin alone.
func overQUIC(t *testing.T, pin *certpin.Pin) *http3.Transport {
	tr := &http3.Transport{TLSClientConfig: certpin.ClientConfig("localhost", pin)}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// TestServeOverQUIC: the key server answers on the UDP port of the same number, with the
// same key, and a drain ends its connections with the others.
func TestServeOverQUIC(t *testing.T) {
	p := start(t, t.TempDir(), "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, p)
	state := putOver(t, overQUIC(t, g.keys.Pin), g.relay.Host)
	if state.NegotiatedProtocol != "h3" || state.Version != tls.VersionTLS13 || state.DidResume {
		t.Errorf("spoken over %q, TLS %x", state.NegotiatedProtocol, state.Version)
	}
	p.signal(syscall.SIGTERM)
	if status, _ := p.wait(); status != 0 {
		t.Errorf("it ended with status %d", status)
	}
}

// TestKilledServerTellsItsClients: the next process at the same address ends the connections of
// the one that was killed as soon as their clients say something, which otherwise waited for
// an answer until they were idle.
func TestKilledServerTellsItsClients(t *testing.T) {
	home := t.TempDir()
	p := start(t, home, "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, p)
	config := certpin.ClientConfig("localhost", g.keys.Pin)
	config.NextProtos = []string{http3.NextProtoH3}
	c, err := quic.DialAddr(t.Context(), g.relay.Host, config, &quic.Config{EnableDatagrams: true, MaxIdleTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	p.kill()
	greeted(t, start(t, home, "serve", "--listen", g.relay.Host))
	str, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := str.Write(make([]byte, 500)); err != nil {
		t.Fatal(err)
	}
	<-c.Context().Done()
	if _, ok := errors.AsType[*quic.StatelessResetError](context.Cause(c.Context())); !ok {
		t.Errorf("it ended with %v", context.Cause(c.Context()))
	}
}

// dialWebTransport opens a session with the relay over WebTransport, as a program or as a page
// of origin.
func dialWebTransport(t *testing.T, g greeting, origin ...string) error {
	t.Helper()
	d := &webtransport.Transport{TLSClientConfig: certpin.ClientConfig("localhost", g.keys.Pin)}
	d.TLSClientConfig.NextProtos = []string{http3.NextProtoH3}
	t.Cleanup(func() { d.Close() })
	_, wt, err := d.Dial(t.Context(), "https://"+g.relay.Host+relay.Path, http.Header{"Origin": origin})
	if err != nil {
		return err
	}
	stream, err := wt.OpenStream()
	if err != nil {
		return err
	}
	s, err := session.Client(t.Context(), stream, g.relay.Key)
	if err != nil {
		return err
	}
	if err := s.WriteFrames(&relay.Ping{Value: 7}); err != nil {
		return err
	}
	f, err := s.ReadFrame()
	if pong, ok := f.(*relay.Pong); err != nil || !ok || pong.Value != 7 {
		return fmt.Errorf("%T, %w", f, err)
	}
	return nil
}

// TestR19_RelayOverWebTransport: for programs and listed pages, of all transports and both
// servers on one port.
func TestR19_RelayOverWebTransport(t *testing.T) {
	home := t.TempDir()
	config := filepath.Join(home, "c.toml")
	if err := os.WriteFile(config, []byte("listen = \"127.0.0.1:0\"\norigins = [\"https://chat.example.org\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, home, "serve", "--config", config)
	g := greeted(t, p)
	if err := dialWebTransport(t, g); err != nil {
		t.Errorf("a program: %v", err)
	}
	if err := dialWebTransport(t, g, "https://chat.example.org"); err != nil {
		t.Errorf("a listed page: %v", err)
	}
	for _, origin := range []string{"https://evil.example", "null", "https://" + g.relay.Host} {
		if err := dialWebTransport(t, g, origin); err == nil {
			t.Errorf("a page of %s has a session", origin)
		}
	}
	dialBoth(t, g)
	tcp := &http.Transport{TLSClientConfig: certpin.ClientConfig("localhost", g.keys.Pin)}
	defer tcp.CloseIdleConnections()
	for name, tr := range map[string]http.RoundTripper{"HTTP/1.1": tcp, "HTTP/3": overQUIC(t, g.keys.Pin)} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+g.relay.Host+relay.Path+"/poll", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("long polling over %s: %d", name, resp.StatusCode)
		}
	}
}

// TestServeOnLocalhost: both loopback addresses answer, over TCP and QUIC, at one port.
func TestServeOnLocalhost(t *testing.T) {
	p := start(t, t.TempDir(), "serve", "--listen", "localhost:0")
	g := greeted(t, p)
	if host, _, _ := net.SplitHostPort(g.relay.Host); host != "127.0.0.1" || strings.Count(g.text, "\nrelay ") != 1 {
		t.Errorf("the greeting:\n%s", g.text)
	}
	dialBoth(t, g)
	_, port, _ := net.SplitHostPort(g.relay.Host)
	putOver(t, overQUIC(t, g.keys.Pin), net.JoinHostPort("127.0.0.1", port))
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6 loopback")
	}
	l.Close()
	putOver(t, overQUIC(t, g.keys.Pin), net.JoinHostPort("::1", port))
	tcp := &http.Transport{TLSClientConfig: certpin.ClientConfig("localhost", g.keys.Pin)}
	defer tcp.CloseIdleConnections()
	putOver(t, tcp, net.JoinHostPort("::1", port))
}

// TestSeveralListeners: each has its own address in the greeting, and QUIC only where it is
// wanted.
func TestSeveralListeners(t *testing.T) {
	home := t.TempDir()
	config := filepath.Join(home, "c.toml")
	text := `
[[listener]]
address = "127.0.0.1:0"
[[listener]]
address = "127.0.0.1:0"
quic = false
[[listener]]
address = "127.0.0.1:0"
public = "relay.example.org:443"
`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, home, "serve", "--config", config)
	g := greeted(t, p)
	dialBoth(t, g)
	relays, keys := relayLine.FindAllStringSubmatch(g.text, -1), keysLine.FindAllStringSubmatch(g.text, -1)
	if len(relays) != 3 || len(keys) != 3 || !strings.HasPrefix(relays[2][1], "sealpost://relay.example.org:443/") {
		t.Fatalf("the greeting:\n%s", g.text)
	}
	second, err := keyserver.ParseAddress(keys[1][1])
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", net.JoinHostPort(second.Host, strconv.Itoa(int(second.Port))))
	if err != nil {
		t.Fatalf("a listener without QUIC has a UDP port: %v", err)
	}
	udp.Close()
	tcp := &http.Transport{TLSClientConfig: certpin.ClientConfig("localhost", second.Pin)}
	defer tcp.CloseIdleConnections()
	putOver(t, tcp, net.JoinHostPort(second.Host, strconv.Itoa(int(second.Port))))
}

// A UDP port that is taken is said to be so, and nothing is left open or written.
func TestServeSaysWhichPortIsTaken(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	if tcp, err := net.Listen("tcp", udp.LocalAddr().String()); err != nil {
		t.Skipf("somebody else has the same port for TCP: %v", err)
	} else {
		tcp.Close()
	}
	home := t.TempDir()
	p := start(t, home, "serve", "--listen", udp.LocalAddr().String())
	if status, _ := p.wait(); status != 1 || !strings.Contains(p.stderr.String(), "taken for UDP") {
		t.Errorf("status %d, %q", status, p.stderr.String())
	}
	if left, _ := os.ReadDir(home); len(left) > 0 {
		t.Error("it left a data folder behind")
	}
}
