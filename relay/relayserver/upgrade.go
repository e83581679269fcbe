package relayserver

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gobwas/ws"

	"github.com/sealpost/sealpost/relay"
)

// ServeHTTP answers GET /v1/relay with a WebSocket upgrade and returns; the session then
// runs on goroutines of its own, which [Server.Shutdown] waits for. The http.Server in
// front has a ReadHeaderTimeout and offers no HTTP/2, over which nothing can be upgraded.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != relay.Path {
		http.NotFound(w, r)
		return
	}
	if !s.allowedOrigin(r) {
		http.Error(w, "origin not allowed", http.StatusForbidden)
		return
	}
	if !offers(r, relay.Subprotocol) {
		http.Error(w, "subprotocol "+relay.Subprotocol+" is required", http.StatusBadRequest)
		return
	}
	prefix := prefixOf(r.RemoteAddr)
	if err := s.admit(prefix); err != nil {
		status := http.StatusServiceUnavailable
		if errors.Is(err, errPrefixFull) {
			status = http.StatusTooManyRequests
		}
		w.Header().Set("Retry-After", "30")
		http.Error(w, err.Error(), status)
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
	t := newStream(conn, rw.Reader)
	s.sessions.Go(func() { s.serve(t, prefix) })
}

// allowedOrigin: programs send no Origin; a browser always does, and its page must be on
// the list (ATTACKS R19). Cookies play no part.
func (s *Server) allowedOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	switch len(origins) {
	case 0:
		return true
	case 1:
		return slices.Contains(s.origins, origins[0])
	}
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
