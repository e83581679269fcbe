package relayclient_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// nat stands between clients and a relay, as a home's router does. It passes UDP and TCP on,
// UDP from a port of its own for each client, which rebind changes.
type nat struct {
	relay *net.UDPAddr
	udp   *net.UDPConn
	tcp   net.Listener

	running sync.WaitGroup
	mu      sync.Mutex
	paths   map[string]*net.UDPConn // by the client's address: where its datagrams leave
	rebound int
	deaf    bool // UDP is swallowed
	conns   []net.Conn
}

func startNAT(t *testing.T, to string) *nat {
	t.Helper()
	relay, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	tcp, udp, err := listenBoth("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nat{relay: relay, udp: udp.(*net.UDPConn), tcp: tcp, paths: make(map[string]*net.UDPConn)}
	n.running.Go(n.passUDP)
	n.running.Go(n.passTCP)
	return n
}

func (n *nat) stop() {
	n.tcp.Close()
	n.udp.Close()
	n.mu.Lock()
	for _, p := range n.paths {
		p.Close()
	}
	for _, c := range n.conns {
		c.Close()
	}
	n.paths = nil
	n.mu.Unlock()
	n.running.Wait()
}

func (n *nat) passUDP() {
	b := make([]byte, 2048)
	for {
		size, from, err := n.udp.ReadFromUDP(b)
		if err != nil {
			return
		}
		if p := n.path(from); p != nil {
			p.Write(b[:size])
		}
	}
}

// path returns where datagrams of a client leave, nil if they do not.
func (n *nat) path(client *net.UDPAddr) *net.UDPConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.deaf || n.paths == nil {
		return nil
	}
	p := n.paths[client.String()]
	if p == nil {
		var err error
		if p, err = net.DialUDP("udp", nil, n.relay); err != nil {
			return nil
		}
		n.paths[client.String()] = p
		n.running.Go(func() { n.back(p, client) })
	}
	return p
}

// back passes on what comes to a path, also to one that was left: some of it is on its way.
func (n *nat) back(p *net.UDPConn, client *net.UDPAddr) {
	b := make([]byte, 2048)
	for {
		size, err := p.Read(b)
		if err != nil {
			return
		}
		n.mu.Lock()
		deaf := n.deaf
		n.mu.Unlock()
		if !deaf {
			n.udp.WriteToUDP(b[:size], client)
		}
	}
}

// rebind forgets every binding: the next datagram of a client leaves from another port, and
// what the relay sends to the old one gets nowhere.
func (n *nat) rebind() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for client, p := range n.paths {
		p.Close()
		delete(n.paths, client)
		n.rebound++
	}
}

// swallow lets no more UDP through.
func (n *nat) swallow() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deaf = true
}

func (n *nat) passTCP() {
	for {
		in, err := n.tcp.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", n.relay.String())
		if err != nil {
			in.Close()
			continue
		}
		n.mu.Lock()
		n.conns = append(n.conns, in, out)
		n.mu.Unlock()
		for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
			n.running.Go(func() {
				io.Copy(way[0], way[1])
				way[0].Close()
				way[1].Close()
			})
		}
	}
}

// behind runs four writers and two readers against a relay behind a NAT, has test do
// something to it, and checks that nothing was lost and nothing shown twice.
func behind(t *testing.T, write, read relayclient.Options, test func(l *load, n *nat)) {
	r := relayHere(t, t.TempDir(), "127.0.0.1:0")
	n := startNAT(t, r.addr.Host)
	addr := r.addr
	addr.Host = n.tcp.Addr().String()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	l := &load{
		t: t, write: write, read: read, queue: relay.QueueID(sha256.Sum256([]byte("NAT"))), key: key("writer"), addr: addr,
		stop: make(chan struct{}), done: ctx, written: make(map[message]relay.Position),
	}
	start := l.create()
	var writing, reading sync.WaitGroup
	for w := range uint64(writers) {
		writing.Go(func() { l.writing(w) })
	}
	logs := make([]*view, readers)
	for i := range logs {
		logs[i] = &view{at: start, moved: make(chan struct{}, 1)}
		reading.Go(func() { l.reading(key(readerName(i)), logs[i]) })
	}
	test(l, n)
	close(l.stop)
	writing.Wait()
	l.catchUp(logs)
	cancel()
	reading.Wait()
	for _, g := range logs {
		l.compare(g)
	}
	n.stop()
	if err := r.stop(context.Background()); err != nil {
		t.Error(err)
	}
	t.Logf("accepted=%d lost=0 shown_twice=0 gaps=0, unless said above; %d sessions, %d bindings changed", len(l.written), l.opened.Load(), n.rebound)
}

// until waits until the load has got on by a hundred messages.
func (l *load) until(more int64) {
	for from := l.accepted.Load(); l.accepted.Load() < from+more && l.done.Err() == nil; {
		<-time.After(time.Millisecond)
	}
}

// The address that a client is seen with changes in the middle of its session, twice: QUIC goes on from the new one (RFC 9000 section 9), in the same session, and nothing is lost.
func TestRebinding(t *testing.T) {
	t.Parallel()
	opt := relayclient.Options{Transports: []relayclient.Transport{relayclient.WebTransport}}
	behind(t, opt, opt, func(l *load, n *nat) {
		l.until(200)
		n.rebind()
		l.until(200)
		<-time.After(6 * time.Second) // quic-go follows to three paths in five seconds
		n.rebind()
		l.until(200)
		if opened := l.opened.Load(); opened != writers+readers {
			t.Errorf("%d sessions for %d clients", opened, writers+readers)
		}
	})
}

// A network begins to swallow UDP: who waits for an answer comes back over TCP. (The readers
// are there already: TestSilentUDP is about who waits for nothing.) Until then TCP does not win,
// which on a busy machine it does.
func TestUDPIsSwallowed(t *testing.T) {
	t.Parallel()
	var tcp atomic.Bool
	write := relayclient.Options{
		ListenPacket: new(net.ListenConfig).ListenPacket,
		DialNet: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if !tcp.Load() {
				return nil, errors.New("TCP is not let through yet")
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
	behind(t, write, overTCP, func(l *load, n *nat) {
		l.until(200)
		n.swallow()
		tcp.Store(true)
		for l.opened.Load() < 2*writers+readers && l.done.Err() == nil {
			<-time.After(time.Millisecond)
		}
		l.until(500)
		if opened := l.opened.Load(); opened < 2*writers+readers {
			t.Errorf("%d sessions: somebody did not come back", opened)
		}
	})
}
