package adminsocket

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestR33_OtherUsersAreNotHeard: another user whom the file's mode lets connect is closed at once,
// and the listener goes on. Only root can be somebody else.
func TestR33_OtherUsersAreNotHeard(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	folder := t.TempDir()
	l, err := Listen(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	for path, mode := range map[string]os.FileMode{filepath.Dir(folder): 0o711, folder: 0o711, filepath.Join(folder, Name): 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	heard := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		const nobody = 65534
		if _, _, e := syscall.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); e != 0 {
			heard <- e
			return
		}
		c, err := net.Dial("unix", filepath.Join(folder, Name))
		if err == nil {
			_, err = c.Read(make([]byte, 1))
			_ = c.Close()
		}
		heard <- err
	}()
	select {
	case err := <-heard:
		if err != io.EOF {
			t.Errorf("another user hears %v", err)
		}
	case c := <-accepted:
		t.Fatalf("another user is heard: %v", c.RemoteAddr())
	}
	c, err := Dial(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	_ = (<-accepted).Close()
}
