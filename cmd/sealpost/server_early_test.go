package main

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/relay"
)

// ticketCounter counts the tickets that a client is given to resume with.
type ticketCounter struct {
	tls.ClientSessionCache
	put atomic.Int64
}

func (c *ticketCounter) Put(key string, s *tls.ClientSessionState) {
	if s != nil {
		c.put.Add(1)
	}
	c.ClientSessionCache.Put(key, s)
}

// TestR21_NoEarlyData: a client that has everything for 0-RTT, if the server gave it anything,
// is served after its handshake and not before, and gets no ticket to come back with.
func TestR21_NoEarlyData(t *testing.T) {
	p := start(t, t.TempDir(), "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, p)
	tickets := &ticketCounter{ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for range 2 {
		config := certpin.ClientConfig("localhost", g.keys.Pin)
		config.NextProtos = []string{http3.NextProtoH3}
		config.ClientSessionCache = tickets
		c, err := quic.DialAddrEarly(context.WithoutCancel(t.Context()), g.relay.Host, config, &quic.Config{
			EnableDatagrams: true, TokenStore: quic.NewLRUTokenStore(1, 1),
		})
		if err != nil {
			t.Fatal(err)
		}
		s := opened(t, c)
		if _, err := s.Write(frame3(1, request(methodGet, "/v1/relay/poll", nil))); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		state := c.ConnectionState()
		if state.Used0RTT || state.TLS.DidResume || !state.TLS.HandshakeComplete {
			t.Errorf("0-RTT %v, resumed %v", state.Used0RTT, state.TLS.DidResume)
		}
		c.CloseWithError(0, "")
	}
	if tickets.put.Load() > 0 {
		t.Errorf("the server gave out %d session tickets", tickets.put.Load())
	}
	tcp := &http.Transport{TLSClientConfig: certpin.ClientConfig("localhost", g.keys.Pin), DisableKeepAlives: true}
	tcp.TLSClientConfig.ClientSessionCache = tickets
	for range 2 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+g.relay.Host+relay.Path+"/poll", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := tcp.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.TLS.DidResume || tickets.put.Load() > 0 {
			t.Error("a session over TCP can be resumed")
		}
	}
}
