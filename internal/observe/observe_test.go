package observe

import (
	"bufio"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestR33_LoopbackAlone: no other address is listened on, however it is written.
func TestR33_LoopbackAlone(t *testing.T) {
	for _, address := range []string{
		"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "[2001:db8::1]:0", "[::ffff:192.0.2.1]:0", "example.org:0", "ip6-localhost:0", "127.0.0.1.example.org:0", "[fe80::1%lo]:0",
	} {
		if _, err := Listen(address); !errors.Is(err, ErrNotLoopback) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"", "127.0.0.1", "127.0.0.1:x"} {
		if _, err := Listen(address); err == nil {
			t.Errorf("%q is listened on", address)
		}
	}
	for _, address := range []string{"localhost:0", "127.0.0.1:0", "127.77.1.1:0", "[::1]:0"} {
		if err := Check(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// serving starts a server and returns its address.
func serving(t *testing.T, cfg Config) string {
	t.Helper()
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = func(w io.Writer) { io.WriteString(w, "a 1\n") }
	}
	web := New(cfg)
	go web.Serve(l)
	t.Cleanup(func() { web.Close() })
	return l.Addr().String()
}

func well() error { return nil }

// ask sends a request as it is written here.
func ask(t *testing.T, addr, request string) (status int, body string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, request)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}

func get(t *testing.T, addr, path string) (int, string) {
	t.Helper()
	return ask(t, addr, "GET "+path+" HTTP/1.1\r\nHost: "+addr+"\r\nConnection: close\r\n\r\n")
}

// TestR33_PagesGetNothing: neither a name that was bent to loopback, nor a page elsewhere that
// sends requests, reads anything.
func TestR33_PagesGetNothing(t *testing.T) {
	addr := serving(t, Config{Alive: well, Ready: well})
	_, port, _ := net.SplitHostPort(addr)
	for _, c := range []struct {
		header string
		want   int
	}{
		{"Host: " + addr, 200}, {"Host: localhost:" + port, 200}, {"Host: localhost", 200}, {"Host: [::1]:" + port, 200}, {"Host: [::1]", 200},
		{"Host: " + addr + "\r\nSec-Fetch-Site: none", 200},
		{"Host: rebound.example.org:" + port, 421}, {"Host: 192.0.2.1:" + port, 421}, {"Host: localhost.example.org", 421}, {"Host: ", 421}, {"Host: [", 421}, {"Host: 127.0.0.1.example.org", 421},
		{"Host: " + addr + "\r\nOrigin: https://example.org", 403}, {"Host: " + addr + "\r\nOrigin: null", 403},
		{"Host: " + addr + "\r\nSec-Fetch-Site: cross-site", 403}, {"Host: " + addr + "\r\nSec-Fetch-Site: same-origin", 403},
		{"Host: " + addr + "\r\nContent-Length: 5", 413}, {"Host: " + addr + "\r\nTransfer-Encoding: chunked", 413},
	} {
		for _, path := range []string{"/metrics", "/healthz", "/debug/pprof/heap"} {
			status, body := ask(t, addr, "GET "+path+" HTTP/1.1\r\n"+c.header+"\r\nConnection: close\r\n\r\n")
			if status != c.want || c.want != 200 && strings.Contains(body, "a 1") {
				t.Errorf("%s with %q: %d %q, want %d", path, c.header, status, body, c.want)
			}
		}
	}
	if status, _ := ask(t, addr, "POST /metrics HTTP/1.1\r\nHost: "+addr+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"); status != 405 {
		t.Errorf("POST: %d", status)
	}
	if status, _ := ask(t, addr, "GET /metrics HTTP/1.1\r\nHost: "+addr+"\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n"); status != 431 {
		t.Errorf("a long header: %d", status)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	var alive, ready error
	addr := serving(t, Config{Alive: func() error { return alive }, Ready: func() error { return ready }})
	expect := func(path string, want int, words string) {
		t.Helper()
		if status, body := get(t, addr, path); status != want || !strings.Contains(body, words) {
			t.Errorf("%s: %d %q, want %d %q", path, status, body, want, words)
		}
	}
	expect("/healthz", 200, "ok")
	expect("/readyz", 200, "ok")
	ready = errors.New("draining")
	expect("/healthz", 200, "ok")
	expect("/readyz", 503, "draining")
	alive = errors.New("a store has failed")
	expect("/healthz", 503, "a store has failed")
	expect("/metrics", 200, "a 1")
	expect("/", 404, "")
}

// TestR31_ProfilesPrintNoValues: what functions are called with is in no profile, in no format.
func TestR31_ProfilesPrintNoValues(t *testing.T) {
	addr := serving(t, Config{Alive: well, Ready: well})
	var id [32]byte
	copy(id[:], "\xfe\xed\xfa\xce\xfe\xed\xfa\xce an id of somebody's")
	held, let := make(chan struct{}), make(chan struct{})
	go hold(id, held, let)
	<-held
	defer close(let)
	for _, name := range append([]string{"profile?seconds=0.1", "trace?seconds=0.1"}, lookups...) {
		for _, debug := range []string{"debug=0", "debug=1", "debug=2", "debug=02", "debug=x"} {
			path := "/debug/pprof/" + name + "?" + debug
			if strings.Contains(name, "?") {
				path = "/debug/pprof/" + name + "&" + debug
			}
			status, body := get(t, addr, path)
			refused := !strings.Contains(name, "?") && debug != "debug=0" && debug != "debug=1"
			if want := map[bool]int{true: 400, false: 200}[refused]; status != want {
				t.Errorf("%s: %d, want %d", path, status, want)
			}
			if z, err := gzip.NewReader(strings.NewReader(body)); err == nil {
				b, _ := io.ReadAll(z)
				body = string(b)
			}
			for _, value := range []string{"\xfe\xed\xfa\xce", "0xfe, 0xed", "feedface", "id of somebody"} {
				if strings.Contains(body, value) {
					t.Errorf("%s holds %q", path, value)
				}
			}
		}
	}
	for _, path := range []string{"/debug/pprof/cmdline", "/debug/pprof/symbol", "/debug/vars", "/debug/requests"} {
		if status, _ := get(t, addr, path); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	for _, seconds := range []string{"0", "-1", "61", "x", "NaN", "Inf"} {
		if status, _ := get(t, addr, "/debug/pprof/profile?seconds="+seconds); status != 400 {
			t.Errorf("%s seconds: %d", seconds, status)
		}
	}
}

//go:noinline
func hold(id [32]byte, held, let chan struct{}) byte {
	close(held)
	<-let
	return id[5]
}

// TestR20_OnlyHTTP1: neither with prior knowledge nor by upgrade nor with TLS is there HTTP/2.
func TestR20_OnlyHTTP1(t *testing.T) {
	addr := serving(t, Config{Alive: well, Ready: well})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	if b, _ := io.ReadAll(c); len(b) > 0 && !strings.HasPrefix(string(b), "HTTP/1.1 4") && !strings.HasPrefix(string(b), "HTTP/1.1 505") {
		t.Errorf("to HTTP/2's preface it says %q", b)
	}
	status, _ := ask(t, addr, "GET /healthz HTTP/1.1\r\nHost: "+addr+"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n")
	if status != 200 {
		t.Errorf("an upgrade to h2c: %d", status)
	}
	if _, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}); err == nil {
		t.Error("it speaks TLS")
	}
}
