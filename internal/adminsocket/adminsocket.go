// Package adminsocket is the socket in a server's data folder over which its operator talks to
// it: a file that only the server's own user and root can connect to. There is no port, and no
// password (ATTACKS R33).
//
// Start with [Listen] and [Dial]. Who connects is known to the system and told by [Peer]; where
// the system can tell, connections of anybody but the server's own user and root are closed
// unheard, whatever the file's mode says.
//
// Systems without such sockets get [ErrUnsupported]; the server runs without then, and Windows is
// one of them. Out of scope: what is spoken.
package adminsocket

import (
	"errors"
	"os"
)

// Name is the file's name inside the data folder.
const Name = "admin.sock"

// Errors, by what an operator does next.
var (
	// ErrUnsupported: stop the server, and give the command the data folder.
	ErrUnsupported = errors.New("this system has no admin sockets")
	// ErrInUse: something that is no socket has the name; a person looks at it.
	ErrInUse = errors.New("another file has the admin socket's name")
	// ErrLongPath: choose a data folder with a shorter name.
	ErrLongPath = errors.New("the data folder's name is too long for a socket in it")
)

// removeStale removes the socket that an earlier process left. The caller holds the data folder:
// no other server runs in it.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return ErrInUse
	}
	return os.Remove(path)
}
