package relayserver

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// A change is what a proxy makes of the bytes at an offset of the stream from client to
// server; cut ends both connections behind them.
type change func(offset int, b []byte) (out []byte, cut bool)

func honest(_ int, b []byte) ([]byte, bool) { return b, false }

// proxy terminates TLS in front of a server.
type proxy struct {
	url  string
	mu   sync.Mutex
	seen bytes.Buffer // what the client sent, without TLS
}

func newProxy(t *testing.T, h *endpoint, change change) *proxy {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: h.TLS.Certificates, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{url: "https://" + listener.Addr().String()}
	roots := h.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	var wg sync.WaitGroup
	wg.Go(func() {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := tls.Dial("tcp", h.Listener.Addr().String(),
			&tls.Config{RootCAs: roots, ServerName: "example.com", NextProtos: []string{"http/1.1"}})
		if err != nil {
			t.Error(err)
			_ = client.Close()
			return
		}
		wg.Go(func() { p.pass(client, server, honest) })
		p.pass(server, client, func(offset int, b []byte) ([]byte, bool) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.seen.Write(b)
			return change(offset, b)
		})
	})
	t.Cleanup(func() {
		_ = listener.Close()
		wg.Wait()
	})
	return p
}

func (p *proxy) pass(to, from net.Conn, change change) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for offset := 0; ; {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		out, cut := change(offset, bytes.Clone(buf[:n]))
		if _, err := to.Write(out); err != nil || cut {
			return
		}
		offset += n
	}
}

const appends = 5

// through opens a session through p, creates q and appends to it, one request after the
// other. It returns how many appends were accepted, and what ended the session early.
func through(t *testing.T, p *proxy, h *endpoint, q relay.QueueID) (accepted int, err error) {
	stream, err := dialWebSocket(t.Context(), p.url, h.Client())
	if err != nil {
		return 0, err
	}
	c, err := newClient(t, stream)
	if err != nil {
		return 0, err
	}
	defer c.s.Close()
	requests := []relay.Request{create(q), proveWrite(q, group)}
	for i := range appends {
		requests = append(requests, appendTo(q, group, envelope(512, byte(i))))
	}
	for _, r := range requests {
		if err := c.s.WriteFrames(c.sign(r)); err != nil {
			return accepted, err
		}
		f, err := c.s.ReadFrame()
		if err != nil {
			return accepted, err
		}
		if _, ok := f.(*relay.Accepted); ok && r.Type() == relay.TypeAppend {
			accepted++
		}
	}
	return accepted, nil
}

// head returns the seq of q's last entry; 0 if there is no such queue.
func head(t *testing.T, h *endpoint, q relay.QueueID) uint64 {
	t.Helper()
	c := dial(t, h)
	defer c.s.Close()
	c.must(proveRead(q, alice))
	if a, ok := c.call(&relay.Attach{Queue: q, Reader: public(alice), Window: 1 << 20}).(*relay.Attached); ok {
		return a.Head.Seq
	}
	return 0
}

// upgraded returns where in the stream from client to server the WebSocket begins.
func upgraded(b []byte) int { return bytes.Index(b, []byte("\r\n\r\n")) + 4 }

// unmasked returns the payloads of the client's WebSocket frames.
func unmasked(t *testing.T, b []byte) (out []byte) {
	t.Helper()
	for b = b[upgraded(b):]; len(b) > 0; {
		n, head := int(b[1]&0x7f), 2
		if n == 126 {
			n, head = int(b[2])<<8|int(b[3]), 4
		}
		if n == 127 || b[1]&0x80 == 0 || len(b) < head+4+n {
			t.Fatal("the client sent other frames than this test knows")
		}
		mask, payload := b[head:head+4], b[head+4:head+4+n]
		for i, c := range payload {
			out = append(out, c^mask[i%4])
		}
		b = b[head+4+n:]
	}
	return out
}

// TestQ09_ProxySeesNothing: who terminates TLS sees no id, no key and no envelope.
func TestQ09_ProxySeesNothing(t *testing.T) {
	h := listen(t, open(t, t.TempDir(), nil))
	p := newProxy(t, h, honest)
	q := queueID(22)
	if n, err := through(t, p, h, q); n != appends || err != nil {
		t.Fatalf("an honest proxy: %d accepted, %v", n, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !bytes.Contains(p.seen.Bytes(), []byte(relay.Subprotocol)) {
		t.Fatal("the proxy saw nothing at all")
	}
	seen, key := unmasked(t, p.seen.Bytes()), public(group)
	for name, secret := range map[string][]byte{"queue": q[:], "key": key[:], "envelope": envelope(16, 3)} {
		if bytes.Contains(seen, secret) {
			t.Errorf("the proxy saw the %s", name)
		}
	}
}

// TestQ09_ProxyAltersOneByte: wherever it does so, the session ends, and the log holds what
// was accepted before and nothing else.
func TestQ09_ProxyAltersOneByte(t *testing.T) {
	h := listen(t, open(t, t.TempDir(), nil))
	offsets := []int{0, 1, 2, 5, 6, 7, 8, 20, 55, 63, 64, 65, 66, 100, 300, 450, 700, 1000, 1500, 2500, 3000}
	for i, at := range offsets {
		begin := 0
		p := newProxy(t, h, func(offset int, b []byte) ([]byte, bool) {
			if offset == 0 {
				begin = upgraded(b)
			}
			n := begin + at - offset
			if n < 0 || n >= len(b) {
				return b, false
			}
			b[n] ^= 0x01
			return b, true // else a length made longer has both ends wait for their deadlines
		})
		q := queueID(130 + byte(i))
		n, err := through(t, p, h, q)
		if err == nil {
			t.Errorf("byte %d altered: all %d appends accepted", at, n)
		}
		if got := head(t, h, q); got != uint64(n) {
			t.Errorf("byte %d altered: %d appends accepted and %d in the log", at, n, got)
		}
	}
}

// TestQ09_ProxyInjects: frames that the proxy makes up, and the client's own repeated or
// left out: what came before them stands, and the session ends.
func TestQ09_ProxyInjects(t *testing.T) {
	h := listen(t, open(t, t.TempDir(), nil))
	q := byte(160)
	for name, c := range map[string]struct {
		inject func(b []byte) ([]byte, bool)
		most   int // appends that may be in the log
	}{
		"made up":      {func(b []byte) ([]byte, bool) { return append([]byte{0x82, 0x83, 0, 0, 0, 0, 0, 1, 7}, b...), false }, 0},
		"repeated":     {func(b []byte) ([]byte, bool) { return append(bytes.Clone(b), b...), false }, 1},
		"left out":     {func([]byte) ([]byte, bool) { return nil, true }, 0},
		"text":         {func(b []byte) ([]byte, bool) { return append([]byte{0x81, 0x81, 0, 0, 0, 0, 'x'}, b...), false }, 0},
		"unmasked":     {func(b []byte) ([]byte, bool) { return append([]byte{0x82, 0x01, 'x'}, b...), false }, 0},
		"a close":      {func(b []byte) ([]byte, bool) { return append([]byte{0x88, 0x80, 0, 0, 0, 0}, b...), false }, 0},
		"reserved bit": {func(b []byte) ([]byte, bool) { return append([]byte{0xc2, 0x81, 0, 0, 0, 0, 'x'}, b...), false }, 0},
	} {
		q++
		chunks := 0
		p := newProxy(t, h, func(_ int, b []byte) ([]byte, bool) {
			if chunks++; chunks == 5 { // behind upgrade, handshake, CREATE and PROVE
				return c.inject(b)
			}
			return b, false
		})
		n, err := through(t, p, h, queueID(q))
		if got := head(t, h, queueID(q)); err == nil || got > uint64(c.most) || n > c.most {
			t.Errorf("%s: %d accepted, %d in the log, %v", name, n, got, err)
		}
	}
}
