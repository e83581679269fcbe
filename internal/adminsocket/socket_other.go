//go:build !unix

package adminsocket

import (
	"context"
	"net"
)

// Listen cannot open a socket here.
func Listen(string) (net.Listener, error) { return nil, ErrUnsupported }

// Dial cannot connect here.
func Dial(context.Context, string) (net.Conn, error) { return nil, ErrUnsupported }

// Peer cannot tell here.
func Peer(net.Conn) (uid int, known bool) { return 0, false }
