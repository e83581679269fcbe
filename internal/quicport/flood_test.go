package quicport

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/testutils/simnet"
	"github.com/quic-go/webtransport-go"
)

// network is a simulated one. Packets to forged addresses reach nobody, and are counted.
type network struct {
	simnet.PerfectRouter

	mu      sync.Mutex
	in, out map[string]int // bytes from and to each forged address
	retries int            // Retry packets to forged addresses
	real    string         // an address among the forged ones that somebody has
}

var server = &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}

// forged tells whether addr is one that nobody answers from.
func forged(addr net.Addr) bool { return addr.(*net.UDPAddr).IP[net.IPv6len-4] == 203 }

func (n *network) SendPacket(p simnet.Packet) error {
	n.mu.Lock()
	if forged(p.From) && p.From.String() != n.real {
		n.in[p.From.String()] += len(p.Data)
	}
	lost := forged(p.To) && p.To.String() != n.real
	if lost {
		n.out[p.To.String()] += len(p.Data)
		if p.Data[0]&0xf0 == 0xf0 { // RFC 9000 section 17.2.5: a long header of type Retry
			n.retries++
		}
	}
	n.mu.Unlock()
	if lost {
		return nil
	}
	return n.PerfectRouter.SendPacket(p)
}

// join returns a socket of the network.
func (n *network) join(t *testing.T, addr *net.UDPAddr) *simnet.SimConn {
	c := simnet.NewSimConn(addr, n)
	n.AddNode(addr, c)
	t.Cleanup(func() { c.Close() })
	return c
}

// dialFrom opens a connection to s from a socket on the network.
func (s *served) dialFrom(ctx context.Context, t *testing.T, conn net.PacketConn) (*quic.Conn, error) {
	tr := &quic.Transport{Conn: conn}
	t.Cleanup(func() { tr.Close() })
	config := s.trust.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	return tr.Dial(ctx, server, config, &quic.Config{EnableDatagrams: true})
}

// TestR12_ForgedSources: a flood from addresses that never answer gets at most three times
// what it sent, for as long as the server tries; over the limit it gets a Retry each and
// holds nothing; a real client gets through meanwhile, and all is forgotten afterwards.
func TestR12_ForgedSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{in: make(map[string]int), out: make(map[string]int)}
		s := serveOn(t, n.join(t, server), plenty, echo)
		ctx, cancel := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for i := range 2 * maxHalfOpen {
			from := n.join(t, &net.UDPAddr{IP: net.IPv4(203, 0, byte(i), 1), Port: 1000 + i})
			flood.Go(func() {
				if _, err := s.dialFrom(ctx, t, from); err == nil {
					t.Error("a client that hears nothing has a connection")
				}
			})
			synctest.Wait()
		}
		if open := s.counter.Open(); open != maxHalfOpen {
			t.Errorf("forged addresses hold %d connections", open)
		}
		real := n.join(t, &net.UDPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 1})
		c, err := s.dialFrom(t.Context(), t, real)
		if err != nil {
			t.Fatalf("a real client in the flood: %v", err)
		}
		c.CloseWithError(0, "")
		time.Sleep(2*handshakeStep + time.Second)
		synctest.Wait()
		if open := s.counter.Open(); open != 0 {
			t.Errorf("%d connections are still held", open)
		}
		cancel()
		flood.Wait()
		n.mu.Lock()
		defer n.mu.Unlock()
		for addr, out := range n.out {
			if in := n.in[addr]; out > 3*in {
				t.Errorf("%d bytes came and %d went out", in, out)
			}
		}
		if n.retries < maxHalfOpen || len(n.out) != 2*maxHalfOpen {
			t.Errorf("%d Retry packets, answers to %d of %d addresses", n.retries, len(n.out), 2*maxHalfOpen)
		}
	})
}

// TestR12_ForgedSourcesOfOneNetwork: forged packets from a network of somebody's choice do not shut
// out its real clients: after a few that nobody has proven, all of it are asked for proof.
func TestR12_ForgedSourcesOfOneNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{in: make(map[string]int), out: make(map[string]int)}
		s := serveOn(t, n.join(t, server), plenty, echo)
		ctx, cancel := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		defer flood.Wait()
		defer cancel()
		for i := range maxHandshakes {
			from := n.join(t, &net.UDPAddr{IP: net.IPv4(203, 0, 113, byte(i)), Port: 1000 + i})
			flood.Go(func() { _, _ = s.dialFrom(ctx, t, from) })
			synctest.Wait()
		}
		if open := s.handshakes.Open(); open != maxUnproven {
			t.Errorf("forged addresses of one network have begun %d handshakes", open)
		}
		real := &net.UDPAddr{IP: net.IPv4(203, 0, 113, 200), Port: 1}
		n.mu.Lock()
		n.real = real.String()
		n.mu.Unlock()
		c, err := s.dialFrom(t.Context(), t, n.join(t, real))
		if err != nil {
			t.Fatalf("a real client of that network: %v", err)
		}
		_ = c.CloseWithError(0, "")
	})
}

// TestR10_SilentConnectionsEnd: one that says nothing, one that drips a request's header, and
// one that only keeps itself alive.
func TestR10_SilentConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		s := serveOn(t, n.join(t, server), plenty, echo)
		begin := time.Now()
		silent, dripping := s.connect(t, n, 1), s.connect(t, n, 2)
		str, err := dripping.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		var drip sync.WaitGroup
		defer drip.Wait()
		drip.Go(func() {
			for b := []byte{1, 0x40, 200}; ; b = []byte{0} { // a HEADERS frame of 200 bytes
				if _, err := str.Write(b); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		<-silent.Context().Done()
		<-dripping.Context().Done()
		if d := time.Since(begin); d < firstRequest || d > firstRequest+time.Second {
			t.Errorf("without a request they ended after %v", d)
		}
	})
}

// connect opens a connection that keeps itself alive.
func (s *served) connect(t *testing.T, n *network, host byte) *quic.Conn {
	t.Helper()
	tr := &quic.Transport{Conn: n.join(t, &net.UDPAddr{IP: net.IPv4(198, 51, 100, host), Port: 1})}
	t.Cleanup(func() { tr.Close() })
	config := s.trust.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	c, err := tr.Dial(t.Context(), server, config, &quic.Config{EnableDatagrams: true, KeepAlivePeriod: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestR11_IdleConnectionsEnd: packets alone keep no connection open, once its requests are over; one
// that takes its time is no idle connection.
func TestR11_IdleConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		s := serveOn(t, n.join(t, server), plenty, func(*webtransport.Server) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(2 * betweenRequest)
				echo(nil).ServeHTTP(w, r)
			})
		})
		c := s.connect(t, n, 1)
		h3 := (&http3.Transport{}).NewClientConn(c)
		for range 3 {
			if code, body, err := s.post(t.Context(), h3, "hello"); err != nil || code != 200 || body != "hello" {
				t.Fatalf("%d, %q, %v", code, body, err)
			}
			time.Sleep(betweenRequest - time.Second)
			if c.Context().Err() != nil {
				t.Fatal("it ended before its time")
			}
		}
		begin := time.Now()
		<-c.Context().Done()
		if d := time.Since(begin); d > time.Second {
			t.Errorf("it ended %v late", d)
		}
	})
}
