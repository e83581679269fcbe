package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// talk is a queue with one reader and one writer, and a session.
type talk struct {
	conn           *relayclient.Conn
	queue          relay.QueueID
	reader, writer ed25519.PrivateKey
}

func id() (b relay.IdempotencyID) {
	rand.Read(b[:])
	return b
}

// newTalk makes a queue and attaches its reader.
func newTalk(t *testing.T, at relay.Address) (*talk, *relayclient.Stream) {
	t.Helper()
	conn, err := relayclient.Dial(t.Context(), at, relayclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	k := &talk{conn: conn}
	rand.Read(k.queue[:])
	_, k.reader, _ = ed25519.GenerateKey(nil)
	_, k.writer, _ = ed25519.GenerateKey(nil)
	reader, writer := relay.PublicKey(k.reader.Public().(ed25519.PublicKey)), relay.PublicKey(k.writer.Public().(ed25519.PublicKey))
	call := conn.Create(relayclient.CreateParams{
		Queue: k.queue, ID: id(), Admin: k.reader, Admins: []relay.PublicKey{reader}, Writer: &writer, Readers: []relay.PublicKey{reader},
	})
	if _, err := call.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k, k.attach(t, conn)
}

func (k *talk) attach(t *testing.T, conn *relayclient.Conn) *relayclient.Stream {
	t.Helper()
	s, err := conn.Attach(k.queue, k.reader, nil, 0).Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestR37_StopDrains: a reader that is attached is sent away, not cut off by the deadline,
// and the server ends well although the client would have stayed.
func TestR37_StopDrains(t *testing.T) {
	p := start(t, t.TempDir(), "serve", "--listen", "127.0.0.1:0")
	k, _ := newTalk(t, greeted(t, p).relay)
	p.signal(syscall.SIGINT)
	<-k.conn.Done()
	select {
	case <-k.conn.GoAway():
	default:
		t.Error("the reader was cut off without a word")
	}
	status, _ := p.wait()
	if log := p.stderr.String(); status != 0 || !strings.Contains(log, "stopped") || strings.Contains(log, "cut off") {
		t.Errorf("status %d, log:\n%s", status, log)
	}
}

// TestR37_StopUnderLoad: SIGTERM while a client appends as fast as it can. The server ends
// well, and every entry that it accepted is there afterwards.
func TestR37_StopUnderLoad(t *testing.T) {
	home := t.TempDir()
	p := start(t, home, "serve", "--listen", "127.0.0.1:0")
	k, _ := newTalk(t, greeted(t, p).relay)
	accepted := make(map[uint64]byte)
	var calls []*relayclient.Call
	refused := false
	for n := 0; !refused; n++ {
		envelope := make([]byte, 512)
		envelope[0] = byte(n)
		calls = append(calls, k.conn.Append(k.queue, id(), k.writer, envelope))
		if n == 200 {
			p.signal(syscall.SIGTERM)
		}
		if n < 100 {
			continue // so many are under way at a time
		}
		position, err := calls[n-100].Wait(t.Context())
		if refused = err != nil; !refused {
			accepted[position.Seq] = byte(n - 100)
		}
	}
	for n := len(calls) - 100; n < len(calls); n++ {
		if position, err := calls[n].Wait(t.Context()); err == nil {
			accepted[position.Seq] = byte(n)
		}
	}
	if status, _ := p.wait(); status != 0 || len(accepted) < 100 {
		t.Fatalf("status %d after %d entries", status, len(accepted))
	}
	p = start(t, home, "serve", "--listen", "127.0.0.1:0")
	conn, err := relayclient.Dial(t.Context(), greeted(t, p).relay, relayclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := k.attach(t, conn)
	for len(accepted) > 0 {
		e := <-s.Events()
		got, ok := e.(relayclient.Delivery)
		if !ok {
			t.Fatalf("%T, and %d accepted entries are missing", e, len(accepted))
		}
		for _, e := range got.Entries {
			if mark, ok := accepted[e.Position.Seq]; ok && mark != e.Envelope[0] {
				t.Fatalf("entry %d is another than was accepted", e.Position.Seq)
			}
			delete(accepted, e.Position.Seq)
			s.Ack(e.Position.Seq)
		}
	}
}

// halfRequest begins a request to the key server that it waits for.
func halfRequest(t *testing.T, g greeting) {
	t.Helper()
	conn, err := tls.Dial("tcp", g.relay.Host, certpin.ClientConfig("localhost", g.keys.Pin))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n",
		keyserver.EndpointPutChunk.Path, keyserver.MediaType)
	if _, err := conn.Read(make([]byte, 1)); err != nil { // 100 Continue: the server reads the body
		t.Fatal(err)
	}
}

// TestR37_StopHasAnEnd: a request that never ends does not hold the server longer than it was
// told, and that is no failure.
func TestR37_StopHasAnEnd(t *testing.T) {
	home := t.TempDir()
	config := filepath.Join(home, "c.toml")
	if err := os.WriteFile(config, []byte("listen = \"127.0.0.1:0\"\ndrain = \"1s\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, home, "serve", "--config", config)
	halfRequest(t, greeted(t, p))
	p.signal(syscall.SIGTERM)
	if status, _ := p.wait(); status != 0 {
		t.Errorf("status %d", status)
	}
}

// TestR37_SecondSignalKills: whoever does not want to wait for the drain.
func TestR37_SecondSignalKills(t *testing.T) {
	p := start(t, t.TempDir(), "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, p)
	k, _ := newTalk(t, g.relay)
	halfRequest(t, g)
	p.signal(syscall.SIGTERM)
	<-k.conn.Done() // it drains
	p.signal(syscall.SIGTERM)
	p.wait()
	ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		t.Skip(errors.ErrUnsupported)
	}
	if !ws.Signaled() || ws.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v", p.cmd.ProcessState)
	}
}
