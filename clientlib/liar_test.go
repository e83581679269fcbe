package clientlib

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// A liar has the relay's keys and answers what a test tells it. A user behind it comes to it
// with the sessions that begin while it is on.
type liar struct {
	key  session.PrivateKey
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	on     atomic.Bool
	asked  atomic.Int32                                  // GET_BLOBs and STORE_BLOBs
	answer atomic.Pointer[func(relay.Frame) relay.Frame] // nil is silence
}

// newLiar serves ls until the test ends.
func newLiar(t *testing.T, ls net.Listener, cert *certpin.Development, key session.PrivateKey, dial func(context.Context, string, string) (net.Conn, error)) *liar {
	t.Helper()
	l := &liar{key: key, dial: dial}
	var wg sync.WaitGroup
	server := &http.Server{
		TLSConfig: cert.ServerConfig(), ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			wg.Add(1)
			defer wg.Done()
			l.accept(w, r)
		}),
	}
	wg.Go(func() { _ = server.ServeTLS(ls, "", "") })
	t.Cleanup(func() {
		_ = server.Close()
		wg.Wait()
	})
	return l
}

// liar puts a liar between the users, which are opened anew, and the relay.
func (s *servers) liar(users ...*user) *liar {
	s.t.Helper()
	ls := need[net.Listener](s.t)(net.Listen("tcp", "127.0.0.1:0"))
	var l *liar
	l = newLiar(s.t, ls, s.cert, s.key, func(ctx context.Context, network, addr string) (net.Conn, error) {
		if l.on.Load() {
			addr = ls.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	})
	for _, u := range users {
		u.close()
		u.cfg.DialContext = l.dial
		u.open()
		u.until("the relay", func() bool { _, ok, err := u.Connected(u.ctx()); return ok && err == nil })
		u.quiet()
	}
	return l
}

// lies has the liar take the sessions to come.
func (l *liar) lies(answer func(relay.Frame) relay.Frame) {
	l.answer.Store(&answer)
	l.asked.Store(0)
	l.on.Store(true)
}

func (l *liar) accept(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{relay.Subprotocol}})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ctx := context.Background()
	s, err := session.Server(ctx, websocket.NetConn(ctx, ws, websocket.MessageBinary), l.key, relay.Incarnation{1})
	if err != nil {
		return
	}
	for {
		f, err := s.ReadFrame()
		if err != nil {
			return
		}
		var answer relay.Frame
		switch f := f.(type) {
		case *relay.Ping:
			answer = &relay.Pong{Value: f.Value}
		case *relay.Prove:
			answer = &relay.Proved{Request: f.Request}
		case *relay.GetBlob, *relay.StoreBlob:
			l.asked.Add(1)
			answer = (*l.answer.Load())(f)
		}
		if answer != nil && s.WriteFrames(answer) != nil {
			return
		}
	}
}

// silent answers nothing.
func silent(relay.Frame) relay.Frame { return nil }

// refusing refuses everything in the same way.
func refusing(code relay.RefusalCode) func(relay.Frame) relay.Frame {
	return func(f relay.Frame) relay.Frame {
		return &relay.Refused{Request: f.(relay.Request).RequestNumber(), Refusal: relay.Refusal{Code: code}}
	}
}

// giving answers GET_BLOB from these bytes, whatever was asked for.
func giving(blob []byte) func(relay.Frame) relay.Frame {
	return func(f relay.Frame) relay.Frame {
		get := f.(*relay.GetBlob)
		from := min(get.Offset, uint64(len(blob)))
		to := min(from+uint64(get.Length), uint64(len(blob)))
		return &relay.BlobData{Request: get.Request, Size: uint64(len(blob)), Data: blob[from:to]}
	}
}
