package relayserver

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/flynn/noise"
	"github.com/gobwas/ws"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// connect gives s one end of a pipe as an upgraded connection and returns the other. The
// channel is closed when nothing of the connection is left in s.
func connect(t testing.TB, s *Server) (net.Conn, <-chan struct{}) {
	t.Helper()
	near, far := net.Pipe()
	prefix := netip.MustParsePrefix("192.0.2.0/24")
	if err := s.admit(prefix); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		ctx, cancel := context.WithTimeout(s.ctx, handshakeTime)
		defer cancel()
		s.serve(ctx, newWSStream(far, bufio.NewReader(strings.NewReader(""))), prefix, func() { close(gone) })
	}()
	return near, gone
}

// webSocket is a client's side of a WebSocket on a connection, without the upgrade.
type webSocket struct {
	net.Conn
	left int64
}

func (c *webSocket) Write(p []byte) (int, error) {
	b, err := ws.CompileFrame(ws.MaskFrame(ws.NewBinaryFrame(p)))
	if err != nil {
		return 0, err
	}
	if _, err := c.Conn.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *webSocket) Read(p []byte) (int, error) {
	for c.left == 0 {
		h, err := ws.ReadHeader(c.Conn)
		if err != nil {
			return 0, err
		}
		if h.OpCode == ws.OpClose {
			_, _ = io.CopyN(io.Discard, c.Conn, h.Length)
			return 0, io.EOF
		}
		c.left = h.Length
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// dialPipe opens a session with s over a pipe.
func dialPipe(t testing.TB, s *Server) (*client, net.Conn, <-chan struct{}) {
	t.Helper()
	conn, gone := connect(t, s)
	sess, err := session.Client(t.Context(), &webSocket{Conn: conn}, relayKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sess.Close() })
	return &client{t: t, s: sess}, conn, gone
}

// rawClient speaks Noise without package session, so that it can send what that refuses.
type rawClient struct {
	conn       *webSocket
	seal, open *noise.CipherState
	gone       <-chan struct{}
}

func dialRaw(t testing.TB, s *Server) *rawClient {
	t.Helper()
	conn, gone := connect(t, s)
	c := &rawClient{conn: &webSocket{Conn: conn}, gone: gone}
	t.Cleanup(func() { _ = conn.Close() })
	key := relayKey(t).Public()
	state, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256),
		Random:      rand.Reader, Pattern: noise.HandshakeNK, Initiator: true,
		Prologue: []byte("sealpost relay session 1"), PeerStatic: key[:],
	})
	if err != nil {
		t.Fatal(err)
	}
	hello := []byte{2, 0, 1, 0, 0x10, 0, 0, 0} // versions {1}, max_frame 1 MiB, no extensions
	first, _, _, err := state.WriteMessage(nil, hello)
	if err != nil {
		t.Fatal(err)
	}
	c.record(t, first)
	if _, c.seal, c.open, err = state.ReadMessage(nil, c.read()); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *rawClient) record(t testing.TB, b []byte) {
	t.Helper()
	if _, err := c.conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)); err != nil {
		t.Log("writing:", err)
	}
}

func (c *rawClient) read() []byte {
	var n [2]byte
	if _, err := io.ReadFull(c.conn, n[:]); err != nil {
		return nil
	}
	b := make([]byte, binary.BigEndian.Uint16(n[:]))
	if _, err := io.ReadFull(c.conn, b); err != nil {
		return nil
	}
	return b
}

// send seals plaintext as it is.
func (c *rawClient) send(t testing.TB, plain []byte) {
	t.Helper()
	b, err := c.seal.Encrypt(nil, nil, plain)
	if err != nil {
		t.Fatal(err)
	}
	c.record(t, b)
}

// last reads to the session's end and returns the plaintext of the last record.
func (c *rawClient) last() (last []byte) {
	for {
		b := c.read()
		if b == nil {
			return last
		}
		plain, err := c.open.Decrypt(nil, nil, b)
		if err != nil {
			return nil
		}
		last = plain
	}
}

// FuzzSession: whatever frames a client with a good handshake sends, the server survives
// and the session ends when the client goes.
func FuzzSession(f *testing.F) {
	add := func(frames ...relay.Frame) {
		var b []byte
		for _, frame := range frames {
			var err error
			if b, err = relay.AppendFrame(b, frame); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(b)
	}
	add(&relay.Ping{Value: 1}, &relay.Ack{Attachment: 1, Seq: 1}, &relay.Detach{Attachment: 1})
	add(proveRead(queueID(1), alice), &relay.Attach{Queue: queueID(1), Reader: public(alice)}, appendTo(queueID(1), group, envelope(512, 1)))
	add(create(queueID(1)), &relay.Delete{Queue: queueID(1), Key: public(admin)}, rawFrame{0x90, []byte("x")})
	add(&relay.Leave{Queue: queueID(1), Reader: public(alice)}, &relay.Knock{Envelope: envelope(512, 1)})
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	s := open(f, f.TempDir(), nil)
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) == 0 || len(in) > 65519 {
			return
		}
		c := dialRaw(t, s)
		go c.last() // answers are read, so that the server is never stuck
		c.send(t, in)
		_ = c.conn.Close()
		<-c.gone
	})
}
