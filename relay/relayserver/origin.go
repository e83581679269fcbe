package relayserver

import (
	"net/http"
	"slices"
)

// allowedOrigin: programs send no Origin; a browser does, and its page must be on the list
// (ATTACKS R19). It sends none with what a page merely embeds (an image, a script), and with
// a GET of the relay's own origin; then it says by Sec-Fetch-Site whose page it is. Cookies play
// no part.
func (s *Server) allowedOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	switch len(origins) {
	case 0:
		return !slices.ContainsFunc(r.Header.Values("Sec-Fetch-Site"), func(site string) bool {
			return site != "same-origin" && site != "none" // none: a person typed the address
		})
	case 1:
		return slices.Contains(s.origins, origins[0])
	}
	return false
}

// share lets the page of an allowed origin read the answer: fetch, unlike WebSocket and
// WebTransport, keeps it from the page otherwise. There is nothing to share with programs.
func share(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
	}
}

// preflight answers the question that a browser asks before a DELETE, or a POST with a type
// of content that forms do not have. The origin is an allowed one.
func preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	h.Set("Access-Control-Allow-Headers", "Content-Type")
	h.Set("Access-Control-Max-Age", "7200") // seconds; what browsers take at most
	w.WriteHeader(http.StatusNoContent)
}
