package main

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/sealpost/sealpost/keyserver"
)

// TestR11_IdleConnections: somebody opens more connections than the server may have files and
// says nothing. Who was there before is served meanwhile, and others are afterwards.
func TestR11_IdleConnections(t *testing.T) {
	program := os.Args[0]
	few := filepath.Join(t.TempDir(), "few")
	script := "#!/bin/sh\nulimit -n 600\nexec '" + program + "' \"$@\"\n"
	if err := os.WriteFile(few, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	os.Args[0] = few
	defer func() { os.Args[0] = program }()
	p := start(t, t.TempDir(), "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, p)
	keys := keyserver.NewClient(g.keys, keyserver.Options{})
	defer keys.Close()
	if _, err := keys.PutChunk(t.Context(), []byte("before")); err != nil {
		t.Fatal(err)
	}
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			c.Close()
		}
	}()
	for range 650 {
		c, err := net.Dial("tcp", g.relay.Host)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	// When the last one is closed, all before it have been accepted or closed.
	if _, err := idle[len(idle)-1].Read(make([]byte, 1)); err == nil {
		t.Error("a connection over the limit is spoken to")
	}
	if _, err := keys.PutChunk(t.Context(), []byte("meanwhile")); err != nil {
		t.Errorf("a client that was there before: %v", err)
	}
	fds, err := os.ReadDir("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/fd")
	if err != nil {
		t.Skip("no /proc to count the server's files in")
	}
	if len(fds) > 450 {
		t.Errorf("the server has %d of 600 files open", len(fds))
	}
	for _, c := range idle {
		c.Close()
	}
	dialBoth(t, g)
}

// TestBoundedListener: a connection over the limit is closed, and one that ends makes room
// once, however often it is closed.
func TestBoundedListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newBoundedListener(inner, connLimits{total: 2, network: 1, loopback: 2})
	defer l.Close()
	in := make(chan net.Conn, 8)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			in <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	turnedAway := func() {
		t.Helper()
		if _, err := dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("a connection over the limit: %v, want EOF", err)
		}
	}
	dial()
	dial()
	first, second := <-in, <-in
	turnedAway()
	first.Close()
	first.Close()
	dial()
	third := <-in
	turnedAway()
	second.Close()
	third.Close()
	if l.open != 0 || len(l.byNetwork) != 0 {
		t.Errorf("%d connections of %d networks are counted after all were closed", l.open, len(l.byNetwork))
	}
}

func TestOneNetworkDoesNotFillTheServer(t *testing.T) {
	l := newBoundedListener(nil, connLimits{total: 5, network: 2, loopback: 4})
	for _, c := range []struct {
		remote string
		want   bool
	}{
		{"192.0.2.1:1", true}, {"192.0.2.200:1", true}, {"[::ffff:192.0.2.3]:1", false},
		{"[2001:db8:1:200::1]:1", true}, {"[2001:db8:1:2ff::2]:1", true}, {"[2001:db8:1:201::3]:1", false},
		{"127.0.0.1:1", true}, {"127.9.9.9:1", false}, {"198.51.100.1:1", false}, // five are in
	} {
		if got := l.admit(networkOf(c.remote)); got != c.want {
			t.Errorf("%s is let in: %v", c.remote, got)
		}
	}
	l.release(networkOf("192.0.2.77:1"))
	if !l.admit(networkOf("[::1]:1")) {
		t.Error("there is room, and loopback is not let in")
	}
	for files, want := range map[uint64]connLimits{
		0: {1, 1, 1}, 600: {300, 75, 300}, 1024: {512, 128, 512}, 65536: {65024, 2048, 4096}, 1<<64 - 1: {maxConns, 2048, 4096},
	} {
		if got := limitsFor(files); got != want {
			t.Errorf("with %d files the limits are %+v, want %+v", files, got, want)
		}
	}
}
