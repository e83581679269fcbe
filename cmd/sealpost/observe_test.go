package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/sealpost/sealpost/relay/relayclient"
)

var observeLine = regexp.MustCompile(`(?m)^observe +http://(\S+)/metrics$`)

// startObserved starts a server that can be looked at, with more settings, and returns where.
func startObserved(t *testing.T, settings string) (p *process, g greeting, at string) {
	t.Helper()
	home := t.TempDir()
	file := filepath.Join(home, "c.toml")
	text := "listen = \"127.0.0.1:0\"\n" + settings + "\n[observe]\nlisten = \"127.0.0.1:0\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, home, "serve", "--config", file)
	g = greeted(t, p)
	m := observeLine.FindStringSubmatch(g.text)
	if m == nil {
		t.Fatalf("the greeting does not say where to look:\n%s", g.text)
	}
	return p, g, m[1]
}

// look asks for a path and returns the answer.
func look(t *testing.T, at, path string) (status int, body string) {
	t.Helper()
	r, err := http.Get("http://" + at + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// TestOperatorSeesWhatGoesOn: through the real binary, from a session to its end and the drain.
func TestOperatorSeesWhatGoesOn(t *testing.T) {
	p, g, at := startObserved(t, "")
	conn, err := relayclient.Dial(t.Context(), g.relay, relayclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	dialBoth(t, g)
	raw, err := net.Dial("tcp", g.relay.Host)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(raw, "GET / HTTP/1.1\r\n\r\n")
	io.Copy(io.Discard, raw)
	raw.Close()
	_, text := look(t, at, "/metrics")
	for _, want := range []string{
		`sealpost_keyserver_requests_total{route="put_chunk",outcome="ok"} 1`, `sealpost_tls_handshakes_failed_total 1`,
		`sealpost_store_batch_operations_count{store="groupstate"} `, `sealpost_store_failed{store="directory"} 0`,
		`sealpost_store_disk_free_bytes{store="relay"} `, "process_resident_memory_bytes ", "go_goroutines ",
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("there is no %s", want)
		}
	}
	if !regexp.MustCompile(`(?m)^sealpost_relay_sessions\{transport="web(socket|transport)"\} [12]$`).MatchString(text) || strings.Contains(text, "\nsealpost_connections 0\n") {
		t.Errorf("there is no session:\n%s", text)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := look(t, at, path); status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	p.signal(syscall.SIGTERM)
	if status, _ := p.wait(); status != 0 {
		t.Errorf("it ended with %d", status)
	}
}

// TestReadiness: why a server takes no clients.
func TestReadiness(t *testing.T) {
	cfg := defaultConfig()
	cfg.Data = filepath.Join(t.TempDir(), "data")
	if err := cfg.complete(); err != nil {
		t.Fatal(err)
	}
	s, err := openServer(cfg, false, newLog(io.Discard, cfg.Log))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for in, want := range map[int32]error{starting: errStarting, serving: nil, draining: errDraining} {
		s.phase.n.Store(in)
		if err := s.ready(); err != want {
			t.Errorf("in phase %d it says %v, want %v", in, err, want)
		}
		if err := s.alive(); err != nil {
			t.Error(err)
		}
	}
}

// TestR33_ObserveIsForThisMachine: an address that others reach is refused before anything is
// opened.
func TestR33_ObserveIsForThisMachine(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:7444", ":7444", "[::]:7444", "192.0.2.1:7444", "relay.example.org:7444", "7444"} {
		home := t.TempDir()
		file := filepath.Join(home, "c.toml")
		if err := os.WriteFile(file, fmt.Appendf(nil, "listen = \"127.0.0.1:0\"\n[observe]\nlisten = %q\n", listen), 0o600); err != nil {
			t.Fatal(err)
		}
		p := start(t, home, "serve", "--config", file)
		if status, _ := p.wait(); status != 1 || !strings.Contains(p.stderr.String(), "observe.listen") {
			t.Errorf("%s: status %d, %q", listen, status, p.stderr.String())
		}
		if left, _ := os.ReadDir(home); len(left) != 1 {
			t.Error("it left a data folder behind")
		}
	}
}

// TestR20_NoHTTP2: no port of a server speaks HTTP/2, so that there are no streams to reset; and
// requests that two servers could read differently are refused.
func TestR20_NoHTTP2(t *testing.T) {
	p := start(t, t.TempDir(), "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, p)
	dial := func(protocols ...string) (*tls.Conn, error) {
		return tls.Dial("tcp", g.relay.Host, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
	}
	if c, err := dial("h2"); err == nil {
		if c.ConnectionState().NegotiatedProtocol != "" {
			t.Errorf("it agrees to %q", c.ConnectionState().NegotiatedProtocol)
		}
		c.Close()
	}
	ask := func(text string) string {
		t.Helper()
		c, err := dial("h2", "http/1.1")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := c.ConnectionState().NegotiatedProtocol; got != "http/1.1" && got != "" {
			t.Errorf("it agrees to %q", got)
		}
		io.WriteString(c, text)
		c.CloseWrite()
		b, _ := io.ReadAll(c)
		return string(b)
	}
	if got := ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); got != "" && !strings.HasPrefix(got, "HTTP/1.1 4") && !strings.HasPrefix(got, "HTTP/1.1 505") {
		t.Errorf("to HTTP/2's preface it says %q", got)
	}
	const post = "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
	for name, request := range map[string]string{
		"two lengths":       post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"a signed length":   post + "Content-Length: +1\r\n\r\nx",
		"unknown encoding":  post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"two encodings":     post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"space before":      post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"control character": post + "X: a\x00b\r\n\r\n",
		"two hosts":         "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
	} {
		got := ask(request + "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 4") && !strings.HasPrefix(got, "HTTP/1.1 501") || strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("%s: %q", name, got)
		}
	}
	// A length beside an encoding is not looked at; what comes behind is never taken for a request.
	got := ask(post + "Content-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
	if strings.Count(got, "HTTP/1.1 ") > 1 && !strings.HasPrefix(got, "HTTP/1.1 4") {
		t.Errorf("length and encoding: %q", got)
	}
}
