package turns

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/sealpost/sealpost/internal/certpin"
)

// shaken is what came of a server's handshake.
type shaken struct {
	conn *tls.Conn
	err  error
}

// served accepts TLS connections that wait for their turns, until the test's end.
func served(t *testing.T, turns *Turns) (at string, trust *tls.Config, shakes <-chan shaken) {
	t.Helper()
	dev, err := certpin.OpenDevelopment(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	all := make(chan shaken, 16)
	go func() {
		for paced := turns.Listen(l); ; {
			c, err := paced.Accept()
			if err != nil {
				return
			}
			go func() {
				over := tls.Server(c, dev.ServerConfig())
				err := over.Handshake()
				if err != nil {
					over.Close()
				}
				all <- shaken{over, err}
			}()
		}
	}()
	return l.Addr().String(), certpin.ClientConfig("localhost", new(dev.Pin())), all
}

// waits tells how many wait for a turn that nobody hurries.
func (t *Turns) waits(stage Stage) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.waiting[stage].networks {
		n += len(c.waiting)
	}
	return n
}

// until looks again until it is so.
func until(so func() bool) {
	for !so() {
		runtime.Gosched()
	}
}

// TestR11_HandshakesWait: a handshake is computed when it has a turn, and not before; who has
// hung up meanwhile costs nothing; and who is silent in the middle of one holds no turn.
func TestR11_HandshakesWait(t *testing.T) {
	turns := New(1)
	at, trust, shakes := served(t, turns)
	silent, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := silent.Write([]byte{22, 3, 1}); err != nil { // a record's header begins
		t.Fatal(err)
	}
	if err := turns.Take(network(9), Fresh, nil); err != nil {
		t.Fatal(err)
	}
	gone, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Write([]byte{22, 3, 1}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		c, err := tls.Dial("tcp", at, trust)
		if err == nil {
			t.Cleanup(func() { c.Close() })
			_, err = c.Write([]byte("hello"))
		}
		done <- err
	}()
	// That of the silent one may be among them, when its bytes were late.
	until(func() bool { return turns.waits(Fresh)+turns.waits(Begun) >= 2 })
	gone.Close()
	select {
	case s := <-shakes:
		t.Fatalf("somebody is through without a turn: %v", s.err)
	default:
	}
	turns.Give()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var through *tls.Conn
	for through == nil {
		if s := <-shakes; s.err == nil {
			through = s.conn
		}
	}
	defer through.Close()
	Settle(through)
	if _, err := io.ReadFull(through, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	until(func() bool {
		turns.mu.Lock()
		defer turns.mu.Unlock()
		return turns.free == 1
	})
}

// TestCloseGivesTheTurnBack: also of a connection that holds one, or waits for one.
func TestCloseGivesTheTurnBack(t *testing.T) {
	turns := New(1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	paced := turns.Listen(l)
	defer paced.Close()
	accept := func() net.Conn {
		far, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { far.Close() })
		if _, err := far.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		near, err := paced.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return near
	}
	holds, waits := accept(), accept()
	if _, err := holds.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() {
		_, err := waits.Read(make([]byte, 5))
		failed <- err
	}()
	until(func() bool { return turns.waits(Fresh) == 1 })
	waits.Close()
	if <-failed == nil {
		t.Error("a closed connection was read from")
	}
	holds.Close()
	holds.Close()
	if turns.free != 1 {
		t.Errorf("%d turns are free", turns.free)
	}
}
