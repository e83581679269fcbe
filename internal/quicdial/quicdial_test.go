package quicdial

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"

	"github.com/sealpost/sealpost/internal/certpin"
)

// echo is a QUIC server on loopback that echoes streams.
func echo(t *testing.T) (hostport string, pin certpin.Pin) {
	t.Helper()
	cert, err := certpin.OpenDevelopment(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	conf := cert.ServerConfig()
	conf.NextProtos = []string{"echo"}
	ls, err := quic.ListenAddr("127.0.0.1:0", conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ls.Close() })
	go func() {
		for {
			c, err := ls.Accept(context.Background())
			if err != nil {
				return
			}
			go func() {
				if s, err := c.AcceptStream(context.Background()); err == nil {
					io.Copy(s, s)
					s.Close()
				}
			}()
		}
	}()
	return ls.Addr().String(), cert.Pin()
}

func client(pin certpin.Pin) *tls.Config {
	conf := certpin.ClientConfig("127.0.0.1", &pin)
	conf.NextProtos = []string{"echo"}
	return conf
}

// counted counts the sockets that are open.
type counted struct {
	net.PacketConn
	open *atomic.Int32
}

func (c counted) Close() error {
	c.open.Add(-1)
	return c.PacketConn.Close()
}

func counting(open *atomic.Int32) Listen {
	return func(ctx context.Context, network, addr string) (net.PacketConn, error) {
		c, err := new(net.ListenConfig).ListenPacket(ctx, network, addr)
		open.Add(1)
		return counted{c, open}, err
	}
}

// TestSocketEndsWithConnection: every connection has a socket of its own, which is closed when
// Close returns, when the handshake fails, and when the context ends.
func TestSocketEndsWithConnection(t *testing.T) {
	hostport, pin := echo(t)
	var open atomic.Int32
	a, err := Dial(t.Context(), hostport, client(pin), nil, counting(&open))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Dial(t.Context(), hostport, client(pin), nil, counting(&open))
	if err != nil {
		t.Fatal(err)
	}
	if a.LocalAddr().String() == b.LocalAddr().String() || open.Load() != 2 {
		t.Errorf("%d sockets, at %v and %v", open.Load(), a.LocalAddr(), b.LocalAddr())
	}
	s, err := a.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Write([]byte("hello"))
	s.Close()
	if got, err := io.ReadAll(s); string(got) != "hello" {
		t.Errorf("echoed %q, %v", got, err)
	}
	a.Close()
	a.Close()
	b.CloseWithError(7, "whoever ends it")
	b.Close()
	if open.Load() != 0 {
		t.Errorf("%d sockets are left", open.Load())
	}

	pin[0] ^= 1
	if _, err := Dial(t.Context(), hostport, client(pin), nil, counting(&open)); !errors.Is(err, certpin.ErrMismatch) {
		t.Errorf("another certificate: %v", err)
	}
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		silent.ReadFrom(make([]byte, 1500)) // its first packet is here: the handshake is under way
		cancel(cause)
	}()
	if _, err := Dial(ctx, silent.LocalAddr().String(), client(pin), nil, counting(&open)); !errors.Is(err, cause) {
		t.Errorf("a silent server: %v", err)
	}
	if open.Load() != 0 {
		t.Errorf("%d sockets are left", open.Load())
	}
}

// TestBothFamilies: a name with two addresses whose first is dead costs a tenth of a second,
// and leaves no socket.
func TestBothFamilies(t *testing.T) {
	hostport, pin := echo(t)
	_, port, _ := net.SplitHostPort(hostport)
	addrs, err := lookup(t.Context(), "localhost:"+port)
	if err != nil || len(addrs) > 2 || len(addrs) == 2 && addrs[0].Addr().Is4() == addrs[1].Addr().Is4() {
		t.Fatalf("localhost is %v, %v", addrs, err)
	}
	var open atomic.Int32
	c, err := Dial(t.Context(), "localhost:"+port, client(pin), nil, counting(&open))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	for _, bad := range []string{"no port", "localhost:http", "localhost:65536"} {
		if _, err := Dial(t.Context(), bad, client(pin), nil, nil); err == nil {
			t.Errorf("%q was dialled", bad)
		}
	}
}
