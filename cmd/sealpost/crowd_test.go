package main

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// crowd is many clients of one server process, each from a network that a few hundred share:
// over TCP as behind a proxy that says who comes, over QUIC from other addresses of this
// machine, where that has them.
type crowd struct {
	t       *testing.T
	home    string
	proxied relay.Address // where addresses are believed
	open    relay.Address // TCP and QUIC
	server  *process
	all     []*member
}

// member is one client, with a queue of its own.
type member struct {
	crowd *crowd
	n     int
	key   ed25519.PrivateKey
	queue relay.QueueID
	quic  bool

	// Owned by stay, and by whoever has waited for the member to be in.
	conn     *relayclient.Conn
	made     bool // its queue
	failures int  // of dials and attachments
}

// gather starts a server and returns so many members, who are not in yet. One in overQUIC of
// them races QUIC with the rest; 0 is none.
func gather(t *testing.T, members, overQUIC int) *crowd {
	t.Helper()
	c := &crowd{t: t, home: t.TempDir()}
	proxied, open := freePort(t), freePort(t)
	config := fmt.Sprintf("[[listener]]\naddress = %q\n[[listener]]\naddress = %q\npublic = %q\nproxy-from = [\"127.0.0.1/32\"]\n", open, proxied, proxied)
	if err := os.WriteFile(filepath.Join(c.home, "c.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c.start()
	for n := range members {
		seed := make([]byte, ed25519.SeedSize)
		binary.BigEndian.PutUint64(seed, uint64(n))
		m := &member{crowd: c, n: n, key: ed25519.NewKeyFromSeed(seed), quic: overQUIC > 0 && n%overQUIC == 0}
		binary.BigEndian.PutUint64(m.queue[:], uint64(n))
		c.all = append(c.all, m)
	}
	return c
}

// freePort returns an address of this machine that nobody listens at, over TCP or UDP.
func freePort(t *testing.T) string {
	t.Helper()
	s, err := openAddress(listenerConfig{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer closeSockets(s)
	return s[0].tcp.Addr().String()
}

// start starts the server, again if it was killed.
func (c *crowd) start() {
	c.t.Helper()
	c.server = start(c.t, c.home, "serve", "--config", filepath.Join(c.home, "c.toml"))
	g := greeted(c.t, c.server)
	c.open, c.proxied = g.relay, g.relay
	all := relayLine.FindAllStringSubmatch(g.text, -1)
	var err error
	if c.proxied, err = relay.ParseAddress(all[len(all)-1][1]); err != nil || len(all) != 2 {
		c.t.Fatalf("%v in the greeting:\n%s", err, g.text)
	}
}

// in has every member dial until it is in, so many of them at once, and returns when the last
// one is.
func (c *crowd) in(most int, came func(*member)) {
	var all sync.WaitGroup
	room := make(chan struct{}, most)
	for _, m := range c.all {
		room <- struct{}{}
		all.Go(func() {
			m.come()
			came(m)
			<-room
		})
	}
	all.Wait()
}

const (
	// gently is how many members come in at once where that is not what a test is about.
	gently = 50
	// atOnce is how many do where it is. Ten thousand devices have processors of their own; more
	// than this in one process keep each other from answering in time.
	atOnce = 500
)

// leave ends every member's session.
func (c *crowd) leave() {
	var all sync.WaitGroup
	for _, m := range c.all {
		if m.conn != nil {
			all.Go(func() { m.conn.Close() })
		}
	}
	all.Wait()
}

// come dials until the member has its queue attached, as often as it takes, with the pauses of
// a client.
func (m *member) come() {
	var backoff relayclient.Backoff
	for m.crowd.t.Context().Err() == nil {
		pause := backoff.Next(0, relayclient.RetryAfter(m.try()))
		if m.conn != nil {
			return
		}
		m.failures++
		select {
		case <-time.After(pause):
		case <-m.crowd.t.Context().Done():
		}
	}
}

// try dials once; the member is in if it has a connection afterwards.
func (m *member) try() error {
	if m.conn != nil {
		m.conn.Close()
		m.conn = nil
	}
	address, options := m.crowd.proxied, relayclient.Options{Transports: []relayclient.Transport{relayclient.WebSocket}, DialNet: m.dialProxied}
	if m.quic {
		address, options = m.crowd.open, relayclient.Options{DialNet: m.dialOpen, ListenPacket: m.listen}
	}
	conn, err := relayclient.Dial(m.crowd.t.Context(), address, options)
	if err != nil {
		return err
	}
	if err := m.attach(conn); err != nil {
		conn.Close()
		return err
	}
	m.conn = conn
	return nil
}

// attach attaches the member's queue, which is made the first time, and has whatever comes
// acknowledged.
func (m *member) attach(conn *relayclient.Conn) error {
	public := relay.PublicKey(m.key.Public().(ed25519.PublicKey))
	if !m.made {
		_, err := conn.Create(relayclient.CreateParams{
			Queue: m.queue, Admin: m.key, Admins: []relay.PublicKey{public}, Writer: &public, Readers: []relay.PublicKey{public},
		}).Result()
		if err != nil {
			return err
		}
		m.made = true
	}
	stream, err := conn.Attach(m.queue, m.key, nil, 0).Result()
	if err != nil {
		return err
	}
	go func() {
		for e := range stream.Events() {
			if d, ok := e.(relayclient.Delivery); ok {
				stream.Ack(d.Entries[len(d.Entries)-1].Position.Seq)
			}
		}
	}()
	return nil
}

// say sends a message to the member's own queue, and returns when it is accepted.
func (m *member) say(n uint64) error {
	var id relay.IdempotencyID
	binary.BigEndian.PutUint64(id[:], n)
	_, err := m.conn.Append(m.queue, id, m.key, make([]byte, relay.MinEnvelope)).Result()
	return err
}

// dialProxied connects as a proxy does, for a client whose network has 200 members.
func (m *member) dialProxied(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	header := []byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c")
	header = append(header, 10, byte(m.n/200>>8), byte(m.n/200), byte(m.n%200), 192, 0, 2, 1)
	header = append(header, 0x10, 0, 0x01, 0xbb) // ports
	if _, err := c.Write(header); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// local is an address of this machine for the member.
func (m *member) local() net.IP {
	if runtime.GOOS != "linux" { // elsewhere there is one
		return net.IPv4(127, 0, 0, 1)
	}
	return net.IPv4(127, 1+byte(m.n/200>>8), byte(m.n/200), 1+byte(m.n%200))
}

// dialOpen connects from the member's own address.
func (m *member) dialOpen(ctx context.Context, network, addr string) (net.Conn, error) {
	return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: m.local()}}).DialContext(ctx, network, addr)
}

// listen opens a UDP socket at the member's own address.
func (m *member) listen(ctx context.Context, _, _ string) (net.PacketConn, error) {
	return new(net.ListenConfig).ListenPacket(ctx, "udp4", net.JoinHostPort(m.local().String(), "0"))
}
