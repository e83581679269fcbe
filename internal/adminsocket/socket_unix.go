//go:build unix

package adminsocket

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen opens the socket in folder, mode 0600, in place of one that an earlier process left.
// The caller has the folder for itself. Closing the listener removes the file.
func Listen(folder string) (net.Listener, error) {
	path := filepath.Join(folder, Name)
	if err := removeStale(path); err != nil {
		return nil, err
	}
	short, done, err := shortPath(folder)
	if err != nil {
		return nil, err
	}
	defer done()
	// On Linux the file gets the mode that the socket has when it is bound; elsewhere there is
	// a moment before chmod, in which the folder's mode is what keeps others out.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), 0o600) })
	}}
	l, err := config.Listen(context.Background(), "unix", short)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // it knows the short path only
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return &listener{l, path}, nil
}

// listener gives out connections of the server's own user and of root.
type listener struct {
	net.Listener
	path string
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if uid, known := Peer(conn); !known || uid == 0 || uid == os.Geteuid() {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// Close implements [net.Listener].
func (l *listener) Close() error {
	err := l.Listener.Close()
	if err == nil {
		_ = os.Remove(l.path)
	}
	return err
}

// Dial connects to the server whose data folder it is: os.ErrNotExist or ECONNREFUSED if none
// runs.
func Dial(ctx context.Context, folder string) (net.Conn, error) {
	short, done, err := shortPath(folder)
	if err != nil {
		return nil, err
	}
	defer done()
	return new(net.Dialer).DialContext(ctx, "unix", short)
}

// maxPath is what fits a socket's address everywhere: BSDs have four bytes less than Linux.
const maxPath = 103

// shortPath returns a name of the socket that fits its address; it is good until done is called.
func shortPath(folder string) (path string, done func(), err error) {
	path = filepath.Join(folder, Name)
	if len(path) <= maxPath {
		return path, func() {}, nil
	}
	return throughFolder(folder)
}
