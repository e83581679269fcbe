package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// dialsAtOnce is how many connections are being opened at a time: enough to keep two
// processors busy, and far from what a server turns away.
const dialsAtOnce = 16

// creators are the connections that found queues. A relay lets one network found so many at
// once, and each connection comes from a network of its own.
const queuesOfCreator = 200

func public(k ed25519.PrivateKey) relay.PublicKey {
	return relay.PublicKey(k.Public().(ed25519.PublicKey))
}

// open adds connections as q says to those that are there, with queues of their own.
func (l *load) open(ctx context.Context, q openLoad) (err error) {
	if l.address, err = relay.ParseAddress(q.Address); err != nil {
		return err
	}
	first := len(l.clients)
	l.openLoad, l.envelope = q, make([]byte, envelopeSize)
	if first == 0 {
		for _, key := range []*ed25519.PrivateKey{&l.writer, &l.reader} {
			if _, *key, err = ed25519.GenerateKey(rand.Reader); err != nil {
				return err
			}
		}
	}
	l.clients = append(l.clients, make([]*client, q.Connections)...)
	err = atOnce(dialsAtOnce, q.Connections, func(i int) (err error) {
		l.clients[first+i], err = l.dial(ctx, first+i)
		return err
	})
	if err != nil || !q.Fan {
		return err
	}
	return l.openFan()
}

// dial opens connection number n, from a network of its own, and what belongs to it.
func (l *load) dial(ctx context.Context, n int) (*client, error) {
	conn, err := relayclient.Dial(ctx, l.address, from(n, l.Transport))
	if err != nil {
		return nil, err
	}
	c := &client{load: l, conn: conn, window: l.Window, number: n}
	for made := 0; made < l.Queues; made++ {
		if made > 0 && made%queuesOfCreator == 0 {
			return c, fmt.Errorf("a connection founds %d queues at most", queuesOfCreator)
		}
		if err := c.createQueue(); err != nil {
			return c, err
		}
	}
	if l.Attach {
		err = c.attach()
	}
	return c, err
}

// from returns the options of connection number n. What a server counts by network it counts
// for each of them alone, as for clients all over the world: where the system lets it, each
// has a network of the loopback to itself.
func from(n int, t relayclient.Transport) relayclient.Options {
	opt := relayclient.Options{Transports: []relayclient.Transport{t}}
	if runtime.GOOS != "linux" {
		return opt
	}
	ip := net.IPv4(127, byte(1+n>>8&0x7f), byte(n), 1)
	opt.DialNet = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}}).DialContext
	opt.ListenPacket = func(ctx context.Context, network, _ string) (net.PacketConn, error) {
		return new(net.ListenConfig).ListenPacket(ctx, network, net.JoinHostPort(ip.String(), "0"))
	}
	return opt
}

// createQueue founds a queue, with the load's reader and as many more as it asks for.
func (c *client) createQueue() error {
	var queue relay.QueueID
	_, _ = rand.Read(queue[:])
	start, err := c.conn.Create(relayclient.CreateParams{
		Queue: queue, Admin: c.reader, Admins: []relay.PublicKey{public(c.reader), public(c.writer)},
		Writer: new(public(c.writer)), Readers: []relay.PublicKey{public(c.reader)},
	}).Result()
	if err != nil {
		return fmt.Errorf("creating a queue: %w", err)
	}
	c.queues, c.starts = append(c.queues, queue), append(c.starts, start)
	for left := c.Readers; left > 0; left -= relay.MaxChanges {
		var keys []relay.PublicKey
		for range min(left, relay.MaxChanges) {
			var key relay.PublicKey
			_, _ = rand.Read(key[:]) // nobody has to prove it
			keys = append(keys, key)
		}
		if err := c.addReaders(queue, keys); err != nil {
			return err
		}
	}
	return nil
}

// addReaders registers readers with a queue. Two admin keys take turns, for each may change
// only so much at once.
func (c *client) addReaders(queue relay.QueueID, keys []relay.PublicKey) error {
	changes := make([]relay.Change, len(keys))
	for i, key := range keys {
		changes[i] = relay.AddReader{Key: key}
	}
	admin := c.reader
	if c.changes++; c.changes%2 == 0 {
		admin = c.writer
	}
	m := &relay.Configure{Queue: queue, Key: public(admin), Changes: changes}
	_, _ = rand.Read(m.ID[:])
	if _, err := c.conn.Submit(m, relay.Keys(admin)).Result(); err != nil {
		return fmt.Errorf("adding readers: %w", err)
	}
	return nil
}

// attach reads the connection's queues from their beginning on.
func (c *client) attach() error {
	for i, queue := range c.queues {
		stream, err := c.conn.Attach(queue, c.reader, &c.starts[i], 0).Result()
		if err != nil {
			return fmt.Errorf("attaching: %w", err)
		}
		c.streams = append(c.streams, stream)
	}
	return nil
}

func (l *load) close() {
	_ = atOnce(dialsAtOnce, len(l.clients), func(i int) error {
		if c := l.clients[i]; c != nil {
			_ = c.conn.Close()
		}
		return nil
	})
}

// atOnce calls fn for 0 to n-1, so many at a time, and returns what went wrong. After an error
// no more are begun.
func atOnce(workers, n int, fn func(i int) error) error {
	var mu sync.Mutex
	var failed error
	next := 0
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if failed != nil || next == n {
			return 0, false
		}
		next++
		return next - 1, true
	}
	var all sync.WaitGroup
	for range min(workers, n) {
		all.Go(func() {
			for i, more := take(); more; i, more = take() {
				if err := fn(i); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return failed
}
