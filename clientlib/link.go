package clientlib

import (
	"context"
	"errors"
	"time"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// link is the connection to one relay; owned by run.
type link struct {
	addr    relay.Address
	key     string            // addr's text
	conn    *relayclient.Conn // nil while down
	dialing bool
	backoff relayclient.Backoff
	under   int  // bytes of envelopes that are under way
	useful  bool // something was stored, here or there, over this connection
	pace    pace

	blobs chan struct{} // cap blobsAtOnce: sessions that bring commits' blobs
}

// blobsAtOnce bounds the sessions that fetch what many groups' commits need at the same time.
const blobsAtOnce = 3

// inTurn runs fn, outside of run, when fewer than blobsAtOnce others run.
func (l *link) inTurn(ctx context.Context, fn func() error) error {
	select {
	case l.blobs <- struct{}{}:
		defer func() { <-l.blobs }()
		return fn()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// underWay bounds the bytes under way on one connection. It is below what relayclient takes
// before it makes its caller wait, so that a relay that does not read cannot hold up run.
const underWay = 2 << 20

func (l *link) full() bool { return l.under >= underWay }

// linkTo returns the link to a relay, dialling if it is down. A text that is no address
// gives nil: the policy it came from was checked, so only a damaged store gets here.
func (e *engine) linkTo(text string) *link {
	if l := e.links[text]; l != nil {
		return l
	}
	addr, err := relay.ParseAddress(text)
	if err != nil {
		return nil
	}
	l := &link{addr: addr, key: text, blobs: make(chan struct{}, blobsAtOnce)}
	e.links[text] = l
	e.dial(l)
	return l
}

// dialOptions are the same for every session.
func (e *engine) dialOptions() relayclient.Options {
	return relayclient.Options{
		FrameTap: e.cfg.Tap, Transports: e.cfg.Transports, DialNet: e.cfg.DialContext, ListenPacket: e.cfg.ListenPacket,
		Remember: &e.transports, Logger: e.log,
	}
}

func (e *engine) dial(l *link) {
	if l.dialing || l.conn != nil {
		return
	}
	l.dialing = true
	e.spawn(func(ctx context.Context) {
		conn, err := relayclient.Dial(ctx, l.addr, e.dialOptions())
		if err != nil {
			e.post(func() {
				l.dialing = false
				e.redial(l, l.backoff.Next(0, relayclient.RetryAfter(err)))
			})
			return
		}
		up := make(chan struct{})
		e.post(func() {
			l.dialing = false
			l.conn = conn
			e.linkUp(l)
			close(up)
		})
		e.watch(ctx, l, conn, up)
	})
}

// watch lives as long as a connection: it tells run when the connection ends or when the
// relay advises to reconnect, and closes it when the client closes.
func (e *engine) watch(ctx context.Context, l *link, conn *relayclient.Conn, up <-chan struct{}) {
	defer conn.Close()
	opened := time.Now()
	select {
	case <-up:
	case <-ctx.Done():
		return
	}
	var advice time.Duration
	select {
	case advice = <-conn.GoAway():
		conn.Close()
	case <-conn.Done():
	case <-ctx.Done():
		return
	}
	lived := time.Since(opened)
	e.post(func() {
		if l.conn == conn {
			l.conn = nil
			e.linkDown(l)
		}
		l.pace.ended(l.useful)
		if l.useful {
			// However short it was: a network that cuts every session, and lets a part of the
			// work through each time, is no reason to wait longer and longer.
			l.backoff.Reset()
			l.useful = false
		}
		e.redial(l, l.backoff.Next(lived, advice))
	})
}

// brought notes that so many messages or requests got through.
func (l *link) brought(n int) {
	l.useful = true
	l.pace.got(n)
}

func (e *engine) redial(l *link, pause time.Duration) {
	e.after(pause, func() { e.dial(l) })
}

// linkUp starts everything that waits for this relay.
func (e *engine) linkUp(l *link) {
	e.inboxUp(l)
	for _, g := range inOrderOfIDs(e.groups) {
		if g.rec.Relay == l.key {
			e.advance(g)
		}
	}
	e.flushInvites()
	e.flushConfigure()
	e.flushKnocks()
}

// linkDown forgets what was under way: outcomes are unknown, and are asked for again under
// the same idempotency ids.
func (e *engine) linkDown(l *link) {
	if e.id != nil && e.id.Relay == l.key {
		e.inbox.stream, e.inbox.busy = nil, false
	}
	l.under = 0
	for _, g := range e.groups {
		if g.rec.Relay == l.key {
			g.stream, g.busy, g.committing, g.named, g.await, g.voting = nil, false, false, false, nil, false
		}
	}
	for _, r := range e.rows {
		if g := e.groups[r.rec.Group]; g != nil && g.rec.Relay == l.key {
			r.flying = false
		}
	}
	for _, j := range e.invites {
		if j.rec.Relay == l.key {
			j.flying = false
		}
	}
	for id, j := range e.knocking {
		if g := e.groups[id]; g != nil && g.rec.Relay == l.key {
			j.flying = false
		}
	}
	for _, j := range e.configure {
		if g := e.groups[j.rec.Group]; g != nil && g.rec.Relay == l.key {
			j.flying = false
		}
	}
}

// hangUp closes all connections; run calls it last.
func (e *engine) hangUp() {
	for _, l := range e.links {
		if l.conn != nil {
			l.conn.Close()
		}
	}
}

// send is answer for a request that carries size bytes.
func (e *engine) send(l *link, size int, call *relayclient.Call, then func(relay.Position, error)) {
	l.under += size
	l.pace.tried++
	e.answer(l, call, func(at relay.Position, err error) {
		was := l.full()
		l.under -= size
		then(at, err)
		if was && !l.full() {
			e.linkUp(l) // whoever stopped for want of room
		}
	})
}

// answer waits for a call outside of run and posts what to do with its result. The result
// is dropped when the connection it was made on is no longer the link's.
func (e *engine) answer(l *link, call *relayclient.Call, then func(relay.Position, error)) {
	conn := l.conn
	e.spawn(func(ctx context.Context) {
		pos, err := call.Wait(ctx)
		e.post(func() {
			if errors.Is(err, relayclient.ErrSessionFull) {
				conn.Close() // another session has room for proofs
				return
			}
			if l.conn == conn {
				if err == nil {
					l.brought(1)
				}
				then(pos, err)
			}
		})
	})
}
