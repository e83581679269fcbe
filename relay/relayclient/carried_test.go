package relayclient

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/testutils/simnet"
	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/relay"
)

// all are the transports that most tests run over.
var all = []Transport{WebTransport, WebSocket, LongPolling}

// over runs test in a bubble for each transport, against the same scripts.
func over(t *testing.T, test func(t *testing.T, p *peer), scripts ...func(*link)) {
	for _, kind := range all {
		t.Run(kind.String(), func(t *testing.T) {
			bubbleOf(t, []Transport{kind}, test, scripts...)
		})
	}
}

// bubble runs test against a peer whose n-th session runs the n-th
// script; a session ends with its script. It is a synctest bubble: the clock is
// fake, and a goroutine that is left over fails the test. The session is a WebSocket's.
func bubble(t *testing.T, test func(t *testing.T, p *peer), scripts ...func(*link)) {
	bubbleOf(t, []Transport{WebSocket}, test, scripts...)
}

// bubbleOf is bubble over any transports, on pipes and a network in memory.
func bubbleOf(t *testing.T, kinds []Transport, test func(t *testing.T, p *peer), scripts ...func(*link)) {
	synctest.Test(t, func(t *testing.T) {
		ended, stop := context.WithCancel(context.Background())
		ls := &pipeListener{conns: make(chan net.Conn), ended: ended}
		p, shutdown := newPeer(t, ls, scripts)
		p.addr.Host = "192.0.2.1:443"
		p.opt.DialNet, p.opt.Transports = ls.dial, kinds
		air := &air{}
		p.opt.ListenPacket = air.listen
		quicDown := p.serveQUIC(air.endpoint(netip.MustParseAddrPort(p.addr.Host)))
		test(t, p)
		stop()
		quicDown()
		shutdown()
	})
}

// air is a network of UDP endpoints in memory.
type air struct {
	router simnet.PerfectRouter
	mu     sync.Mutex
	last   byte
}

func (a *air) endpoint(at netip.AddrPort) net.PacketConn {
	return simnet.NewBlockingSimConn(net.UDPAddrFromAddrPort(at), &a.router)
}

// listen gives each session an address of its own.
func (a *air) listen(context.Context, string, string) (net.PacketConn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	return a.endpoint(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, a.last}), 5000)), nil
}

// serveQUIC serves the peer's WebTransport on socket until the function that it returns is
// called.
func (p *peer) serveQUIC(socket net.PacketConn) (shutdown func()) {
	mux := http.NewServeMux()
	conf := p.tls.Clone()
	conf.NextProtos = []string{http3.NextProtoH3}
	up := &webtransport.Server{H3: &http3.Server{
		Handler: mux, TLSConfig: conf, Logger: slog.New(slog.DiscardHandler),
		QUICConfig: &quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true},
	}}
	mux.HandleFunc(relay.Path, func(w http.ResponseWriter, r *http.Request) {
		script := p.nextScript(WebTransport, w, r)
		if script == nil {
			return
		}
		defer p.running.Done()
		s, err := up.Upgrade(w, r)
		if err != nil {
			return // the client has gone
		}
		defer s.CloseWithError(0, "")
		stream, err := s.AcceptStream(context.Background())
		if err == nil {
			p.serve(wtStream{stream, s}, s, script)
		}
	})
	var serving sync.WaitGroup
	serving.Go(func() { up.Serve(socket) })
	return func() {
		up.Close()
		serving.Wait()
		socket.Close()
	}
}

// wtStream is the first stream of a session, which ends with it.
type wtStream struct {
	*webtransport.Stream
	session *webtransport.Session
}

func (s wtStream) Close() error { return s.session.CloseWithError(0, "") }

// serveHTTP serves the peer's WebSockets and long polling.
func (p *peer) serveHTTP(ls net.Listener) (shutdown func()) {
	polls := &polls{peer: p, sessions: make(map[string]*pollSession)}
	p.polls = polls
	mux := http.NewServeMux()
	mux.HandleFunc(pollPath, polls.open)
	mux.HandleFunc(pollPath+"/{token}", polls.end)
	mux.HandleFunc(pollPath+"/{token}/{offset}", polls.move)
	mux.HandleFunc(relay.Path, func(w http.ResponseWriter, r *http.Request) {
		script := p.nextScript(WebSocket, w, r)
		if script == nil {
			return
		}
		defer p.running.Done()
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{relay.Subprotocol}})
		if err != nil {
			return
		}
		defer ws.CloseNow()
		p.serve(websocket.NetConn(context.Background(), ws, websocket.MessageBinary), nil, script)
	})
	server := &http.Server{
		TLSConfig: p.tls.Clone(), Handler: mux, ErrorLog: log.New(io.Discard, "", 0), // clients that hang up are what is tested
	}
	p.running.Go(func() { server.ServeTLS(ls, "", "") })
	return func() {
		server.Close()
		p.running.Wait()
	}
}
