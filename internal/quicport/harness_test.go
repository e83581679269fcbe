package quicport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/connlimit"
)

// served is a port on a loopback socket, and what clients know of it.
type served struct {
	*Port
	counter *connlimit.Counter
	trust   *tls.Config
	ended   chan error // what Serve returned
}

// serve opens a port; the test's end shuts it down unless the test did.
func serve(t *testing.T, limits connlimit.Limits, handler func(*webtransport.Server) http.Handler) *served {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, conn, limits, handler)
}

func serveOn(t *testing.T, conn net.PacketConn, limits connlimit.Limits, handler func(*webtransport.Server) http.Handler) *served {
	t.Helper()
	dev, err := certpin.OpenDevelopment(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	counter := connlimit.New(limits)
	p, err := Open(Config{
		Conn: conn, TLS: dev.ServerConfig(), Counter: counter, ResetKey: [32]byte{1}, QUIC: settings, Handler: handler,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &served{Port: p, counter: counter, trust: certpin.ClientConfig("localhost", new(dev.Pin())), ended: make(chan error, 1)}
	go func() { s.ended <- p.Serve() }()
	t.Cleanup(func() {
		p.mu.Lock()
		draining := p.draining
		p.mu.Unlock()
		if !draining {
			if err := p.Shutdown(t.Context()); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		if err := <-s.ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		for i := 0; i < 10_000 && counter.Open() > 0; i++ { // a connection's end is noted on a goroutine of its own
			runtime.Gosched()
		}
		if n := counter.Open(); n != 0 {
			t.Errorf("%d connections are counted after the end", n)
		}
		if n := p.handshakes.Open(); n != 0 {
			t.Errorf("%d handshakes are counted after the end", n)
		}
	})
	return s
}

// settings are a server's, small enough to see where they end.
var settings = &quic.Config{
	HandshakeIdleTimeout: handshakeStep, MaxIdleTimeout: 90 * time.Second,
	MaxIncomingStreams: maxStreams, MaxIncomingUniStreams: maxStreams,
	EnableDatagrams: true, EnableStreamResetPartialDelivery: true,
}

const (
	handshakeStep = 5 * time.Second // without a packet; a whole handshake has twice that
	maxStreams    = 16
)

var plenty = connlimit.Limits{Total: 1000, Network: 1000, Loopback: 1000}

// echo answers with the request's body.
func echo(*webtransport.Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
}

// client returns an HTTP/3 client of s.
func (s *served) client(t *testing.T) *http3.Transport {
	tr := &http3.Transport{TLSClientConfig: s.trust.Clone()}
	t.Cleanup(func() { tr.Close() })
	return tr
}

func (s *served) post(ctx context.Context, tr http.RoundTripper, body string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+s.Addr().String()+"/", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// dial opens a bare QUIC connection.
func (s *served) dial(t *testing.T) (*quic.Conn, error) {
	config := s.trust.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	c, err := quic.DialAddr(t.Context(), s.Addr().String(), config, &quic.Config{EnableDatagrams: true})
	if err == nil {
		t.Cleanup(func() { c.CloseWithError(0, "") })
	}
	return c, err
}
