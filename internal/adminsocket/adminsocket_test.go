//go:build unix

package adminsocket

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestR33_OnlyItsOwnUser: the file is its owner's alone, and who connects is known.
func TestR33_OnlyItsOwnUser(t *testing.T) {
	for name, folder := range map[string]string{
		"": t.TempDir(), "a long name": filepath.Join(t.TempDir(), strings.Repeat("long", 40)),
	} {
		if name != "" && runtime.GOOS != "linux" {
			continue
		}
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := Listen(folder)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(filepath.Join(folder, Name))
		if err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Errorf("the socket's mode is %v, %v", info.Mode(), err)
		}
		accepted := make(chan net.Conn, 1)
		go func() {
			c, _ := l.Accept()
			accepted <- c
		}()
		c, err := Dial(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		server := <-accepted
		if uid, known := Peer(server); runtime.GOOS == "linux" && (!known || uid != os.Geteuid()) {
			t.Errorf("it is connected to by user %d, known %v", uid, known)
		}
		_, _ = c.Write([]byte("x"))
		_ = c.Close()
		if b, _ := io.ReadAll(server); string(b) != "x" {
			t.Errorf("it heard %q", b)
		}
		_ = server.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Join(folder, Name)); !errors.Is(err, os.ErrNotExist) {
			t.Error("the closed socket is still there")
		}
		if _, err := Dial(t.Context(), folder); err == nil {
			t.Error("it answers after its end")
		}
	}
}

// TestStaleSocket: what a killed server left is replaced, and nothing else is.
func TestStaleSocket(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, Name)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	again, err := Listen(folder)
	if err != nil {
		t.Fatalf("beside a stale socket: %v", err)
	}
	_ = again.Close()
	if err := os.WriteFile(path, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(folder); !errors.Is(err, ErrInUse) {
		t.Errorf("beside a file: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "somebody's" {
		t.Error("the file is gone")
	}
}
