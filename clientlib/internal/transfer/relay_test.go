package transfer

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
	"github.com/sealpost/sealpost/relay/session"
)

// A store is a relay that speaks the real protocol (TLS, WebSocket, Noise, frames) and keeps
// blobs on disk across its sessions. It is honest but for what a test makes it.
type store struct {
	t    *testing.T
	dir  string
	addr relay.Address
	opt  relayclient.Options

	// Set by a test before the first session.
	lie   func(session int, f relay.Frame) (answer []relay.Frame, lies bool) // instead of an answer
	limit func(session int) int64                                            // bytes both ways after which the line is cut; 0 is never

	mu       sync.Mutex
	sizes    map[relay.Hash]uint64
	dials    int
	sessions int
	stores   int // STORE_BLOBs
	puts     int // bytes that came up
	gets     int // bytes that were asked for
}

// bubble runs test against a store on net.Pipe, under a fake clock.
func bubble(t *testing.T, test func(t *testing.T, s *store)) {
	synctest.Test(t, func(t *testing.T) {
		ended, stop := context.WithCancel(context.Background())
		ls := &pipes{conns: make(chan net.Conn), ended: ended}
		s, shutdown := newStore(t, ls)
		s.addr.Host = "localhost:443"
		s.opt.DialNet = ls.dial
		test(t, s)
		stop()
		shutdown()
	})
}

// loopback runs test against a store on TCP, under the real clock.
func loopback(t *testing.T, test func(t *testing.T, s *store)) {
	ls, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, shutdown := newStore(t, ls)
	s.addr.Host = ls.Addr().String()
	test(t, s)
	shutdown()
}

func newStore(t *testing.T, ls net.Listener) (s *store, shutdown func()) {
	key, err := session.NewPrivateKey(sha256.Sum256([]byte("relay")))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := certpin.OpenDevelopment(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s = &store{t: t, dir: t.TempDir(), sizes: make(map[relay.Hash]uint64)}
	s.addr = relay.Address{Key: key.Public(), Pin: new(relay.Hash(cert.Pin()))}
	var running sync.WaitGroup
	server := &http.Server{
		TLSConfig: cert.ServerConfig(), ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.Add(1)
			defer running.Done()
			s.accept(w, r, key)
		}),
	}
	running.Go(func() { server.ServeTLS(ls, "", "") })
	return s, func() {
		server.Close()
		running.Wait()
	}
}

func (s *store) accept(w http.ResponseWriter, r *http.Request, key session.PrivateKey) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{relay.Subprotocol}})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	sess, err := session.Server(context.Background(), websocket.NetConn(context.Background(), ws, websocket.MessageBinary), key, relay.Incarnation{1})
	if err != nil {
		return
	}
	s.mu.Lock()
	number := s.sessions
	s.sessions++
	s.mu.Unlock()
	for {
		f, err := sess.ReadFrame()
		if err != nil {
			return
		}
		answers, lies := []relay.Frame(nil), false
		if s.lie != nil {
			answers, lies = s.lie(number, f)
		}
		if !lies {
			answers = []relay.Frame{s.answer(f)}
		}
		if sess.WriteFrames(answers...) != nil {
			return
		}
	}
}

func (s *store) path(blob relay.Hash) string {
	return filepath.Join(s.dir, hex.EncodeToString(blob[:]))
}

// answer is an honest relay's.
func (s *store) answer(f relay.Frame) relay.Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	refused := func(request uint64, code relay.RefusalCode) relay.Frame {
		return &relay.Refused{Request: request, Refusal: relay.Refusal{Code: code}}
	}
	switch f := f.(type) {
	case *relay.Ping:
		return &relay.Pong{Value: f.Value}
	case *relay.Prove:
		return &relay.Proved{Request: f.Request}
	case *relay.StoreBlob:
		s.stores++
		s.sizes[f.Blob] = f.Size
		stored := s.stored(f.Blob)
		return &relay.Blob{Request: f.Request, Stored: stored, Complete: stored == f.Size}
	case *relay.PutBlob:
		s.puts += len(f.Data)
		if f.Offset != s.stored(f.Blob) {
			return refused(f.Request, relay.CodeMalformed)
		}
		s.write(f.Blob, f.Offset, f.Data)
		stored := s.stored(f.Blob)
		if stored == s.sizes[f.Blob] && !s.whole(f.Blob) {
			os.Remove(s.path(f.Blob))
			return refused(f.Request, relay.CodeMalformed)
		}
		return &relay.Blob{Request: f.Request, Stored: stored, Complete: stored == s.sizes[f.Blob]}
	case *relay.GetBlob:
		s.gets += int(f.Length)
		size := s.stored(f.Blob)
		if size == 0 {
			return refused(f.Request, relay.CodeUnknown)
		}
		data := make([]byte, min(uint64(f.Length), size-min(size, f.Offset)))
		file, err := os.Open(s.path(f.Blob))
		if err == nil {
			_, err = file.ReadAt(data, int64(f.Offset))
			file.Close()
		}
		if err != nil {
			s.t.Error(err)
		}
		return &relay.BlobData{Request: f.Request, Size: size, Data: data}
	}
	s.t.Errorf("%T", f)
	return &relay.Pong{}
}

func (s *store) stored(blob relay.Hash) uint64 {
	info, err := os.Stat(s.path(blob))
	if err != nil {
		return 0
	}
	return uint64(info.Size())
}

func (s *store) write(blob relay.Hash, at uint64, data []byte) {
	file, err := os.OpenFile(s.path(blob), os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil {
		_, err = file.WriteAt(data, int64(at))
		file.Close()
	}
	if err != nil {
		s.t.Error(err)
	}
}

func (s *store) whole(blob relay.Hash) bool {
	file, err := os.Open(s.path(blob))
	if err != nil {
		return false
	}
	defer file.Close()
	h := sha256.New()
	io.Copy(h, file)
	return relay.Hash(h.Sum(nil)) == blob
}

// dial is the Dial of every test.
func (s *store) dial(ctx context.Context) (*relayclient.Conn, error) {
	opt := s.opt
	s.mu.Lock()
	number := s.dials
	s.dials++
	s.mu.Unlock()
	if s.limit != nil && s.limit(number) > 0 {
		opt.DialNet = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := s.opt.DialNet(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			c := &cutConn{Conn: conn}
			c.left.Store(s.limit(number))
			return c, nil
		}
	}
	return relayclient.Dial(ctx, s.addr, opt)
}

// cutConn ends after left bytes in both directions together.
type cutConn struct {
	net.Conn
	left atomic.Int64
}

var errCut = errors.New("cut")

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.left.Add(-int64(n)) < 0 {
		c.Close()
		return 0, errCut
	}
	return n, err
}

func (c *cutConn) Write(p []byte) (int, error) {
	if c.left.Add(-int64(len(p))) < 0 {
		c.Close()
		return 0, errCut
	}
	return c.Conn.Write(p)
}

// pipes listens on net.Pipe.
type pipes struct {
	conns chan net.Conn
	ended context.Context
}

func (l *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case l.conns <- b:
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.ended.Done():
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { return nil }
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

var (
	queue  = relay.QueueID{7}
	reader = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
)

// text returns n bytes that repeat nowhere near.
func text(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func folder(t *testing.T, path string) *Folder {
	t.Helper()
	f, err := Open(path, Options{Backoff: relayclient.Backoff{Jitter: func(limit time.Duration) time.Duration { return limit }}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
