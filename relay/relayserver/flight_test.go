package relayserver

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/testutils/simnet"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// TestR09_UnacknowledgedBytes: a client over a long way that takes everything, as fast as it
// comes, does not open the congestion window by much: so wide is what it can leave
// unacknowledged afterwards. All of it arrives.
func TestR09_UnacknowledgedBytes(t *testing.T) {
	certificate()
	synctest.Test(t, func(t *testing.T) {
		s := openHere(t)
		far := &simnet.Simnet{Router: &simnet.PerfectRouter{}}
		link := simnet.NodeBiDiLinkSettings{Latency: 50 * time.Millisecond}
		near, away := far.NewEndpoint(serverAddr, link), far.NewEndpoint(clientAddr, link)
		if err := far.Start(); err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		over := webTransportOver(t, s, &quic.Config{
			InitialStreamReceiveWindow: 16 << 20, MaxStreamReceiveWindow: 16 << 20,
			InitialConnectionReceiveWindow: 32 << 20, MaxConnectionReceiveWindow: 32 << 20,
		}, near, away)
		c := sessionOn(t, over, session.FeatureStreams)
		const queues, entries = 12, 2
		for n := range byte(queues) {
			q := queueID(100 + n)
			c.must(create(q))
			c.must(proveWrite(q, group))
			for range entries {
				c.must(appendTo(q, group, envelope(relay.MaxEnvelope, n)))
			}
		}
		var conn *quic.Conn
		s.mu.Lock()
		for p := range s.peers {
			conn = p.brancher.(*wtStream).flight.conn
		}
		s.mu.Unlock()
		begin := time.Now()
		for n := range byte(queues) {
			q := queueID(100 + n)
			c.write(c.sign(proveRead(q, alice)))
			c.request++
			c.write(&relay.Attach{Request: c.request, Queue: q, Reader: public(alice), Window: maxWindow})
		}
		widest := uint64(0)
		for got := 0; got < queues*entries; {
			if d, ok := c.read().(*relay.Deliver); ok {
				got += len(d.Entries)
			}
			widest = max(widest, conn.ConnectionStats().CongestionWindow)
		}
		t.Logf("12 MiB in %v, in a window of %d KiB", time.Since(begin), widest>>10)
		if widest > 4*quicFlight {
			t.Errorf("the window opened to %d bytes", widest)
		}
		_ = c.s.Close()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
