package relayserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/relay"
)

// TestR13_StreamsNobodyAskedFor: a client that opens streams of both kinds, resets them and
// opens more, and sends datagrams, is stopped by QUIC after a few, and its session goes on.
func TestR13_StreamsNobodyAskedFor(t *testing.T) {
	h := listenOver(t, open(t, t.TempDir(), nil), overWebTransport)
	stream, err := dialWebTransport(t.Context(), h, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newClient(t, stream)
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	for ; opened < 1000; opened++ {
		s, err := stream.session.OpenStream()
		if err != nil {
			break
		}
		_, _ = s.Write([]byte("what is this"))
		s.CancelWrite(1)
		s.CancelRead(1)
	}
	for ; opened < 2000; opened++ {
		s, err := stream.session.OpenUniStream()
		if err != nil {
			break
		}
		_, _ = s.Write(make([]byte, 1000))
		s.CancelWrite(1)
	}
	if opened > 32 {
		t.Errorf("%d streams were opened", opened)
	}
	for range 1000 {
		_ = stream.session.SendDatagram([]byte("and this"))
	}
	c.must(proveRead(queueID(1), alice))
}

// connect3 opens an HTTP/3 connection without package webtransport, and a CONNECT on it.
func connect3(t *testing.T, h *endpoint, path string) (*http3.RequestStream, *http.Response) {
	t.Helper()
	conn, err := quic.DialAddr(t.Context(), h.udp.LocalAddr().String(),
		&tls.Config{RootCAs: h.roots().RootCAs, NextProtos: []string{http3.NextProtoH3}},
		&quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	web := (&http3.Transport{EnableDatagrams: true}).NewClientConn(conn)
	s, err := web.OpenRequestStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, h.url3()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Proto = "webtransport"
	if err := s.SendRequestHeader(r); err != nil {
		t.Fatal(err)
	}
	answer, err := s.ReadResponse()
	if err != nil {
		t.Fatal(err)
	}
	return s, answer
}

// TestR13_Capsules: capsules of a type that nobody knows, and a close that says it is of 10 GB,
// pass through and cost no memory.
func TestR13_Capsules(t *testing.T) {
	h := listenOver(t, open(t, t.TempDir(), nil), overWebTransport)
	for name, typ := range map[string]uint64{"unknown": 0x1234, "close": 0x2843} {
		t.Run(name, func(t *testing.T) {
			s, answer := connect3(t, h, relay.Path)
			if answer.StatusCode != http.StatusOK {
				t.Fatal(answer.Status)
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			b := quicvarint.Append(quicvarint.Append(nil, typ), 10<<30)
			if _, err := s.Write(b); err != nil {
				t.Fatal(err)
			}
			chunk := make([]byte, 64<<10)
			for range 8 << 20 / len(chunk) {
				if _, err := s.Write(chunk); err != nil {
					t.Fatal(err) // as long as it is read, it is passed over
				}
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
				t.Errorf("%d bytes are held after 8 MiB of it", grown)
			}
		})
	}
	dial(t, h).must(proveRead(queueID(1), alice))
}

// TestWebTransportRequests: other paths and methods, a second session on a connection, and
// what can be had without a session.
func TestWebTransportRequests(t *testing.T) {
	h := listenOver(t, open(t, t.TempDir(), nil), overWebTransport)
	for _, path := range []string{"/", relay.Path + "/", relay.Path + "/poll", "/v1/accounts"} {
		if _, answer := connect3(t, h, path); answer.StatusCode != http.StatusNotFound {
			t.Errorf("CONNECT %s: %s", path, answer.Status)
		}
	}
	for path, want := range map[string]int{relay.Path: http.StatusBadRequest, "/": http.StatusNotFound, relay.Path + "/poll/x/0": http.StatusNotFound} {
		answer, err := h.client3().Get(h.url3() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("GET %s over HTTP/3: %s", path, answer.Status)
		}
	}
	dialer := &webtransport.Transport{}
	conn, err := quic.DialAddr(t.Context(), h.udp.LocalAddr().String(),
		&tls.Config{RootCAs: h.roots().RootCAs, NextProtos: []string{http3.NextProtoH3}},
		&quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseWithError(0, "")
	web, err := dialer.NewClientConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	_, session, err := web.Dial(t.Context(), h.url3()+relay.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The answer is on its way before webtransport-go looks whether there is a session already.
	if _, second, err := web.Dial(t.Context(), h.url3()+relay.Path, nil); err == nil {
		select {
		case <-second.Context().Done():
		case <-session.Context().Done():
			session = second
		case <-time.After(handshakeTime):
			t.Error("two sessions on the same connection")
		}
	}
	stream, err := session.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	c, err := newClient(t, &wtClient{stream, session})
	if err != nil {
		t.Fatal(err)
	}
	c.must(proveRead(queueID(1), alice))
}

// TestQ09_WebTransportProxy: a proxy that terminates QUIC and alters one byte, wherever in
// either direction, ends the session; what was accepted before is in the log and nothing else.
// It sees no id.
func TestQ09_WebTransportProxy(t *testing.T) {
	h := listenOver(t, open(t, t.TempDir(), nil), overWebTransport)
	q, key := queueID(0), public(group)
	for n, at := range []int{-1, 0, 1, 2, 5, 60, 64, 66, 80, 100, 300, 500, 700, 1000, 1500, 2500, 3000} {
		for _, down := range []bool{false, true} {
			if at < 0 && down || down && at > 300 {
				continue
			}
			name := byte(2 * n)
			if down {
				name++
			}
			q = relay.QueueID{91, name, 0xca, 0xfe}
			p := proxyQUIC(t, h, at, down)
			accepted, err := throughQUIC(t, p, q)
			if at < 0 && (err != nil || accepted != appends) {
				t.Fatalf("an honest proxy: %d accepted, %v", accepted, err)
			}
			if at >= 0 && err == nil {
				t.Errorf("byte %d altered, down %v: all accepted", at, down)
			}
			if got := head(t, h, q); got < uint64(accepted) || got > uint64(accepted)+1 || !down && got != uint64(accepted) {
				t.Errorf("byte %d altered, down %v: %d accepted, %d in the log", at, down, accepted, got)
			}
			for what, secret := range map[string][]byte{"queue": q[:], "key": key[:], "envelope": envelope(16, 3)} {
				if bytes.Contains(p.seen.Bytes(), secret) {
					t.Errorf("the proxy saw the %s", what)
				}
			}
		}
	}
}

// quicProxy is an endpoint that passes one session's stream on to another.
type quicProxy struct {
	*endpoint
	seen bytes.Buffer // read when the session is over
	done chan struct{}
}

// proxyQUIC terminates QUIC in front of h, and alters the byte at an offset of one direction.
func proxyQUIC(t *testing.T, h *endpoint, at int, down bool) *quicProxy {
	t.Helper()
	p := &quicProxy{endpoint: &endpoint{Server: h.Server, t: t, via: overWebTransport}, done: make(chan struct{})}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.serveUDP(udp, h.TLS.Certificates, func(up *webtransport.Server) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			session, err := up.Upgrade(w, r)
			if err != nil {
				t.Error(err)
				return
			}
			go func() {
				defer close(p.done)
				near, err := session.AcceptStream(context.Background())
				if err != nil {
					return
				}
				far, err := dialWebTransport(context.Background(), h, nil)
				if err != nil {
					return
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					copyAltered(near, far, nil, at, down)
					_ = session.CloseWithError(0, "")
				}()
				copyAltered(far, near, &p.seen, at, !down)
				_ = far.Close()
				<-ended
			}()
		})
	})
	return p
}

func copyAltered(to io.Writer, from io.Reader, seen *bytes.Buffer, at int, alter bool) {
	buf := make([]byte, 64<<10)
	for offset := 0; ; {
		n, err := from.Read(buf)
		if seen != nil {
			seen.Write(buf[:n])
		}
		if i := at - offset; alter && i >= 0 && i < n {
			buf[i] ^= 1
		}
		if _, werr := to.Write(buf[:n]); werr != nil || err != nil {
			return
		}
		if alter && at >= 0 && at < offset+n {
			return // else a length made longer has both ends wait for their deadlines
		}
		offset += n
	}
}

// throughQUIC does what through does, over p.
func throughQUIC(t *testing.T, p *quicProxy, q relay.QueueID) (accepted int, err error) {
	t.Helper()
	stream, err := dialWebTransport(t.Context(), p.endpoint, nil)
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = stream.Close()
		<-p.done
	}()
	c, err := newClient(t, stream)
	if err != nil {
		return 0, err
	}
	requests := []relay.Request{create(q), proveWrite(q, group)}
	for range appends {
		requests = append(requests, appendTo(q, group, envelope(512, 3)))
	}
	for _, r := range requests {
		if err := c.s.WriteFrames(c.sign(r)); err != nil {
			return accepted, err
		}
		f, err := c.s.ReadFrame()
		if err != nil {
			return accepted, err
		}
		if _, ok := f.(*relay.Accepted); !ok && r.Type() != relay.TypeProve {
			return accepted, errors.New("refused")
		}
		if r.Type() == relay.TypeAppend {
			accepted++
		}
	}
	return accepted, nil
}

// TestR11_FullOverEveryTransport: a relay that is full says so, and with what to wait for.
func TestR11_FullOverEveryTransport(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), func(c *Config) { c.Limits.Sessions = 1 }))
		dial(t, h)
		if _, err := tryDial(t, h); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("a session too many: %v", err)
		}
	})
}
