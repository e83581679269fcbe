package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// echoLoad asks the load generator of the bare servers for one thing; with Connections, for
// connections that stay.
type echoLoad struct {
	Counts echoCounts // of the servers

	Sockets  int `json:",omitempty"` // WebSockets to open; each says one message first
	Sessions int `json:",omitempty"` // WebTransport sessions, likewise
	Echo     int `json:",omitempty"` // messages in all, over the WebSockets, with Window of each on their way
	Window   int `json:",omitempty"`
	Upgrade  int `json:",omitempty"` // WebSockets to open and close
	Fan      int `json:",omitempty"` // messages, each waited for by all Readers
	Readers  int `json:",omitempty"`
}

// makeEcho is the role of the load of the bare servers.
func makeEcho(ctx context.Context, d *measure.Desk, _ Cast) error {
	var l echoClients
	defer l.close()
	return measure.Serve(d, func(q echoLoad) (loadDone, error) {
		l.counts = q.Counts
		switch {
		case q.Sockets > 0:
			l.sockets = make([]*websocket.Conn, q.Sockets)
			return loadDone{}, atOnce(dialsAtOnce, q.Sockets, func(i int) (err error) {
				l.sockets[i], err = l.dial(ctx, i)
				return errors.Join(err, say(ctx, l.sockets[i]))
			})
		case q.Sessions > 0:
			return loadDone{}, atOnce(dialsAtOnce, q.Sessions, func(i int) error { return l.session(ctx, i) })
		case q.Echo > 0:
			return l.echo(ctx, q.Echo, q.Window)
		case q.Upgrade > 0:
			return loadDone{Messages: q.Upgrade}, atOnce(comebacks, q.Upgrade, func(i int) error {
				conn, err := l.dial(ctx, i)
				if err == nil {
					_ = conn.CloseNow()
				}
				return err
			})
		case q.Fan > 0:
			return l.fan(ctx, q.Fan, q.Readers)
		}
		return loadDone{}, errors.New("an empty request")
	})
}

// echoClients are connections to bare servers.
type echoClients struct {
	counts  echoCounts
	sockets []*websocket.Conn

	mu     sync.Mutex
	others []io.Closer // guarded by mu
}

func (l *echoClients) close() {
	for _, conn := range l.sockets {
		if conn != nil {
			_ = conn.CloseNow()
		}
	}
	for _, c := range l.others {
		_ = c.Close()
	}
}

func (l *echoClients) keep(c io.Closer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.others = append(l.others, c)
}

func (l *echoClients) trust() *tls.Config { return certpin.ClientConfig("127.0.0.1", &l.counts.Pin) }

// dial opens a WebSocket, as relayclient does, from a network of its own.
func (l *echoClients) dial(ctx context.Context, n int) (*websocket.Conn, error) {
	opt := from(n, relayclient.WebSocket)
	transport := &http.Transport{TLSClientConfig: l.trust(), DialContext: opt.DialNet, DisableKeepAlives: true}
	conn, _, err := websocket.Dial(ctx, "wss://"+l.counts.Web, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, CompressionMode: websocket.CompressionDisabled,
	})
	return conn, err
}

// say sends one message and waits for it to come back.
func say(ctx context.Context, conn *websocket.Conn) error {
	if conn == nil {
		return nil
	}
	if err := conn.Write(ctx, websocket.MessageBinary, make([]byte, envelopeSize)); err != nil {
		return err
	}
	_, _, err := conn.Read(ctx)
	return err
}

// session opens a WebTransport session with one stream, says something, and leaves it open.
func (l *echoClients) session(ctx context.Context, n int) error {
	config := l.trust()
	config.NextProtos = []string{http3.NextProtoH3}
	opt := from(n, relayclient.WebTransport)
	listen := opt.ListenPacket
	if listen == nil {
		listen = new(net.ListenConfig).ListenPacket
	}
	socket, err := listen(ctx, "udp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	l.keep(socket)
	addr, err := net.ResolveUDPAddr("udp4", l.counts.QUIC)
	if err != nil {
		return err
	}
	conn, err := (&quic.Transport{Conn: socket}).Dial(ctx, addr, config, &quic.Config{
		EnableDatagrams: true, EnableStreamResetPartialDelivery: true, MaxIdleTimeout: idleQUIC, KeepAlivePeriod: idleQUIC / 3,
	})
	if err != nil {
		return err
	}
	over, err := new(webtransport.Transport).NewClientConn(conn)
	if err != nil {
		return err
	}
	_, session, err := over.Dial(ctx, "https://"+l.counts.QUIC+"/", nil)
	if err != nil {
		return err
	}
	stream, err := session.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	message := make([]byte, envelopeSize)
	if _, err := stream.Write(message); err != nil {
		return err
	}
	_, err = io.ReadFull(stream, message)
	return err
}

// echo sends so many messages over all WebSockets and waits for each to come back.
func (l *echoClients) echo(ctx context.Context, messages, window int) (loadDone, error) {
	share := messages / len(l.sockets)
	start := time.Now()
	err := atOnce(len(l.sockets), len(l.sockets), func(i int) error {
		conn, room := l.sockets[i], make(chan struct{}, window)
		failed := make(chan error, 1)
		go func() {
			message := make([]byte, envelopeSize)
			for range share {
				room <- struct{}{}
				if err := conn.Write(ctx, websocket.MessageBinary, message); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
		for range share {
			if _, _, err := conn.Read(ctx); err != nil {
				return errors.Join(err, conn.CloseNow(), <-failed)
			}
			<-room
		}
		return <-failed
	})
	return loadDone{Messages: share * len(l.sockets), Seconds: time.Since(start).Seconds()}, err
}
