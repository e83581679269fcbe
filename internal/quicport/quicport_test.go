package quicport

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/internal/connlimit"
)

func TestRequestAndAnswer(t *testing.T) {
	s := serve(t, plenty, echo)
	tr := s.client(t)
	for range 3 * maxStreams { // streams are given back
		if code, body, err := s.post(t.Context(), tr, "hello"); err != nil || code != 200 || body != "hello" {
			t.Fatalf("%d, %q, %v", code, body, err)
		}
	}
	if s.counter.Open() != 1 {
		t.Errorf("%d connections are counted, want one", s.counter.Open())
	}
}

// TestR11_QUICCountsWithTheRest: a connection over the limit is refused, and its place is free
// again when one ends.
func TestR11_QUICCountsWithTheRest(t *testing.T) {
	s := serve(t, connlimit.Limits{Total: 3, Network: 3, Loopback: 2}, echo)
	first, err := s.dial(t)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.dial(t); err != nil {
		t.Fatal(err)
	}
	var refused *quic.TransportError
	if _, err := s.dial(t); !errors.As(err, &refused) || refused.ErrorCode != quic.ConnectionRefused {
		t.Fatalf("a connection over the limit: %v", err)
	}
	first.CloseWithError(0, "")
	// The server hears of it in its own time, and each attempt that it refuses takes the place
	// for a moment.
	for range 10_000 {
		if _, err = s.dial(t); err == nil {
			return
		}
	}
	t.Errorf("there is room again: %v", err)
}

// TestR13_StreamsAreBounded: a client that opens one stream after the other, and says nothing
// on them, gets as many as the limit.
func TestR13_StreamsAreBounded(t *testing.T) {
	s := serve(t, plenty, echo)
	c, err := s.dial(t)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; n < 1000; n++ {
		if _, err := c.OpenStream(); err != nil {
			break
		}
	}
	if n != maxStreams {
		t.Errorf("%d streams are open", n)
	}
	n = 0
	for ; n < 1000; n++ {
		if _, err := c.OpenUniStream(); err != nil {
			break
		}
	}
	if n != maxStreams {
		t.Errorf("%d streams are open in one direction", n)
	}
	if c.ConnectionState().Used0RTT || c.ConnectionState().TLS.DidResume {
		t.Error("it was resumed")
	}
}

// TestR37_ShutdownWaitsForRequests: a request under way is answered, a new one is not, and the
// client is told at the end.
func TestR37_ShutdownWaitsForRequests(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	s := serve(t, plenty, func(*webtransport.Server) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			<-finish
			w.Write([]byte("done"))
		})
	})
	tr := s.client(t)
	answer := make(chan string, 1)
	go func() {
		_, body, err := s.post(context.Background(), tr, "")
		if err != nil {
			body = err.Error()
		}
		answer <- body
	}()
	<-begun
	shut := make(chan error, 1)
	go func() { shut <- s.Shutdown(context.Background()) }()
	for draining := false; !draining; {
		s.mu.Lock()
		draining = s.draining
		s.mu.Unlock()
	}
	if code, _, err := s.post(t.Context(), tr, ""); err == nil && code != http.StatusServiceUnavailable {
		t.Errorf("a request after the drain began: %d", code)
	}
	close(finish)
	if got := <-answer; got != "done" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-shut; err != nil {
		t.Error(err)
	}
}

// TestShutdownCutsRequestsThatDoNotEnd: and says so.
func TestShutdownCutsRequestsThatDoNotEnd(t *testing.T) {
	begun := make(chan struct{})
	s := serve(t, plenty, func(*webtransport.Server) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(begun)
			<-r.Context().Done()
		})
	})
	tr := s.client(t)
	answer := make(chan error, 1)
	go func() {
		_, _, err := s.post(context.Background(), tr, "")
		answer <- err
	}()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if <-answer == nil {
		t.Error("a request that was cut off has an answer")
	}
}
