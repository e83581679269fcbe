package relayserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// misdeed is what a proxy that terminates TLS does with the nth request of a session: it
// calls pass for the server's answer, as often and with what it likes, and returns what the
// client gets; an error cuts the client's connection.
type misdeed func(n int, r *http.Request, body []byte, pass relaying) (*httptest.ResponseRecorder, error)

// relaying sends a request to the relay and returns the answer.
type relaying func(method, path string, body []byte) *httptest.ResponseRecorder

var errCut = errors.New("cut")

// pollProxy stands between clients that poll and a relay.
type pollProxy struct {
	*httptest.Server
	mu   sync.Mutex
	n    int
	seen bytes.Buffer // paths and bodies of requests, bodies of answers
}

func newPollProxy(t *testing.T, h *endpoint, do misdeed) *pollProxy {
	t.Helper()
	p := &pollProxy{}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		p.mu.Lock()
		n := p.n
		p.n++
		p.seen.WriteString(r.URL.Path)
		p.seen.Write(body)
		p.mu.Unlock()
		answer, err := do(n, r, body, func(method, path string, body []byte) *httptest.ResponseRecorder {
			return forward(t, h, method, path, body)
		})
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		p.mu.Lock()
		p.seen.Write(answer.Body.Bytes())
		p.mu.Unlock()
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	p.Config.ErrorLog = nil
	t.Cleanup(p.Close)
	return p
}

// forward sends a request to the relay over real TLS. A request that gets no answer is 502.
func forward(t *testing.T, h *endpoint, method, path string, body []byte) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	r, err := http.NewRequestWithContext(t.Context(), method, h.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return answer
	}
	got, err := h.Client().Do(r)
	if err != nil {
		answer.Code = http.StatusBadGateway
		return answer
	}
	defer got.Body.Close()
	answer.Code = got.StatusCode
	_, _ = io.Copy(answer.Body, got.Body)
	return answer
}

// patient is a client that sends what had no answer again.
type patient struct{ pollClient }

func (p *patient) Write(b []byte) (n int, err error) {
	for range 20 {
		if n, err = p.pollClient.Write(b); !lost(err) {
			break
		}
	}
	return n, err
}

func (p *patient) Read(b []byte) (n int, err error) {
	for range 20 {
		if n, err = p.pollClient.Read(b); !lost(err) {
			break
		}
	}
	return n, err
}

// lost: there was no answer, or a newer request ended this one.
func lost(err error) bool {
	var status statusError
	if errors.As(err, &status) {
		return status == http.StatusConflict || status == http.StatusBadGateway
	}
	return err != nil && err != io.EOF
}

// throughPolling does what through does, over p, and reads back what was appended.
func throughPolling(t *testing.T, p *pollProxy, q relay.QueueID) (accepted int, err error) {
	t.Helper()
	c, err := newClient(t, &patient{pollClient{http: p.Client(), url: p.URL + relay.Path + "/poll"}})
	if err != nil {
		return 0, err
	}
	requests := []relay.Request{create(q), proveWrite(q, group)}
	for range appends {
		requests = append(requests, appendTo(q, group, envelope(512, 3)))
	}
	for _, r := range requests {
		if err := c.s.WriteFrames(c.sign(r)); err != nil {
			return accepted, err
		}
		f, err := c.s.ReadFrame()
		if err != nil {
			return accepted, err
		}
		if a, ok := f.(*relay.Accepted); ok && r.Type() == relay.TypeAppend {
			if accepted++; a.Position.Seq != uint64(accepted) {
				return accepted, fmt.Errorf("append %d is entry %d", accepted, a.Position.Seq)
			}
		}
	}
	return accepted, nil
}

// TestQ09_PollingProxyLosesAndRepeats: requests that are dropped, repeated, or answered to
// nobody change nothing, whichever of the session's requests it is.
func TestQ09_PollingProxyLosesAndRepeats(t *testing.T) {
	h := listenOver(t, open(t, t.TempDir(), nil), overPolling)
	queue := byte(0)
	for name, do := range map[string]misdeed{
		"request dropped": func(n int, r *http.Request, body []byte, pass relaying) (*httptest.ResponseRecorder, error) {
			if n%2 == 1 {
				return nil, errCut
			}
			return pass(r.Method, r.URL.Path, body), nil
		},
		"answer dropped": func(n int, r *http.Request, body []byte, pass relaying) (*httptest.ResponseRecorder, error) {
			answer := pass(r.Method, r.URL.Path, body)
			if n%2 == 1 {
				return nil, errCut
			}
			return answer, nil
		},
		"request repeated, first answer": func(_ int, r *http.Request, body []byte, pass relaying) (*httptest.ResponseRecorder, error) {
			answer := pass(r.Method, r.URL.Path, body)
			if !strings.HasSuffix(r.URL.Path, "/poll") {
				pass(r.Method, r.URL.Path, body)
			}
			return answer, nil
		},
		"request repeated, last answer": func(_ int, r *http.Request, body []byte, pass relaying) (*httptest.ResponseRecorder, error) {
			pass(r.Method, r.URL.Path, body)
			return pass(r.Method, r.URL.Path, body), nil
		},
		"POST comes in part, then whole": func(_ int, r *http.Request, body []byte, pass relaying) (*httptest.ResponseRecorder, error) {
			if r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "/poll") {
				pass(r.Method, r.URL.Path, body[:len(body)/2])
			}
			return pass(r.Method, r.URL.Path, body), nil
		},
		"GET of before": func(_ int, r *http.Request, body []byte, pass relaying) (*httptest.ResponseRecorder, error) {
			if r.Method == http.MethodGet && !strings.HasSuffix(r.URL.Path, "/0") {
				if late := pass(r.Method, r.URL.Path[:strings.LastIndex(r.URL.Path, "/")]+"/0", nil); late.Code == http.StatusNotFound {
					t.Error("a GET that came late ended the session")
				}
			}
			return pass(r.Method, r.URL.Path, body), nil
		},
	} {
		queue++
		q := relay.QueueID{92, queue}
		if n, err := throughPolling(t, newPollProxy(t, h, do), q); n != appends || err != nil {
			t.Errorf("%s: %d of %d accepted, %v", name, n, appends, err)
		}
		if got := head(t, h, q); got != appends {
			t.Errorf("%s: %d appends in the log", name, got)
		}
	}
}

// TestQ09_PollingProxyAlters: a byte of any body, an offset, somebody else's token: what was
// accepted before stands, nothing else is in the log, and nobody sees an id.
func TestQ09_PollingProxyAlters(t *testing.T) {
	h := listenOver(t, open(t, t.TempDir(), nil), overPolling)
	pass := func(_ int, r *http.Request, body []byte, pass relaying) (*httptest.ResponseRecorder, error) {
		return pass(r.Method, r.URL.Path, body), nil
	}
	q, key := relay.QueueID{93, 0xca, 0xfe, 93}, public(group)
	p := newPollProxy(t, h, pass)
	if n, err := throughPolling(t, p, q); n != appends || err != nil {
		t.Fatalf("an honest proxy: %d accepted, %v", n, err)
	}
	for what, secret := range map[string][]byte{"queue": q[:], "key": key[:], "envelope": envelope(16, 3)} {
		if bytes.Contains(p.seen.Bytes(), secret) {
			t.Errorf("the proxy saw the %s", what)
		}
	}
	requests := p.n
	for at := range requests {
		for what, alter := range map[string]func(r *http.Request, body []byte, pass relaying) *httptest.ResponseRecorder{
			"a byte of the request": func(r *http.Request, body []byte, pass relaying) *httptest.ResponseRecorder {
				if len(body) > 0 {
					body[len(body)/2] ^= 1
				}
				return pass(r.Method, r.URL.Path, body)
			},
			"a byte of the answer": func(r *http.Request, body []byte, pass relaying) *httptest.ResponseRecorder {
				answer := pass(r.Method, r.URL.Path, body)
				if b := answer.Body.Bytes(); len(b) > 0 {
					b[len(b)/2] ^= 1
				}
				return answer
			},
			"the offset": func(r *http.Request, body []byte, pass relaying) *httptest.ResponseRecorder {
				return pass(r.Method, r.URL.Path+"1", body)
			},
			"the end": func(r *http.Request, body []byte, pass relaying) *httptest.ResponseRecorder {
				return pass(r.Method, r.URL.Path, append(body, 0, 17))
			},
		} {
			lastID++
			q := relay.QueueID{94, byte(lastID), byte(lastID >> 8)}
			p := newPollProxy(t, h, func(n int, r *http.Request, body []byte, pass relaying) (*httptest.ResponseRecorder, error) {
				if n == at {
					return alter(r, body, pass), nil
				}
				return pass(r.Method, r.URL.Path, body), nil
			})
			n, _ := throughPolling(t, p, q)
			if got := head(t, h, q); got < uint64(n) || got > uint64(n)+1 {
				t.Errorf("%s of request %d: %d accepted and %d in the log", what, at, n, got)
			}
		}
	}
}
