package sim

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

var (
	errRefused     = errors.New("connection refused")
	errUnreachable = errors.New("network is unreachable")
)

// network joins devices to servers. Each connection draws from a stream of randomness of its own,
// named by who dials whom for which time.
type network struct {
	seed  uint64
	watch func(direction, name string, n int) // hears of what arrives, in bytes

	mu        sync.Mutex
	listeners map[string]*listener
	dials     map[string]int // by device and host
	links     map[string]*link
	open      map[*connection]struct{}
}

// link is how a device is connected to the world.
type link struct {
	addr    net.Addr
	writing func() // hears of all that the device is about to write
	down    bool   // every packet is swallowed
	dead    bool   // the app is: nothing it does has any effect
	cuts    int    // of a hundred connections so many are cut somewhere; 0 to 100
}

// connection is both ends.
type connection struct {
	device, host string
	name         string
	up, down     *pipe // from the device to the server, and back
	ends         int   // not closed yet
}

func newNetwork(seed uint64) *network {
	return &network{
		seed: seed, listeners: map[string]*listener{}, dials: map[string]int{}, links: map[string]*link{},
		open: map[*connection]struct{}{},
	}
}

// stream is a source of randomness for whatever has this name.
func stream(seed uint64, name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// attach gives a device a network address.
func (n *network) attach(device string, number int, writing func()) {
	n.links[device] = &link{writing: writing, addr: &net.TCPAddr{IP: net.IPv4(10, 0, byte(number), 1), Port: 40_000}}
}

// change changes a device's link. What is open stays open, but for a link that goes down.
func (n *network) change(device string, fn func(*link)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.links[device]
	fn(l)
	if l.down {
		for c := range n.open {
			if c.device == device {
				c.up.swallow()
				c.down.swallow()
			}
		}
	}
}

// kill ends all that a device sends and hears: what it has sent still arrives.
func (n *network) kill(device string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[device].dead = true
	for c := range n.open {
		if c.device == device {
			c.up.hush()
			c.down.swallow()
		}
	}
}

// killHost is that for a server.
func (n *network) killHost(host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.listeners, host)
	for c := range n.open {
		if c.host == host {
			c.up.swallow()
			c.down.hush()
		}
	}
}

// dialer is what a device dials with.
func (n *network) dialer(device string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, _, host string) (net.Conn, error) {
		n.mu.Lock()
		n.dials[device+" "+host]++
		name := fmt.Sprintf("%s %s %d", device, host, n.dials[device+" "+host])
		n.mu.Unlock()
		random := stream(n.seed, name)
		t := time.NewTimer(leastDelay + time.Duration(random.Int64N(int64(mostDelay))))
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		n.mu.Lock()
		l, at := n.links[device], n.listeners[host]
		down := l.down || l.dead
		n.mu.Unlock()
		if down {
			<-ctx.Done()
			return nil, errors.Join(errUnreachable, ctx.Err())
		}
		if at == nil {
			return nil, errRefused
		}
		return n.connect(device, host, l, at, random, name)
	}
}

func (n *network) connect(device, host string, l *link, at *listener, random *rand.Rand, name string) (net.Conn, error) {
	c := &connection{device: device, host: host, name: name, up: newPipe(stream(n.seed, "up "+name)), down: newPipe(stream(n.seed, "down "+name)), ends: 2}
	c.up.cut, c.down.cut = c.cut, c.cut
	c.up.watch, c.down.watch = n.arrived("up", name), n.arrived("down", name)
	n.mu.Lock()
	if random.IntN(100) < l.cuts {
		p := c.up
		if random.IntN(2) == 0 {
			p = c.down
		}
		p.cutAt = random.IntN(1 << (4 + random.IntN(13))) // up to 64 KiB, and often little
	}
	n.open[c] = struct{}{}
	n.mu.Unlock()
	closed := func() { n.closed(c) }
	server := &net.TCPAddr{IP: net.IPv4(10, 1, 0, 1), Port: 443}
	mine := &conn{in: c.down, out: c.up, local: l.addr, remote: server, closed: sync.OnceFunc(closed), writing: l.writing}
	theirs := &conn{in: c.up, out: c.down, local: server, remote: l.addr, closed: sync.OnceFunc(closed)}
	select {
	case at.arrived <- theirs:
		return mine, nil
	case <-at.done:
		_, _ = mine.Close(), theirs.Close()
		return nil, errRefused
	}
}

func (n *network) arrived(direction, name string) func(int) {
	return func(bytes int) {
		n.watch(direction, name, bytes)
	}
}

func (n *network) closed(c *connection) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.ends--; c.ends == 0 {
		delete(n.open, c)
	}
}

func (c *connection) cut() {
	c.up.reset()
	c.down.reset()
}

// those returns the open connections that ok wants, in an order that does not depend on chance.
func (n *network) those(ok func(*connection) bool) []*connection {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []*connection
	for c := range n.open {
		if ok(c) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *connection) int { return strings.Compare(a.name, b.name) })
	return out
}

// listener is a server's.
type listener struct {
	arrived chan net.Conn
	done    chan struct{}
	once    sync.Once
	close   func()
}

func (n *network) listen(host string) *listener {
	l := &listener{arrived: make(chan net.Conn), done: make(chan struct{})}
	l.close = func() {
		n.mu.Lock()
		if n.listeners[host] == l {
			delete(n.listeners, host)
		}
		n.mu.Unlock()
		close(l.done)
	}
	n.mu.Lock()
	n.listeners[host] = l
	n.mu.Unlock()
	return l
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.arrived:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(l.close)
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 1, 0, 1), Port: 443} }
