package relayclient_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// proxy ends the TLS of both sides, as a CDN does: it has a certificate that the
// client accepts, and sees the WebSocket.
type proxy struct {
	addr  relay.Address
	ls    net.Listener
	alter func(fromClient bool, offset int, b []byte) // of what follows the HTTP heads

	running sync.WaitGroup
	mu      sync.Mutex
	conns   []net.Conn
}

func startProxy(t *testing.T, to relay.Address) *proxy {
	t.Helper()
	cert, err := certpin.OpenDevelopment(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ls, err := tls.Listen("tcp", "127.0.0.1:0", cert.ServerConfig())
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ls: ls, addr: relay.Address{Host: ls.Addr().String(), Key: to.Key, Pin: new(relay.Hash(cert.Pin()))}}
	host, _, _ := net.SplitHostPort(to.Host)
	p.running.Go(func() {
		for {
			in, err := ls.Accept()
			if err != nil {
				return
			}
			out, err := tls.Dial("tcp", to.Host, certpin.ClientConfig(host, (*certpin.Pin)(to.Pin)))
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in, out)
			alter := p.alter
			p.mu.Unlock()
			p.running.Go(func() { pass(out, in, true, alter) })
			p.running.Go(func() { pass(in, out, false, alter) })
		}
	})
	return p
}

// pass copies until one side ends, and ends both.
func pass(to, from net.Conn, fromClient bool, alter func(bool, int, []byte)) {
	defer to.Close()
	defer from.Close()
	var head []byte
	inHead, offset, b := true, 0, make([]byte, 4096)
	for {
		n, err := from.Read(b)
		body := b[:n]
		if inHead {
			head = append(head, body...)
			end := bytes.Index(head, []byte("\r\n\r\n"))
			body = nil
			if end >= 0 {
				inHead = false
				body = b[n-(len(head)-end-4) : n]
			}
		}
		if alter != nil {
			alter(fromClient, offset, body)
		}
		offset += len(body)
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (p *proxy) stop() {
	p.ls.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

// throughProxy attaches and appends, and reports whether it was accepted. A bit
// of a length can make both ends wait for what never comes: not for long.
func throughProxy(t *testing.T, addr relay.Address, queue relay.QueueID, start relay.Position, id relay.IdempotencyID) (relay.Position, bool) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
	defer cancel()
	c, err := relayclient.Dial(ctx, addr, overTCP)
	if err != nil {
		return relay.Position{}, false
	}
	attaching := c.Attach(queue, key("ann"), &start, 0)
	pos, err := c.Append(queue, id, key("epoch 1"), message512(id[0])).Wait(ctx)
	if err != nil && !errors.Is(err, relayclient.ErrDisconnected) && ctx.Err() == nil {
		t.Errorf("a bit was flipped, and the answer is %v", err)
	}
	c.Close()
	if s, serr := attaching.Result(); serr == nil {
		for e := range s.Events() {
			if broken, ok := e.(*relayclient.ChainBroken); ok {
				t.Errorf("the relay is blamed for the proxy: %v", broken)
			}
		}
	}
	return pos, err == nil
}

// ATTACKS Q09: a proxy that ends TLS flips one bit anywhere in either direction.
// The session ends there, whatever was sent before stands unaltered, and what
// the client sees is the log or nothing.
func TestQ09_ProxyAltersOneBit(t *testing.T) {
	queue := relay.QueueID{9}
	r := relayHere(t, t.TempDir(), "127.0.0.1:0")
	good := dial(t, r.addr, relayclient.Options{})
	start := group(t, good, queue)
	watch := attach(t, good, queue, key("bob"), start)
	p := startProxy(t, r.addr)

	var flips atomic.Int32
	sessions, accepted := 0, map[relay.IdempotencyID]relay.Position{}
	for i, at := range []int{0, 1, 2, 5, 6, 7, 8, 40, 80, 99, 150, 200, 300, 500, 700, 900} {
		for _, fromClient := range []bool{true, false} {
			p.mu.Lock()
			p.alter = func(c bool, offset int, b []byte) {
				if c == fromClient && at >= offset && at < offset+len(b) {
					b[at-offset] ^= 1 << (i % 8)
					flips.Add(1)
				}
			}
			p.mu.Unlock()
			sessions++
			id := relay.IdempotencyID{byte(i), 1}
			if fromClient {
				id[1] = 2
			}
			if pos, ok := throughProxy(t, p.addr, queue, start, id); ok {
				accepted[id] = pos
			}
		}
	}
	p.stop()
	// A bit that says where a WebSocket message ends may be flipped unnoticed: it
	// means nothing.
	if int(flips.Load()) < sessions*3/4 || len(accepted) > sessions/4 {
		t.Errorf("%d flips in %d sessions, %d requests accepted", flips.Load(), sessions, len(accepted))
	}
	end := must(t, good.Append(queue, relay.IdempotencyID{255}, key("epoch 1"), message512(255)))
	log := take(t, watch, int(end.Seq))
	for id, pos := range accepted {
		if e := log[pos.Seq-1]; e.Position != pos || !bytes.Equal(e.Envelope, message512(id[0])) {
			t.Errorf("what was accepted at %d is not there", pos.Seq)
		}
	}
	for _, e := range log {
		if !bytes.Equal(e.Envelope, message512(e.Envelope[0])) {
			t.Errorf("seq %d holds what nobody sent", e.Position.Seq)
		}
	}
	good.Close()
	if err := r.stop(t.Context()); err != nil {
		t.Error(err)
	}
}
