package relayserver

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"

	"github.com/gobwas/ws"

	"github.com/sealpost/sealpost/relay"
)

// ServeHTTP answers relay.Path, and below it the endpoints of long polling. A WebSocket
// upgrade returns at once; sessions run on goroutines of their own, which [Server.Shutdown]
// waits for. The http.Server in front has a ReadHeaderTimeout and offers no HTTP/2, over
// which nothing can be upgraded; over HTTP/3 there is long polling alone, and WebTransport
// by [Server.ServeWebTransport].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ours := strings.CutPrefix(r.URL.Path, relay.Path)
	below, polls := strings.CutPrefix(rest, "/poll")
	if polls {
		w.Header().Set("Cache-Control", "no-store")
	}
	switch {
	case !ours || rest != "" && !polls || polls && below != "" && below[0] != '/':
		http.NotFound(w, r)
	case !s.allowedOrigin(r):
		http.Error(w, "origin not allowed", http.StatusForbidden)
	case polls:
		s.servePolling(w, r, below)
	default:
		s.upgrade(w, r)
	}
}

// upgrade makes a WebSocket of the request's connection.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 || !offers(r, relay.Subprotocol) {
		http.Error(w, "HTTP/1.1 and the subprotocol "+relay.Subprotocol+" are required", http.StatusBadRequest)
		return
	}
	prefix := prefixOf(r.RemoteAddr)
	if !s.admitted(w, prefix) {
		return
	}
	upgrader := ws.HTTPUpgrader{
		Timeout:  upgradeWithin,
		Protocol: func(p string) bool { return p == relay.Subprotocol },
	}
	conn, rw, _, err := upgrader.Upgrade(r, w)
	if err != nil {
		if conn != nil {
			_ = conn.Close() // it was hijacked before the request was judged
		}
		s.release(prefix)
		return
	}
	t := newWSStream(conn, rw.Reader)
	s.sessions.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, handshakeTime)
		defer cancel()
		s.serve(ctx, t, prefix, nil)
	})
}

// admitted admits a connection from prefix, or answers why not.
func (s *Server) admitted(w http.ResponseWriter, prefix netip.Prefix) bool {
	err := s.admit(prefix)
	if err == nil {
		return true
	}
	s.metrics.TurnedAway(turnedOf(err))
	status, after := http.StatusServiceUnavailable, "30" // and clients add up to as much, each its own
	switch {
	case errors.Is(err, errPrefixFull):
		status = http.StatusTooManyRequests
	case errors.Is(err, errDraining):
		after = "2" // another process is about to start
	}
	w.Header().Set("Retry-After", after)
	http.Error(w, err.Error(), status)
	return false
}

// offers reports whether the client offers the WebSocket subprotocol.
func offers(r *http.Request, protocol string) bool {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			if strings.TrimSpace(p) == protocol {
				return true
			}
		}
	}
	return false
}
