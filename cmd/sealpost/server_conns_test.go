package main

import (
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
