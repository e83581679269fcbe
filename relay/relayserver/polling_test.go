package relayserver

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// polled opens a session by long polling and returns its parts.
func polled(t *testing.T, s *Server) (*client, *pollClient) {
	t.Helper()
	h := listenOver(t, s, overPolling)
	p := &pollClient{http: h.Client(), url: h.URL + relay.Path + "/poll"}
	c, err := newClient(t, p)
	if err != nil {
		t.Fatal(err)
	}
	return c, p
}

// TestPollingOffsets: what an offset may be, and what a wrong one does to the session.
func TestPollingOffsets(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		change int // against the offset that is due
		body   int // bytes
		want   int
		over   bool
	}{
		"a POST that leaves a hole":       {http.MethodPost, 1, 10, http.StatusConflict, true},
		"an empty POST behind a hole":     {http.MethodPost, 1, 0, http.StatusConflict, true},
		"a POST of what is there":         {http.MethodPost, -20, 20, http.StatusNoContent, false},
		"a POST of less than that":        {http.MethodPost, -20, 5, http.StatusNoContent, false},
		"an empty POST":                   {http.MethodPost, 0, 0, http.StatusNoContent, false},
		"a POST that is too large":        {http.MethodPost, 0, pollPost + 1, http.StatusRequestEntityTooLarge, false},
		"a GET that leaves a hole":        {http.MethodGet, 1, 0, http.StatusConflict, true},
		"a GET of what was given back":    {http.MethodGet, -1, 0, http.StatusConflict, false},
		"a GET of the very first of that": {http.MethodGet, -1 << 20, 0, http.StatusConflict, false},
	} {
		t.Run(name, func(t *testing.T) {
			session, p := polled(t, open(t, t.TempDir(), nil))
			session.must(proveRead(queueID(1), alice))
			offset := p.sent
			if c.method == http.MethodGet {
				offset = p.received
				p.give(t) // everything so far
			}
			status, _, err := p.do(c.method, fmt.Sprintf("/%s/%d", p.token, max(offset+c.change, 0)), make([]byte, c.body))
			if err != nil || status != c.want {
				t.Fatalf("status %d, want %d, %v", status, c.want, err)
			}
			if c.over {
				if status, _, err := p.do(http.MethodPost, fmt.Sprintf("/%s/%d", p.token, offset), nil); err != nil || status != http.StatusNotFound {
					t.Errorf("the session is there still: %d, %v", status, err)
				}
				return
			}
			session.must(proveRead(queueID(2), alice))
		})
	}
}

// give tells the server that everything so far has arrived, by a GET that a newer one ends.
func (c *pollClient) give(t *testing.T) {
	t.Helper()
	c.begin()
	ctx, cancel := context.WithCancel(c.ctx)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/%s/%d", c.url, c.token, c.received), nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if answer, err := c.http.Do(r); err == nil {
			_ = answer.Body.Close()
		}
	}()
	// An empty POST, which is answered at once, says nothing of the GET; the newer GET does.
	for {
		status, _, err := c.do(http.MethodGet, fmt.Sprintf("/%s/%d", c.token, c.received-1), nil)
		if err != nil {
			t.Fatal(err)
		}
		if status == http.StatusConflict {
			break
		}
	}
	cancel()
	<-ended
}

// TestPollingRequests: methods, paths and bodies that are none.
func TestPollingRequests(t *testing.T) {
	session, p := polled(t, open(t, t.TempDir(), nil))
	token := "/" + p.token
	for _, c := range []struct {
		method, path string
		body         int
		want         int
	}{
		{http.MethodGet, "", 0, http.StatusMethodNotAllowed},
		{http.MethodPut, "", 1, http.StatusMethodNotAllowed},
		{http.MethodPost, "", pollOpen + 1, http.StatusRequestEntityTooLarge},
		{http.MethodPost, "", 100, http.StatusNotFound}, // no hello: refused before it was read to its end
		{http.MethodPost, "/", 1, http.StatusNotFound},
		{http.MethodGet, "/" + strings.Repeat("A", 22) + "/0", 0, http.StatusNotFound},
		{http.MethodDelete, "/" + strings.Repeat("A", 22), 0, http.StatusNotFound},
		{http.MethodGet, token, 0, http.StatusMethodNotAllowed},
		{http.MethodDelete, token + "/0", 0, http.StatusMethodNotAllowed},
		{http.MethodPut, token + "/0", 1, http.StatusMethodNotAllowed},
		{http.MethodHead, token + "/0", 0, http.StatusMethodNotAllowed},
		{http.MethodGet, token + "/", 0, http.StatusBadRequest},
		{http.MethodGet, token + "/-1", 0, http.StatusBadRequest},
		{http.MethodGet, token + "/+1", 0, http.StatusBadRequest},
		{http.MethodGet, token + "/0x1", 0, http.StatusBadRequest},
		{http.MethodGet, token + "/1_0", 0, http.StatusBadRequest},
		{http.MethodGet, token + "/9223372036854775808", 0, http.StatusBadRequest},
		{http.MethodGet, token + "/0/0", 0, http.StatusBadRequest},
		{http.MethodPost, token + "/x", 1, http.StatusBadRequest},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, p.url+c.path, bytes.NewReader(bytes.Repeat([]byte{0xff}, c.body)))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := p.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != c.want {
			t.Errorf("%s %s with %d bytes: %d, want %d", c.method, strings.Replace(c.path, p.token, "TOKEN", 1), c.body, answer.StatusCode, c.want)
		}
		if answer.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s may be stored", c.method, c.path)
		}
	}
	session.must(proveRead(queueID(1), alice))
}

// TestPollingPieces: the same stream in bodies of one byte and of several records, each sent
// twice, is the same stream.
func TestPollingPieces(t *testing.T) {
	for _, size := range []int{1, 7, 1 << 20} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			h := listenOver(t, open(t, t.TempDir(), nil), overPolling)
			p := &piecewise{pollClient{http: h.Client(), url: h.URL + relay.Path + "/poll"}, size}
			c, err := newClient(t, p)
			if err != nil {
				t.Fatal(err)
			}
			c.must(proveRead(queueID(1), alice))
		})
	}
}

// piecewise sends bodies of so many bytes at most, each twice.
type piecewise struct {
	pollClient
	size int
}

func (p *piecewise) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		piece := rest[:min(len(rest), p.size)]
		if _, err := p.pollClient.Write(piece); err != nil {
			return 0, err
		}
		p.sent -= len(piece)
		if _, err := p.pollClient.Write(piece); err != nil {
			return 0, err
		}
		rest = rest[len(piece):]
	}
	return len(b), nil
}
