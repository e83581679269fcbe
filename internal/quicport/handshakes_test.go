package quicport

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/testutils/simnet"
)

// stalls is a network whose clients in 203.0.0.0/16 prove their addresses and hear nothing more.
type stalls struct {
	network
	mu      sync.Mutex
	retried map[string]bool
}

func (n *stalls) SendPacket(p simnet.Packet) error {
	if forged(p.To) {
		n.mu.Lock()
		first := !n.retried[p.To.String()]
		n.retried[p.To.String()] = true
		n.mu.Unlock()
		if !first || p.Data[0]&0xf0 != 0xf0 {
			return nil
		}
	}
	return n.PerfectRouter.SendPacket(p)
}

func (n *stalls) join(t *testing.T, addr *net.UDPAddr) *simnet.SimConn {
	c := simnet.NewSimConn(addr, n)
	n.AddNode(addr, c)
	t.Cleanup(func() { c.Close() })
	return c
}

// TestR12_HandshakesUnderLoad: clients that have proven where they are may begin so many
// handshakes, and one network an eighth of them. Others are refused at once, and not for long.
func TestR12_HandshakesUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &stalls{retried: make(map[string]bool)}
		s := serveOn(t, n.join(t, server), plenty, echo)
		ctx, cancel := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		defer flood.Wait()
		defer cancel()
		crowd := func(network byte) {
			for i := range 2 * maxOfNetwork {
				from := n.join(t, &net.UDPAddr{IP: net.IPv4(203, 0, network, byte(i)), Port: 1000})
				flood.Go(func() { _, _ = s.dialFrom(ctx, t, from) })
				synctest.Wait()
			}
		}
		crowd(113)
		if got := s.handshakes.Open(); got != maxOfNetwork {
			t.Errorf("one network has begun %d handshakes", got)
		}
		var real sync.WaitGroup
		for i := range 20 {
			real.Go(func() {
				c, err := s.dialFrom(t.Context(), t, n.join(t, &net.UDPAddr{IP: net.IPv4(198, 51, byte(i), 1), Port: 1}))
				if err != nil {
					t.Errorf("somebody from another: %v", err)
					return
				}
				_ = c.CloseWithError(0, "")
			})
		}
		real.Wait()
		for i := range maxHandshakes/maxOfNetwork - 1 {
			crowd(byte(114 + i))
		}
		if got := s.handshakes.Open(); got != maxHandshakes {
			t.Errorf("%d handshakes are under way", got)
		}
		begin := time.Now()
		_, err := s.dialFrom(t.Context(), t, n.join(t, &net.UDPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 1}))
		if refused, ok := errors.AsType[*quic.TransportError](err); !ok || refused.ErrorCode != quic.ConnectionRefused || time.Since(begin) > time.Second {
			t.Errorf("over the limit: %v after %v", err, time.Since(begin))
		}
		time.Sleep(2*handshakeStep + time.Second)
		if got := s.handshakes.Open(); got != 0 {
			t.Errorf("%d handshakes are still counted", got)
		}
		c, err := s.dialFrom(t.Context(), t, n.join(t, &net.UDPAddr{IP: net.IPv4(198, 51, 100, 2), Port: 1}))
		if err != nil {
			t.Fatalf("later: %v", err)
		}
		_ = c.CloseWithError(0, "")
	})
}
