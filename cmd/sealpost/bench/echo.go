package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/coder/websocket"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/measure"
)

// echoRequest starts the servers, with Start, and asks for their counts.
type echoRequest struct {
	Start    bool `json:",omitempty"`
	Resident bool `json:",omitempty"` // collect garbage, and say what is left
}

// echoCounts is what the servers have used since they began.
type echoCounts struct {
	Web, Loop, QUIC string // HOST:PORT
	Pin             certpin.Pin
	CPU             time.Duration
	Resident        uint64 // KiB, if asked for
}

// serveEcho is the role of what a relay is compared with: the least that a server does which
// says back what it hears, over WebSocket and over WebTransport, and one that sends the same
// to everybody over bare TLS. They have a relay's certificate and TLS version.
func serveEcho(ctx context.Context, d *measure.Desk, _ Cast) error {
	var all echoes
	defer all.close()
	return measure.Serve(d, func(q echoRequest) (a echoCounts, err error) {
		if q.Start {
			if err := all.open(ctx); err != nil {
				return a, err
			}
		}
		if all.web == nil {
			return a, errors.New("the servers are not open yet")
		}
		a.Web, a.Loop, a.QUIC = all.web.Addr().String(), all.loop.Addr().String(), all.udp.LocalAddr().String()
		a.Pin = all.cert.Pin()
		if q.Resident {
			debug.FreeOSMemory()
			if a.Resident, err = measure.Resident(); err != nil {
				return a, err
			}
		}
		a.CPU, err = measure.CPU()
		return a, err
	})
}

// echoes are the servers.
type echoes struct {
	cert      *certpin.Development
	web, loop net.Listener
	udp       net.PacketConn
}

func (e *echoes) open(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "sealpost-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if e.cert, err = certpin.OpenDevelopment(dir); err != nil {
		return err
	}
	for _, l := range []*net.Listener{&e.web, &e.loop} {
		if *l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
	}
	if e.udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		return err
	}
	config := e.cert.ServerConfig()
	web := &http.Server{Handler: http.HandlerFunc(echoWebSocket), TLSConfig: config.Clone(), ErrorLog: log.New(io.Discard, "", 0), Protocols: new(http.Protocols)}
	web.Protocols.SetHTTP1(true)
	go func() { _ = web.ServeTLS(e.web, "", "") }()
	go (&fanLoop{}).serve(tls.NewListener(e.loop, config))
	go e.serveQUIC(ctx, config.Clone())
	return nil
}

func (e *echoes) close() {
	for _, l := range []net.Listener{e.web, e.loop} {
		if l != nil {
			_ = l.Close()
		}
	}
	if e.udp != nil {
		_ = e.udp.Close()
	}
}

// echoWebSocket says back each message.
func echoWebSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ctx := context.Background() // of the connection: a request's ends with its handler
	for {
		kind, message, err := conn.Read(ctx)
		if err != nil || conn.Write(ctx, kind, message) != nil {
			return
		}
	}
}

// serveQUIC says back what comes on the first stream of each WebTransport session. Idle
// connections live as long as a relay's.
func (e *echoes) serveQUIC(ctx context.Context, config *tls.Config) {
	config.NextProtos = []string{http3.NextProtoH3}
	up := &webtransport.Server{
		H3:          &http3.Server{TLSConfig: config, QUICConfig: &quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true, MaxIdleTimeout: idleQUIC}},
		CheckOrigin: func(*http.Request) bool { return true },
	}
	webtransport.ConfigureHTTP3Server(up.H3)
	up.H3.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := up.Upgrade(w, r)
		if err != nil {
			return
		}
		go func() {
			stream, err := session.AcceptStream(ctx)
			if err != nil {
				return
			}
			_, _ = io.Copy(stream, stream)
		}()
	})
	_ = up.Serve(e.udp)
}

const idleQUIC = 90 * time.Second
