package relayclient

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// pollFirstGet is how long the peer waits for the first GET.
const pollFirstGet = 10 * time.Second

// polls is the peer's end of long polling (PROTOCOL.md section 3.3), as short as it can be.
type polls struct {
	peer     *peer
	mu       sync.Mutex
	sessions map[string]*pollSession
	meddle   func(w http.ResponseWriter, r *http.Request) (done bool) // with GETs and POSTs
}

func (s *polls) set(meddle func(w http.ResponseWriter, r *http.Request) (done bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meddle = meddle
}

// pollSession is the byte stream of one.
type pollSession struct {
	mu       sync.Mutex
	changed  sync.Cond
	in       bytes.Buffer // posted and not read
	taken    int64        // bytes ever posted
	out      []byte       // written and not fetched
	fetched  int64
	gets     int // ever; the newest one is served
	over     bool
	idle     *time.Timer // ends it when no GET was under way for a minute
	inClosed bool
}

func (s *polls) open(w http.ResponseWriter, r *http.Request) {
	first, _ := io.ReadAll(r.Body)
	script := s.peer.nextScript(LongPolling, w, r)
	if script == nil {
		return
	}
	p := &pollSession{taken: int64(len(first))}
	p.changed.L = &p.mu
	p.in.Write(first)
	p.idle = time.AfterFunc(pollFirstGet, func() { p.Close() })
	var random [16]byte
	rand.Read(random[:])
	token := base64.RawURLEncoding.EncodeToString(random[:])
	s.mu.Lock()
	s.sessions[token] = p
	s.mu.Unlock()
	go func() {
		defer s.peer.running.Done()
		s.peer.serve(p, nil, script)
		p.Close()
	}()
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, token)
}

func (s *polls) find(w http.ResponseWriter, r *http.Request) *pollSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.sessions[r.PathValue("token")]
	if p == nil {
		http.NotFound(w, r)
	}
	return p
}

func (s *polls) end(w http.ResponseWriter, r *http.Request) {
	if p := s.find(w, r); p != nil {
		p.mu.Lock()
		p.inClosed = true
		p.changed.Broadcast()
		p.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *polls) move(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	meddle := s.meddle
	s.mu.Unlock()
	if meddle != nil && meddle(w, r) {
		return
	}
	p := s.find(w, r)
	if p == nil {
		return
	}
	offset, err := strconv.ParseInt(r.PathValue("offset"), 10, 64)
	body, readErr := io.ReadAll(r.Body)
	if err != nil || readErr != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Method == http.MethodGet {
		p.get(w, offset)
		return
	}
	if offset > p.taken {
		s.peer.t.Errorf("POST at %d of %d bytes, after %d", offset, len(body), p.taken)
		return
	}
	fresh := body[min(p.taken-offset, int64(len(body))):]
	p.in.Write(fresh)
	p.taken += int64(len(fresh))
	p.changed.Broadcast()
	w.WriteHeader(http.StatusNoContent)
}

func (p *pollSession) get(w http.ResponseWriter, offset int64) {
	if offset < p.fetched || offset > p.fetched+int64(len(p.out)) {
		http.Error(w, "offset", http.StatusConflict)
		return
	}
	p.out = p.out[offset-p.fetched:]
	p.fetched = offset
	p.gets++
	mine, late := p.gets, false
	p.changed.Broadcast()
	held := time.AfterFunc(pollHeld, func() {
		p.mu.Lock()
		late = true
		p.changed.Broadcast()
		p.mu.Unlock()
	})
	defer held.Stop()
	p.idle.Stop()
	defer p.idle.Reset(time.Minute)
	for len(p.out) == 0 && !late && !p.over && p.gets == mine {
		p.changed.Wait()
	}
	switch {
	case p.gets != mine:
		w.WriteHeader(http.StatusConflict)
	case len(p.out) > 0:
		w.Write(p.out[:min(len(p.out), pollMost)])
	case p.over:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (p *pollSession) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.in.Len() == 0 && !p.over && !p.inClosed {
		p.changed.Wait()
	}
	if p.over {
		return 0, io.ErrClosedPipe
	}
	return p.in.Read(b)
}

func (p *pollSession) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return 0, io.ErrClosedPipe
	}
	p.out = append(p.out, b...)
	p.changed.Broadcast()
	return len(b), nil
}

func (p *pollSession) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.changed.Broadcast()
	return nil
}
