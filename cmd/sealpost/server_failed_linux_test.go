package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/sealpost/sealpost/keyserver"
)

// TestServeEndsWhenAStoreFails: a store whose disk takes no more writes ends the server with
// an error, so that a supervisor starts it again; what was accepted before is there then, and
// what was not is not said to be.
func TestServeEndsWhenAStoreFails(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	command := serveCommand{Data: data, Listen: "127.0.0.1:0"}
	r, w := io.Pipe()
	var log lockedBuffer
	ended := make(chan error, 1)
	go func() {
		ended <- command.Run(t.Context(), streams{out: w, err: &log})
		w.Close()
	}()
	keys := keyserver.NewClient(keyAddress(t, r), keyserver.Options{})
	defer keys.Close()
	name, err := keys.PutChunk(t.Context(), []byte("accepted"))
	if err != nil {
		t.Fatal(err)
	}
	breakFile(t, filepath.Join(data, keysFolder, "groupstate", "mark"))
	if _, err := keys.PutChunk(t.Context(), []byte("lost")); err == nil {
		t.Error("a chunk is accepted that could not be marked")
	}
	if err := <-ended; !errors.Is(err, errStoreFailed) {
		t.Fatalf("it ended with %v", err)
	}
	if !strings.Contains(log.String(), "the store has failed") {
		t.Errorf("the log:\n%s", log.String())
	}
	p := start(t, t.TempDir(), "serve", "--data", data, "--listen", "127.0.0.1:0")
	again := keyserver.NewClient(greeted(t, p).keys, keyserver.Options{})
	defer again.Close()
	if b, err := again.GetChunk(t.Context(), name); err != nil || !bytes.Equal(b, []byte("accepted")) {
		t.Errorf("after a restart: %q, %v", b, err)
	}
}

// keyAddress reads a greeting up to its end and goes on reading.
func keyAddress(t *testing.T, r io.Reader) keyserver.Address {
	t.Helper()
	var text []byte
	line := regexp.MustCompile(`(?m)^key server +(\S+)\n`)
	for !line.Match(text) {
		b := make([]byte, 512)
		n, err := r.Read(b)
		if err != nil {
			t.Fatalf("%v after %q", err, text)
		}
		text = append(text, b[:n]...)
	}
	go io.Copy(io.Discard, r)
	a, err := keyserver.ParseAddress(string(line.FindSubmatch(text)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// breakFile makes every write to path fail, which this process has open: its descriptors of it
// become such that only read.
func breakFile(t *testing.T, path string) {
	t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc to find the store's file in")
	}
	broken := 0
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err != nil || to != path {
			continue
		}
		var n int
		if _, err := fmt.Sscan(fd.Name(), &n); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Dup3(int(null.Fd()), n, syscall.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		broken++
	}
	if broken != 1 {
		t.Fatalf("%d descriptors of the mark", broken)
	}
}
