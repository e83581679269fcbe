package relayserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/testutils/simnet"
	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// pipes is a listener whose connections are pipes, for a bubble of testing/synctest.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	over  chan struct{}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.over) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443} }

func (l *pipes) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

// polledHere polls a server inside a bubble, through an http.Server with an operator's
// deadlines.
func polledHere(t *testing.T) (*pollClient, *pipes) {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn), over: make(chan struct{})}
	web := &http.Server{Handler: openHere(t), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	go web.Serve(l)
	t.Cleanup(func() { _ = web.Close() })
	via := &http.Transport{DialContext: l.dial}
	t.Cleanup(via.CloseIdleConnections)
	return &pollClient{http: &http.Client{Transport: via}, url: "http://relay.example" + relay.Path + "/poll"}, l
}

// gone waits until the session is over, and says how long that took.
func (c *pollClient) gone(t *testing.T, since time.Time) time.Duration {
	t.Helper()
	for {
		status, _, err := c.do(http.MethodPost, fmt.Sprintf("/%s/%d", c.token, c.sent), nil)
		if err != nil {
			t.Fatal(err)
		}
		if status == http.StatusNotFound {
			return time.Since(since)
		}
		<-time.After(100 * time.Millisecond)
	}
}

func within(t *testing.T, took, least, most time.Duration) {
	t.Helper()
	if took < least || took > most {
		t.Errorf("after %v, want %v to %v", took, least, most)
	}
}

func bubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// TestR10_SlowPolling: who polls and gives nothing loses the session.
func TestR10_SlowPolling(t *testing.T) {
	bubble(t, "no handshake", func(t *testing.T) {
		p, _ := polledHere(t)
		begin := time.Now()
		if _, err := p.Write([]byte{0}); err != nil { // half a length
			t.Fatal(err)
		}
		within(t, p.gone(t, begin), handshakeTime, handshakeTime+2*closeWithin)
	})
	bubble(t, "no GET at all", func(t *testing.T) {
		p, _ := polledHere(t)
		begin := time.Now()
		if _, err := newHello(t, p); err != nil {
			t.Fatal(err)
		}
		within(t, p.gone(t, begin), pollFirst, pollFirst+2*closeWithin)
	})
	bubble(t, "no GET any more", func(t *testing.T) {
		p, _ := polledHere(t)
		if _, err := newClient(t, p); err != nil {
			t.Fatal(err)
		}
		within(t, p.gone(t, time.Now()), pollAbsent, pollAbsent+2*closeWithin)
	})
	bubble(t, "nothing to tell", func(t *testing.T) {
		p, _ := polledHere(t)
		if _, err := newClient(t, p); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		status, _, err := p.do(http.MethodGet, fmt.Sprintf("/%s/%d", p.token, p.received), nil)
		if err != nil || status != http.StatusNoContent {
			t.Errorf("status %d, %v", status, err)
		}
		within(t, time.Since(begin), pollWait, pollWait+time.Second)
	})
	bubble(t, "idle", func(t *testing.T) {
		p, _ := polledHere(t)
		c, err := newClient(t, p)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		c.ended(relay.CloseIdle) // it asks all the time
		within(t, time.Since(begin), recordWithin, recordWithin+2*closeWithin)
	})
	bubble(t, "a body by dribs", func(t *testing.T) {
		p, l := polledHere(t)
		if _, err := newClient(t, p); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		conn, _ := l.dial(t.Context(), "", "")
		fmt.Fprintf(conn, "POST %s/poll/%s/%d HTTP/1.1\r\nHost: relay\r\nContent-Length: 1000\r\n\r\n", relay.Path, p.token, p.sent)
		go io.Copy(io.Discard, conn)
		for range 1000 {
			if _, err := conn.Write([]byte{4}); err != nil { // of a record of 1,028 bytes
				break
			}
			<-time.After(time.Second)
		}
		within(t, time.Since(begin), pollTake, pollTake+2*time.Second)
	})
}

// TestR10_PollingTakesNothing: the same for who takes nothing of what there is.
func TestR10_PollingTakesNothing(t *testing.T) {
	bubble(t, "answers that nobody reads", func(t *testing.T) {
		p, l := polledHere(t)
		c, err := newClient(t, p)
		if err != nil {
			t.Fatal(err)
		}
		c.write(&relay.Ping{})
		conn, _ := l.dial(t.Context(), "", "")
		begin := time.Now()
		fmt.Fprintf(conn, "GET %s/poll/%s/%d HTTP/1.1\r\nHost: relay\r\n\r\n", relay.Path, p.token, p.received)
		for range 60 {
			if c.s.WriteFrames(&relay.Ping{}) != nil { // else it would be idle, too
				break
			}
			<-time.After(5 * time.Second)
		}
		within(t, time.Since(begin), pollAbsent, writeWithin+pollAbsent+5*time.Second)
	})
	bubble(t, "the same again and again", func(t *testing.T) {
		p, _ := polledHere(t)
		c, err := newClient(t, p)
		if err != nil {
			t.Fatal(err)
		}
		q := queueID(1)
		c.must(create(q))
		c.must(proveWrite(q, group))
		for range 3 {
			c.must(appendTo(q, group, envelope(relay.MaxEnvelope, 1)))
		}
		c.attach(q, alice, nil, maxWindow)
		begin := time.Now()
		for {
			status, _, err := p.do(http.MethodGet, fmt.Sprintf("/%s/%d", p.token, p.received), nil)
			if err != nil {
				t.Fatal(err)
			}
			if status == http.StatusNotFound {
				break
			}
			<-time.After(time.Second)
		}
		within(t, time.Since(begin), 0, recordWithin+2*closeWithin)
	})
}

// newHello sends what begins a session, and does not ask for the answer.
func newHello(t *testing.T, p *pollClient) (int, error) {
	t.Helper()
	mute := &recorder{ReadWriteCloser: muted{}}
	if _, err := newClient(t, mute); err == nil {
		t.Fatal("a handshake without an answer")
	}
	return p.Write(mute.sent.Bytes())
}

// muted takes everything and says nothing.
type muted struct{}

func (muted) Read([]byte) (int, error)    { return 0, io.EOF }
func (muted) Write(b []byte) (int, error) { return len(b), nil }
func (muted) Close() error                { return nil }

// certificate is made outside of any bubble.
var certificate = sync.OnceValues(func() ([]tls.Certificate, *x509.CertPool) {
	h := httptest.NewTLSServer(http.NotFoundHandler())
	defer h.Close()
	return h.TLS.Certificates, h.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
})

// webTransportHere opens a WebTransport session with a server inside a bubble, over packets
// that never touch a socket.
func webTransportHere(t *testing.T) *webtransport.Session {
	t.Helper()
	return webTransportTo(t, openHere(t), &quic.Config{})
}

// webTransportTo is the same for a server and a client's bounds that the test chooses.
func webTransportTo(t *testing.T, s *Server, config *quic.Config) *webtransport.Session {
	t.Helper()
	net4 := &simnet.PerfectRouter{}
	return webTransportOver(t, s, config, simnet.NewSimConn(serverAddr, net4), simnet.NewSimConn(clientAddr, net4))
}

var (
	serverAddr = &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}
	clientAddr = &net.UDPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 4433}
)

// webTransportOver is the same between two sockets that the test has made.
func webTransportOver(t *testing.T, s *Server, config *quic.Config, server, client *simnet.SimConn) *webtransport.Session {
	t.Helper()
	certificates, roots := certificate()
	e := &endpoint{t: t, server: s}
	e.serveUDP(server, certificates, e.server.ServeWebTransport)
	via := &quic.Transport{Conn: client}
	t.Cleanup(func() {
		_ = via.Close()
		_ = client.Close()
	})
	config.EnableDatagrams, config.EnableStreamResetPartialDelivery = true, true
	config.MaxIdleTimeout, config.KeepAlivePeriod = time.Hour, 10*time.Second
	dialer := &webtransport.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com", NextProtos: []string{http3.NextProtoH3}},
		QUICConfig:      config,
		DialAddr: func(ctx context.Context, _ string, c *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return via.Dial(ctx, server.LocalAddr(), c, q)
		},
	}
	_, session, err := dialer.Dial(t.Context(), "https://example.com"+relay.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// TestR10_SlowWebTransport: QUIC's own packets go on all the time, which keeps nobody in.
func TestR10_SlowWebTransport(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(t *testing.T, s *webtransport.Session)
		took time.Duration
	}{
		"no stream": {func(*testing.T, *webtransport.Session) {}, handshakeTime},
		"no handshake": {func(t *testing.T, s *webtransport.Session) {
			stream, err := s.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			_, _ = stream.Write([]byte{0})
		}, handshakeTime},
		"idle": {func(t *testing.T, s *webtransport.Session) { _ = sessionOn(t, s) }, recordWithin},
		"not reading": {func(t *testing.T, s *webtransport.Session) {
			c := sessionOn(t, s)
			q := queueID(1)
			c.must(create(q))
			c.must(proveWrite(q, group))
			for range 3 {
				c.must(appendTo(q, group, envelope(relay.MaxEnvelope, 1)))
			}
			c.attach(q, alice, nil, maxWindow)
		}, writeWithin},
	} {
		t.Run(name, func(t *testing.T) {
			certificate()
			synctest.Test(t, func(t *testing.T) {
				s := webTransportHere(t)
				c.do(t, s)
				begin := time.Now()
				<-s.Context().Done()
				within(t, time.Since(begin), c.took-time.Second, c.took+heardWithin+closeWithin)
			})
		})
	}
}

func sessionOn(t *testing.T, s *webtransport.Session, features ...session.Feature) *client {
	t.Helper()
	stream, err := s.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	c, err := newClient(t, &wtClient{stream, s}, features...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestR37_PollingClientComesForTheEnd: a client on a slow network hears the last frames, and
// one that does not come does not hold up the end.
func TestR37_PollingClientComesForTheEnd(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{heardWithin - time.Second, http.StatusOK}, {heardWithin + time.Second, http.StatusNotFound}} {
		bubble(t, c.after.String(), func(t *testing.T) {
			p := newPollStream(new(budget))
			if _, err := p.Write([]byte("the end")); err != nil {
				t.Fatal(err)
			}
			begin, closed := time.Now(), make(chan time.Duration, 1)
			go func() {
				_ = p.Close()
				closed <- time.Since(begin)
			}()
			<-time.After(c.after)
			answer := httptest.NewRecorder()
			p.give(answer, httptest.NewRequest(http.MethodGet, "/", nil), 0)
			if answer.Code != c.want || c.want == http.StatusOK && answer.Body.String() != "the end" {
				t.Errorf("%d: %q", answer.Code, answer.Body)
			}
			within(t, <-closed, 0, heardWithin)
		})
	}
}
