package relayserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// servePolling answers the endpoints of long polling; below is what follows /poll in the path.
// They take nothing from a request but its body: who sends it, from where and over which
// connection means nothing.
func (s *Server) servePolling(w http.ResponseWriter, r *http.Request, below string) {
	share(w, r)
	if r.Method == http.MethodOptions {
		preflight(w)
		return
	}
	if below == "" {
		if allow(w, r, http.MethodPost) {
			s.openPolling(w, r)
		}
		return
	}
	token, offset, within := strings.Cut(below[1:], "/")
	s.mu.Lock()
	p := s.polls[token]
	s.mu.Unlock()
	if p == nil {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	if !within {
		if allow(w, r, http.MethodDelete) {
			p.cut()
			w.WriteHeader(http.StatusNoContent)
		}
		return
	}
	n, err := strconv.ParseUint(offset, 10, 63)
	switch {
	case err != nil:
		http.Error(w, "no such offset", http.StatusBadRequest)
	case r.Method == http.MethodPost:
		w.WriteHeader(p.take(w, r, n, pollPost))
	case allow(w, r, http.MethodGet):
		p.give(w, r, n)
	}
}

// allow refuses other methods than the one.
func allow(w http.ResponseWriter, r *http.Request, method string) bool {
	if r.Method == method {
		return true
	}
	w.Header().Set("Allow", method)
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return false
}

// openPolling begins a session with the client's first bytes, which hold its hello.
func (s *Server) openPolling(w http.ResponseWriter, r *http.Request) {
	prefix := prefixOf(r.RemoteAddr)
	if !s.admitted(w, prefix) {
		return
	}
	p := newPollStream(&s.kept)
	s.mu.Lock()
	s.polls[p.token] = p
	s.mu.Unlock()
	s.sessions.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, handshakeTime)
		defer cancel()
		s.serve(ctx, p, prefix, func() {
			s.mu.Lock()
			delete(s.polls, p.token)
			s.mu.Unlock()
		})
	})
	if status := p.take(w, r, 0, pollOpen); status != http.StatusNoContent {
		p.cut()
		http.Error(w, "no session", status)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, p.token)
}

// bodies lends buffers between a request's body and the session.
var bodies = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// take hands a POST's body, at most so many bytes, to the session, and returns the answer's
// status. It returns when the session has read everything. A body that comes too slowly, or
// is read too slowly, has its connection cut: without an answer the client sends it again.
func (p *pollStream) take(w http.ResponseWriter, r *http.Request, offset uint64, most int64) int {
	if r.ContentLength > most {
		return http.StatusRequestEntityTooLarge
	}
	t := &pollTurn{conn: http.NewResponseController(w), left: make(chan struct{})}
	by := time.Now().Add(pollTake)
	_ = t.conn.SetReadDeadline(by)
	_ = t.conn.SetWriteDeadline(by.Add(writeWithin))
	p.mu.Lock()
	before := p.replace(&p.post, t)
	if before != nil {
		_ = before.conn.SetReadDeadline(past)
		_ = p.feed.SetWriteDeadline(past)
	}
	p.mu.Unlock()
	defer p.leave(&p.post, t)
	if before != nil {
		<-before.left
	}
	p.mu.Lock()
	have, ended, over := p.taken, t.ended, p.over
	p.mu.Unlock()
	switch {
	case ended:
		return http.StatusConflict
	case over:
		return http.StatusNotFound
	case offset > have:
		p.cut()
		return http.StatusConflict
	}
	return p.pass(t, r.Body, have-offset, most, by)
}

// pass copies body to the session, without its first old bytes.
func (p *pollStream) pass(t *pollTurn, body io.Reader, old uint64, most int64, by time.Time) int {
	buf := bodies.Get().(*[16 << 10]byte)
	defer bodies.Put(buf)
	for {
		n, err := body.Read(buf[:min(int64(len(buf)), most+1)])
		if most -= int64(n); most < 0 {
			return http.StatusRequestEntityTooLarge
		}
		b := buf[min(uint64(n), old):n]
		old -= uint64(n - len(b))
		if status := p.hand(t, b, by); status != 0 {
			return status
		}
		if err == io.EOF {
			return http.StatusNoContent
		}
		if err != nil {
			p.mu.Lock()
			ended := t.ended
			p.mu.Unlock()
			if ended {
				return http.StatusConflict
			}
			panic(http.ErrAbortHandler)
		}
	}
}

// hand has the session read b. A status says why it did not read all of it.
func (p *pollStream) hand(t *pollTurn, b []byte, by time.Time) int {
	if len(b) == 0 {
		return 0
	}
	p.mu.Lock()
	if t.ended {
		p.mu.Unlock()
		return http.StatusConflict
	}
	_ = p.feed.SetWriteDeadline(by)
	p.mu.Unlock()
	n, err := p.feed.Write(b)
	p.mu.Lock()
	p.taken += uint64(n)
	ended := t.ended
	p.mu.Unlock()
	switch {
	case err == nil:
		return 0
	case ended:
		return http.StatusConflict
	case errors.Is(err, os.ErrDeadlineExceeded):
		panic(http.ErrAbortHandler)
	}
	return http.StatusNotFound // the session ended
}

// give answers a GET with what lies behind offset, once there is something.
func (p *pollStream) give(w http.ResponseWriter, r *http.Request, offset uint64) {
	t := &pollTurn{conn: http.NewResponseController(w), left: make(chan struct{})}
	_ = t.conn.SetWriteDeadline(time.Now().Add(pollWait + writeWithin))
	if status := p.ask(t, offset); status != http.StatusOK {
		http.Error(w, "no such offset", status)
		return
	}
	defer p.leave(&p.get, t)
	pieces, status := p.await(r.Context(), t, offset)
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	n := 0
	for _, b := range pieces {
		n += len(b)
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(n))
	p.answer(w, t, pieces, offset+uint64(n))
}

// ask makes t the GET under way, or says what is wrong with its offset. One that was given
// back is of a GET that came late, and changes nothing.
func (p *pollStream) ask(t *pollTurn, offset uint64) int {
	p.mu.Lock()
	switch {
	case p.over:
		p.mu.Unlock()
		return http.StatusNotFound
	case offset < p.base:
		p.mu.Unlock()
		return http.StatusConflict
	case offset > p.end:
		p.mu.Unlock()
		p.cut()
		return http.StatusConflict
	}
	p.drop(offset)
	before := p.replace(&p.get, t)
	p.absent.Stop()
	p.mu.Unlock()
	if before != nil {
		<-before.left
	}
	return http.StatusOK
}

// await waits for bytes behind offset.
func (p *pollStream) await(ctx context.Context, t *pollTurn, offset uint64) ([][]byte, int) {
	late := time.NewTimer(pollWait)
	defer late.Stop()
	for {
		p.mu.Lock()
		switch {
		case t.ended:
			p.mu.Unlock()
			return nil, http.StatusConflict
		case p.over:
			p.mu.Unlock()
			return nil, http.StatusNotFound
		case p.end > offset:
			t.writing = true
			pieces := p.pieces()
			p.mu.Unlock()
			return pieces, http.StatusOK
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-late.C:
			return nil, http.StatusNoContent
		case <-ctx.Done():
			return nil, http.StatusNoContent // to nobody
		}
	}
}

// pieces returns what one answer holds of what is kept. Callers hold mu.
func (p *pollStream) pieces() (out [][]byte) {
	room := pollGet
	for _, b := range p.kept {
		if len(b) > room {
			b = b[:room]
		}
		if len(b) == 0 {
			break
		}
		out = append(out, b)
		room -= len(b)
	}
	return out
}

// answer writes pieces, each with a deadline of its own: a slow line is served, and one that
// stands still is not. end is the offset behind them.
func (p *pollStream) answer(w http.ResponseWriter, t *pollTurn, pieces [][]byte, end uint64) {
	for _, b := range pieces {
		p.mu.Lock()
		if !t.ended {
			_ = t.conn.SetWriteDeadline(time.Now().Add(writeWithin))
		}
		p.mu.Unlock()
		if _, err := w.Write(b); err != nil {
			return
		}
		p.mu.Lock()
		if end > p.sent { // nobody gets on by fetching the same again and again
			p.moved = time.Now()
		}
		p.mu.Unlock()
	}
	if t.conn.Flush() != nil {
		return
	}
	p.mu.Lock()
	p.sent = max(p.sent, end)
	p.tell()
	p.mu.Unlock()
}
