package keyserver_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/internal/fixture"
)

// counted is a key server on TCP and UDP that answers every take, and counts what it gets.
type counted struct {
	t    *testing.T
	addr keyserver.Address
	h3   *http3.Server

	mu     sync.Mutex
	protos map[int]int      // requests by HTTP version
	bodies map[[32]byte]int // and by their hash
	hold   chan struct{}    // if set, answers wait for it to be closed
}

func startCounted(t *testing.T, h2 bool) *counted {
	t.Helper()
	s := &counted{t: t, protos: make(map[int]int), bodies: make(map[[32]byte]int)}
	ts := httptest.NewUnstartedServer(s)
	ts.EnableHTTP2 = h2
	ts.Config.ErrorLog = log.New(io.Discard, "", 0) // the losers of races hang up
	ts.StartTLS()
	t.Cleanup(ts.Close)
	udp, err := net.ListenPacket("udp", ts.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conf := ts.TLS.Clone()
	conf.NextProtos = []string{http3.NextProtoH3}
	s.h3 = &http3.Server{Handler: s, TLSConfig: conf, Logger: slog.New(slog.DiscardHandler)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.h3.Serve(udp)
	}()
	t.Cleanup(func() {
		s.h3.Close()
		<-served
		udp.Close()
	})
	s.addr = fixture.Must[keyserver.Address](t)(keyserver.ParseAddress(ts.URL))
	s.addr.Pin = new(certpin.Of(ts.Certificate()))
	return s
}

func (s *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.protos[r.ProtoMajor]++
	s.bodies[sha256.Sum256(body)]++
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	w.Header().Set("Content-Type", keyserver.MediaType)
	w.Write(fixture.Must[[]byte](s.t)(wire.Marshal(&keyserver.TakeReply{})))
}

// over tells how many requests came over an HTTP version, and fails if one came twice.
func (s *counted) over(version int) int {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.bodies {
		if n != 1 {
			s.t.Errorf("a request came %d times", n)
		}
	}
	return s.protos[version]
}

// sockets counts the TCP and UDP sockets of a client.
type sockets struct {
	keyserver.Options
	udp, open atomic.Int32
}

type closing struct {
	net.Conn
	open *atomic.Int32
	once sync.Once
}

func (c *closing) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

type closingPacket struct {
	net.PacketConn
	open *atomic.Int32
	once sync.Once
}

func (c *closingPacket) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.PacketConn.Close()
}

func newSockets() *sockets {
	s := &sockets{Options: keyserver.Options{Timeout: 20 * time.Second}}
	s.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		s.open.Add(1)
		return &closing{Conn: c, open: &s.open}, nil
	}
	s.ListenPacket = func(ctx context.Context, network, addr string) (net.PacketConn, error) {
		c, err := new(net.ListenConfig).ListenPacket(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		s.udp.Add(1)
		s.open.Add(1)
		return &closingPacket{PacketConn: c, open: &s.open}, nil
	}
	return s
}

// swallowed has what is sent by UDP get nowhere.
func (s *sockets) swallowed() {
	listen := s.ListenPacket
	s.ListenPacket = func(ctx context.Context, network, addr string) (net.PacketConn, error) {
		c, err := listen(ctx, network, addr)
		return nowhere{c}, err
	}
}

// hangs has TCP get no answer, so that a slow machine does not let it win.
func (s *sockets) hangs() {
	s.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

type nowhere struct{ net.PacketConn }

func (nowhere) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }

func take(t *testing.T, c *keyserver.Client, n int) {
	t.Helper()
	if _, err := c.Take(t.Context(), [32]byte{byte(n), byte(n >> 8)}, keyserver.AccountID{}, 1); err != nil {
		t.Errorf("take %d: %v", n, err)
	}
}

// TestRacesConnections: with UDP there is HTTP/3, without it TCP, whose loss of the head start is paid
// once; many requests at the beginning make one race, and each is sent once.
func TestRacesConnections(t *testing.T) {
	for name, c := range map[string]struct {
		h2, swallowed, proxied bool
		version                int
		udp                    int32
	}{
		"UDP works":             {version: 3, udp: 1},
		"UDP is swallowed":      {swallowed: true, version: 1, udp: 1},
		"with HTTP/2":           {h2: true, swallowed: true, version: 2, udp: 1},
		"a dialer for TCP only": {proxied: true, version: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, k := startCounted(t, c.h2), newSockets()
			if c.swallowed {
				k.swallowed()
			} else if !c.proxied {
				k.hangs()
			}
			if c.proxied {
				k.ListenPacket = nil
			}
			client := keyserver.NewClient(s.addr, k.Options)
			var all sync.WaitGroup
			for i := range 20 {
				all.Go(func() { take(t, client, i) })
			}
			all.Wait()
			for i := range 5 {
				take(t, client, 100+i)
			}
			if n := s.over(c.version); n != 25 {
				t.Errorf("%d of 25 requests over HTTP/%d: %v", n, c.version, s.protos)
			}
			if n := k.udp.Load(); n != c.udp {
				t.Errorf("%d UDP sockets, want %d", n, c.udp)
			}
			client.Close()
			for k.open.Load() != 0 { // what Close ends, ends a moment later; else the test does not end
				<-time.After(time.Millisecond)
			}
		})
	}
}

// TestConnectionIsLost: requests on a connection that ends are not sent again by themselves;
// the next ones have a new connection.
func TestConnectionIsLost(t *testing.T) {
	s, k := startCounted(t, false), newSockets()
	k.hangs()
	client := keyserver.NewClient(s.addr, k.Options)
	defer client.Close()
	take(t, client, 1)
	s.mu.Lock()
	s.hold = make(chan struct{})
	hold := s.hold
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	lost := make(chan error)
	go func() {
		_, err := client.Take(ctx, [32]byte{2}, keyserver.AccountID{}, 1)
		lost <- err
	}()
	for s.over(3) < 2 {
		<-time.After(time.Millisecond)
	}
	cancel()
	if err := <-lost; !errors.Is(err, context.Canceled) {
		t.Errorf("the request that was given up: %v", err)
	}
	s.mu.Lock()
	s.hold = nil
	s.mu.Unlock()
	close(hold)
	take(t, client, 3)
	if n := s.over(3); n != 3 || k.udp.Load() != 2 {
		t.Errorf("%d requests over HTTP/3, %d connections", n, k.udp.Load())
	}
}

// TestCloseLetsRequestsEnd: Close ends no request that is under way.
func TestCloseLetsRequestsEnd(t *testing.T) {
	s, k := startCounted(t, false), newSockets()
	s.hold = make(chan struct{})
	k.hangs()
	client := keyserver.NewClient(s.addr, k.Options)
	done := make(chan struct{})
	go func() {
		defer close(done)
		take(t, client, 1)
	}()
	for s.over(3) < 1 {
		<-time.After(time.Millisecond)
	}
	client.Close()
	close(s.hold)
	<-done
	for k.open.Load() != 0 { // the connection ends behind its last request
		<-time.After(time.Millisecond)
	}
}

// TestPinOfBoth: a server with another key is refused over both, and the error says so.
func TestPinOfBoth(t *testing.T) {
	s := startCounted(t, false)
	s.addr.Pin[0] ^= 1
	for name, k := range map[string]*sockets{"both": newSockets(), "TCP alone": newSockets()} {
		if name == "TCP alone" {
			k.swallowed()
		}
		client := keyserver.NewClient(s.addr, k.Options)
		if _, err := client.GetChunk(t.Context(), keyserver.HashChunk(bytes.Repeat([]byte{1}, 8))); !errors.Is(err, certpin.ErrMismatch) {
			t.Errorf("%s: %v, want ErrMismatch", name, err)
		}
		client.Close()
	}
	if len(s.bodies) != 0 {
		t.Error("a request was sent to it")
	}
}
