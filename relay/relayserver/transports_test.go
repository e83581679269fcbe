package relayserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// A transport is a way from a client to a relay.
type transport string

const (
	overWebSocket    transport = "WebSocket"
	overWebTransport transport = "WebTransport"
	overPolling      transport = "long polling"
	overPolling3     transport = "long polling over HTTP3"
)

// endpoint is a relay on real sockets: TCP with TLS, and UDP when it is first needed.
type endpoint struct {
	*httptest.Server
	t      testing.TB
	server *Server
	via    transport
	udp    net.PacketConn
	window uint64 // bytes that a client lets the server send ahead on a stream of WebTransport; 0: much
}

// over runs test over every transport.
func over(t *testing.T, test func(t *testing.T, listen func(testing.TB, *Server) *endpoint)) {
	for _, via := range []transport{overWebSocket, overWebTransport, overPolling, overPolling3} {
		t.Run(string(via), func(t *testing.T) {
			test(t, func(t testing.TB, s *Server) *endpoint { return listenOver(t, s, via) })
		})
	}
}

// listen serves s on real sockets with TLS; dial then makes WebSocket sessions.
func listen(t testing.TB, s *Server) *endpoint { return listenOver(t, s, overWebSocket) }

func listenOver(t testing.TB, s *Server, via transport) *endpoint {
	t.Helper()
	e := &endpoint{Server: httptest.NewTLSServer(s), t: t, server: s, via: via}
	t.Cleanup(e.Close)
	if via == overWebTransport || via == overPolling3 {
		e.listenUDP()
	}
	return e
}

// listenUDP serves HTTP/3 and WebTransport, with the settings that this package recommends.
func (e *endpoint) listenUDP() {
	e.t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		e.t.Fatal(err)
	}
	e.serveUDP(udp, e.TLS.Certificates, e.server.ServeWebTransport)
}

func (e *endpoint) serveUDP(udp net.PacketConn, certificates []tls.Certificate, handler func(*webtransport.Server) http.Handler) {
	e.t.Helper()
	e.udp = udp
	config := &tls.Config{Certificates: certificates, MinVersion: tls.VersionTLS13, NextProtos: []string{http3.NextProtoH3}}
	quicTransport := &quic.Transport{Conn: udp}
	listener, err := quicTransport.ListenEarly(config, QUICConfig())
	if err != nil {
		e.t.Fatal(err)
	}
	up := &webtransport.Server{H3: &http3.Server{MaxHeaderBytes: 16 << 10}}
	up.H3.Handler = handler(up)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := listener.Accept(context.Background())
			if err != nil {
				return
			}
			go up.ServeQUICConn(conn)
		}
	}()
	e.t.Cleanup(func() {
		_ = up.Close()
		_ = listener.Close()
		<-served
		_ = quicTransport.Close()
		_ = udp.Close()
	})
}

func (e *endpoint) roots() *tls.Config {
	return e.Client().Transport.(*http.Transport).TLSClientConfig
}

// url3 is where HTTP/3 is.
func (e *endpoint) url3() string { return "https://" + e.udp.LocalAddr().String() }

// client3 speaks HTTP/3 over a connection of its own.
func (e *endpoint) client3() *http.Client {
	tr := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: e.roots().RootCAs}}
	e.t.Cleanup(func() { _ = tr.Close() })
	return &http.Client{Transport: tr}
}

// connect opens the byte stream of a session.
func (e *endpoint) connect(ctx context.Context) (io.ReadWriteCloser, error) {
	switch e.via {
	case overWebTransport:
		return dialWebTransport(ctx, e, nil)
	case overPolling:
		return &pollClient{http: e.Client(), url: e.URL + relay.Path + "/poll"}, nil
	case overPolling3:
		return &pollClient{http: e.client3(), url: e.url3() + relay.Path + "/poll"}, nil
	}
	return dialWebSocket(ctx, e.URL, e.Client())
}

func dialWebSocket(ctx context.Context, url string, via *http.Client) (io.ReadWriteCloser, error) {
	c, _, err := websocket.Dial(ctx, strings.Replace(url, "https", "wss", 1)+relay.Path,
		&websocket.DialOptions{HTTPClient: via, Subprotocols: []string{relay.Subprotocol}})
	if err != nil {
		return nil, err
	}
	return websocket.NetConn(ctx, c, websocket.MessageBinary), nil
}

// wtClient is a client's end of a WebTransport session.
type wtClient struct {
	*webtransport.Stream
	session *webtransport.Session
}

func (c *wtClient) Close() error { return c.session.CloseWithError(0, "") }

func dialWebTransport(ctx context.Context, e *endpoint, header http.Header) (*wtClient, error) {
	dialer := &webtransport.Transport{
		TLSClientConfig: &tls.Config{RootCAs: e.roots().RootCAs, NextProtos: []string{http3.NextProtoH3}},
		QUICConfig: &quic.Config{
			EnableDatagrams: true, EnableStreamResetPartialDelivery: true,
			MaxIdleTimeout: 2 * time.Minute, KeepAlivePeriod: 10 * time.Second, // only the relay ends a session
			InitialStreamReceiveWindow: e.window, MaxStreamReceiveWindow: e.window, // 0: quic-go's
		},
	}
	answer, s, err := dialer.Dial(ctx, e.url3()+relay.Path, header)
	if err != nil {
		if answer != nil {
			err = fmt.Errorf("%d: %w", answer.StatusCode, err)
		}
		return nil, err
	}
	stream, err := s.OpenStream()
	if err != nil {
		return nil, err
	}
	return &wtClient{stream, s}, nil
}

// dial opens a session with h.
func dial(t testing.TB, h *endpoint) *client {
	t.Helper()
	c, err := tryDial(t, h)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tryDial(t testing.TB, h *endpoint) (*client, error) {
	t.Helper()
	stream, err := h.connect(t.Context())
	if err != nil {
		return nil, err
	}
	return newClient(t, stream)
}

// newClient makes the handshake over stream.
func newClient(t testing.TB, stream io.ReadWriteCloser, features ...session.Feature) (*client, error) {
	s, err := session.Client(t.Context(), stream, relayKey(t).Public(), features...)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = s.Close() })
	return &client{t: t, s: s}, nil
}
