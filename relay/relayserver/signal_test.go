package relayserver

import (
	"testing"

	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/relay"
)

func sealed(n int) (s [relay.SignalSize]byte) {
	s[0], s[1] = byte(n), byte(n>>8)
	return s
}

// sync waits until the server has dealt with everything that c sent.
func (c *client) sync() {
	c.t.Helper()
	c.write(&relay.Ping{Value: 77})
	for {
		f := c.read()
		if pong, ok := f.(*relay.Pong); ok && pong.Value == 77 {
			return
		}
		c.events = append(c.events, f)
	}
}

// TestSignal: a signal reaches the other readers behind what is in the log, and nobody who
// only has the queue's keys; it has no answer.
func TestSignal(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	h := listen(t, s)
	q := queueID(20)
	a, b := dial(t, h), dial(t, h)
	a.must(create(q))
	a.must(proveWrite(q, group))
	from, to := a.attach(q, alice, nil, 1<<20), b.attach(q, bob, nil, 1<<20)
	a.must(appendTo(q, group, envelope(512, 1)))
	a.write(&relay.Signal{Attachment: from.Attachment, Sealed: sealed(1)})
	if d := event[*relay.Deliver](b); len(d.Entries) != 1 {
		t.Errorf("%d entries before the signal", len(d.Entries))
	}
	if got := event[*relay.Signalled](b); got.Attachment != to.Attachment || got.Sealed != sealed(1) {
		t.Errorf("heard %d of attachment %d", got.Sealed[0], got.Attachment)
	}
	a.write(&relay.Signal{Attachment: from.Attachment + 1}, &relay.Signal{Attachment: 1 << 60}) // have ended, or never were
	a.write(&relay.Detach{Attachment: from.Attachment})
	a.sync()
	a.write(&relay.Signal{Attachment: from.Attachment, Sealed: sealed(2)})
	a.sync()
	b.sync()
	for _, f := range b.events {
		if got, ok := f.(*relay.Signalled); ok {
			t.Errorf("heard %d of a detached reader", got.Sealed[0])
		}
	}
}

// TestR09_SignalsNeverPileUp: a reader whose window is full hears none of those sent
// meanwhile; and of what waits for a session the newest 32 stay.
func TestR09_SignalsNeverPileUp(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	h := listen(t, s)
	q := queueID(21)
	a, b := dial(t, h), dial(t, h)
	a.must(create(q))
	a.must(proveWrite(q, group))
	from, to := a.attach(q, alice, nil, 1<<20), b.attach(q, bob, nil, 512)
	first := a.must(appendTo(q, group, envelope(512, 1)))
	a.must(appendTo(q, group, envelope(512, 2)))
	event[*relay.Deliver](b) // the window is full
	a.write(&relay.Signal{Attachment: from.Attachment, Sealed: sealed(1)})
	a.sync()
	b.sync() // its writer has looked
	b.write(&relay.Ack{Attachment: to.Attachment, Seq: first.Seq})
	event[*relay.Deliver](b)
	b.write(&relay.Ack{Attachment: to.Attachment, Seq: first.Seq + 1})
	b.sync()
	a.write(&relay.Signal{Attachment: from.Attachment, Sealed: sealed(2)})
	if got := event[*relay.Signalled](b); got.Sealed != sealed(2) {
		t.Errorf("heard %d, which was sent while the window was full", got.Sealed[0])
	}

	p := &peer{srv: s, attachments: make(map[uint64]*attachment), wake: make(chan struct{}, 1)}
	one, other := &attachment{id: 1}, &attachment{id: 2}
	p.attachments[1], p.attachments[2] = one, other
	for n := range 100 {
		to := one
		if n%2 == 1 {
			to = other
		}
		p.hear(to, new(sealed(n)))
	}
	p.hear(&attachment{id: 3}, new(sealed(200))) // has ended
	if len(p.signals) != maxSignals {
		t.Errorf("%d signals wait", len(p.signals))
	}
	got := p.signalled(one, metrics.SignalSent)
	if len(got) != maxSignals/2 || got[0].(*relay.Signalled).Sealed != sealed(68) || got[15].(*relay.Signalled).Sealed != sealed(98) {
		t.Errorf("%d are sent", len(got))
	}
	if got := p.signalled(other, metrics.SignalSent); len(got) != maxSignals/2 || p.signalled(other, metrics.SignalSent) != nil || p.signals != nil {
		t.Errorf("then %d, and %d stay", len(got), len(p.signals))
	}
}

// TestSignalFlood: a client that signals as fast as it can neither ends nor delays others.
func TestSignalFlood(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	h := listen(t, s)
	q := queueID(22)
	a, b := dial(t, h), dial(t, h)
	a.must(create(q))
	a.must(proveWrite(q, group))
	from := a.attach(q, alice, nil, 1<<20)
	b.attach(q, bob, nil, 1<<20)
	for range 50 {
		var flood []relay.Frame
		for n := range 100 {
			flood = append(flood, &relay.Signal{Attachment: from.Attachment, Sealed: sealed(n)})
		}
		a.write(flood...)
	}
	a.must(appendTo(q, group, envelope(512, 1)))
	heard := 0
	for {
		f := b.next()
		if _, ok := f.(*relay.Deliver); ok {
			break
		}
		heard++
	}
	if heard < 16 || heard > 2500 {
		t.Errorf("heard %d", heard)
	}
}

// TestSignalOnABranch: the signals of an attachment that has a branch come there.
func TestSignalOnABranch(t *testing.T) {
	h := listenOver(t, open(t, t.TempDir(), nil), overWebTransport)
	q := queueID(23)
	owner := dial(t, h)
	const entries = 2 * branchBacklog
	first := owner.backlog(q, entries)
	from := owner.attach(q, alice, nil, 1)
	c, wt := dialBranching(t, h)
	a := c.attach(q, bob, &first, 1<<20)
	b := branchOf(t, c, wt, event[*relay.Stream](c))
	l := newLog(c, q)
	l.seq, l.chain = first.Seq, first.Chain
	b.readUntil(l, entries)
	owner.write(&relay.Signal{Attachment: from.Attachment, Sealed: sealed(9)})
	if got := event[*relay.Signalled](b); got.Attachment != a.Attachment || got.Sealed != sealed(9) {
		t.Errorf("heard %d of attachment %d", got.Sealed[0], got.Attachment)
	}
}
