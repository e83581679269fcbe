package relayclient

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"

	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// A peer speaks the real protocol (TLS, a transport, Noise, frames) and says what
// a script tells it, so that it can lie.
type peer struct {
	t    *testing.T
	addr relay.Address
	opt  Options
	key  session.PrivateKey
	tls  *tls.Config

	gate    func(t Transport, w http.ResponseWriter, r *http.Request) (turnedAway bool)
	polls   *polls
	running sync.WaitGroup
	mu      sync.Mutex
	scripts []func(*link)
}

// link is the relay's end of one session.
type link struct {
	t *testing.T
	*session.Session
	branches *webtransport.Session // over WebTransport
}

// incarnation of every peer.
var incarnation = relay.Incarnation{1, 2, 3}

// loopback is bubble over TCP and with the real clock.
func loopback(t *testing.T, test func(t *testing.T, p *peer), scripts ...func(*link)) {
	ls, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, shutdown := newPeer(t, ls, scripts)
	p.addr.Host = ls.Addr().String()
	test(t, p)
	shutdown()
}

// newPeer serves ls until shutdown, which waits for the scripts.
func newPeer(t *testing.T, ls net.Listener, scripts []func(*link)) (p *peer, shutdown func()) {
	key, err := session.NewPrivateKey(sha256.Sum256([]byte("relay")))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := certpin.OpenDevelopment(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p = &peer{
		t: t, key: key, tls: cert.ServerConfig(), scripts: scripts, opt: Options{Transports: []Transport{WebSocket}},
		addr: relay.Address{Key: key.Public(), Pin: new(relay.Hash(cert.Pin()))},
	}
	return p, p.serveHTTP(ls)
}

// nextScript takes the next script and counts it as running; without one it refuses.
func (p *peer) nextScript(t Transport, w http.ResponseWriter, r *http.Request) func(*link) {
	if p.gate != nil && p.gate(t, w, r) {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.scripts) == 0 {
		w.Header().Set("Retry-After", "7")
		http.Error(w, "no script", http.StatusServiceUnavailable)
		return nil
	}
	script := p.scripts[0]
	p.scripts = p.scripts[1:]
	p.running.Add(1)
	return script
}

// serve makes the handshake over stream and runs script.
func (p *peer) serve(stream io.ReadWriteCloser, branches *webtransport.Session, script func(*link)) {
	s, err := session.Server(context.Background(), stream, p.key, incarnation)
	if err != nil {
		return
	}
	done := make(chan struct{})
	go func() { // a goroutine of its own, which a failing script may end
		defer close(done)
		script(&link{p.t, s, branches})
	}()
	<-done
}

type pipeListener struct {
	conns chan net.Conn
	ended context.Context
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case l.conns <- b:
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.ended.Done():
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (p *peer) dial() *Conn {
	p.t.Helper()
	c, err := Dial(p.t.Context(), p.addr, p.opt)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// next reads the next frame but PING, which must be a T.
func next[T relay.Frame](l *link) T {
	f, err := l.ReadFrame()
	if err != nil {
		l.t.Errorf("the peer waits for %T: %v", *new(T), err)
		runtime.Goexit()
	}
	want, ok := f.(T)
	if _, asks := f.(*relay.Ping); asks && !ok { // of a client that waits
		return next[T](l)
	}
	if !ok {
		l.t.Errorf("the peer got %T, want %T", f, *new(T))
		runtime.Goexit()
	}
	return want
}

func (l *link) send(frames ...relay.Frame) {
	if err := l.WriteFrames(frames...); err != nil {
		l.t.Errorf("the peer writes: %v", err)
		runtime.Goexit()
	}
}

// untilClosed reads until the client is gone.
func (l *link) untilClosed() {
	for {
		if _, err := l.ReadFrame(); err != nil {
			return
		}
	}
}

// proved answers the next frame, a PROVE.
func (l *link) proved() *relay.Prove {
	f := next[*relay.Prove](l)
	if err := f.Verify(l.Binding()); err != nil {
		l.t.Errorf("proof: %v", err)
	}
	l.send(&relay.Proved{Request: f.Request})
	return f
}

// attach answers an ATTACH with its PROVE.
func (l *link) attach(attachment uint64, head, lastCommit relay.Position) *relay.Attach {
	l.proved()
	f := next[*relay.Attach](l)
	l.send(&relay.Attached{Request: f.Request, Attachment: attachment, Head: head, LastCommit: lastCommit})
	return f
}

// logbook is an honest log.
type logbook struct {
	start   relay.Position
	entries []relay.Entry
	after   []relay.Position // after each entry
}

func newLogbook(key relay.RelayKey, entries int) *logbook {
	l := &logbook{start: relay.Position{Incarnation: incarnation, Chain: relay.ChainStart(key, queue, incarnation)}}
	for i := range entries {
		l.add(relay.KindMessage, envelope(uint64(i)))
	}
	return l
}

func (l *logbook) at(seq uint64) relay.Position {
	if seq == 0 {
		return l.start
	}
	return l.after[seq-1]
}

func (l *logbook) head() relay.Position { return l.at(uint64(len(l.entries))) }

func (l *logbook) add(kind relay.Kind, envelope []byte) relay.Position {
	p := l.head()
	p.Seq++
	p.Chain = relay.ChainNext(p.Chain, p.Seq, kind, envelope)
	l.entries = append(l.entries, relay.Entry{Seq: p.Seq, Kind: kind, Envelope: envelope})
	l.after = append(l.after, p)
	return p
}

// deliver makes the DELIVER of the entries from to to.
func (l *logbook) deliver(attachment, from, to uint64) *relay.Deliver {
	return &relay.Deliver{Attachment: attachment, Entries: l.entries[from-1 : to], Chain: l.at(to).Chain}
}

var queue = relay.QueueID{9, 9, 9}

func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func envelope(n uint64) []byte {
	b := make([]byte, relay.MinEnvelope)
	binary.BigEndian.PutUint64(b, n)
	return b
}

func id(n uint64) (id relay.IdempotencyID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}
