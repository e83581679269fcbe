package relayserver

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// dialBranching opens a session over WebTransport whose client takes branches.
func dialBranching(t *testing.T, h *endpoint) (*client, *webtransport.Session) {
	t.Helper()
	stream, err := dialWebTransport(t.Context(), h, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newClient(t, stream, session.FeatureStreams)
	if err != nil {
		t.Fatal(err)
	}
	return c, stream.session
}

// backlog makes q with so many small entries, and returns the position of the first.
func (c *client) backlog(q relay.QueueID, entries int) (first relay.Position) {
	c.t.Helper()
	c.must(create(q))
	c.must(proveWrite(q, group))
	first = c.must(appendTo(q, group, envelope(512, 0)))
	for range entries - 1 {
		c.write(c.sign(appendTo(q, group, envelope(512, 1))))
	}
	for range entries - 1 {
		if _, ok := c.read().(*relay.Accepted); !ok {
			c.t.Fatal("not accepted")
		}
	}
	return first
}

// branchOf accepts the branch that s tells of.
func branchOf(t *testing.T, c *client, wt *webtransport.Session, s *relay.Stream) *client {
	t.Helper()
	b, _ := anyBranch(t, c, wt, map[[16]byte]*relay.Stream{s.Name: s})
	return b
}

// anyBranch accepts a branch, which is one of those, and returns its name.
func anyBranch(t *testing.T, c *client, wt *webtransport.Session, all map[[16]byte]*relay.Stream) (*client, [16]byte) {
	t.Helper()
	stream, err := wt.AcceptUniStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var name [16]byte
	if _, err := io.ReadFull(stream, name[:]); err != nil || all[name] == nil {
		t.Fatalf("the stream begins with %x, %v, which no STREAM said", name, err)
	}
	return &client{t: t, s: c.s.Receive(readOnly{stream}, all[name].Key)}, name
}

// readOnly is a stream of the server's as package session wants it.
type readOnly struct{ *webtransport.ReceiveStream }

func (readOnly) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }
func (r readOnly) Close() error            { r.CancelRead(0); return nil }

// over reads DETACHED, and that nothing comes behind it.
func (c *client) over(reason relay.DetachReason) {
	c.t.Helper()
	if d := event[*relay.Detached](c); d.Reason != reason {
		c.t.Errorf("detached for reason %d, want %d", d.Reason, reason)
	}
	if f, err := c.s.ReadFrame(); err != io.EOF {
		c.t.Errorf("behind DETACHED: %v, %v", f, err)
	}
}

// TestBranchCarriesABacklog: what was there and what comes, in order and within the window,
// on the branch and nowhere else, until DETACH.
func TestBranchCarriesABacklog(t *testing.T) {
	h := listenOver(t, open(t, t.TempDir(), nil), overWebTransport)
	q := queueID(70)
	owner := dial(t, h)
	const entries = 300
	first := owner.backlog(q, entries)
	c, wt := dialBranching(t, h)
	a := c.attach(q, alice, &first, 16<<10)
	b := branchOf(t, c, wt, event[*relay.Stream](c))
	l := newLog(c, q)
	l.seq, l.chain = first.Seq, first.Chain
	for l.seq < entries {
		b.readUntil(l, l.seq+1)
		c.write(&relay.Ack{Attachment: a.Attachment, Seq: l.seq})
	}
	owner.must(appendTo(q, group, envelope(512, 2)))
	b.readUntil(l, entries+1)
	c.write(&relay.Detach{Attachment: a.Attachment})
	b.over(relay.DetachAsked)
	c.write(&relay.Ping{})
	event[*relay.Pong](c) // nothing else has come here
	// The same reader again: the number of branches is of those that are there.
	c.attach(q, alice, &first, 16<<10)
	event[*relay.Stream](c)
}

// TestBranchOnlyWhereAsked: a client that takes none gets none, over any transport, and
// neither does one that takes them over a transport without streams; a short backlog stays.
func TestBranchOnlyWhereAsked(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		q := queueID(71)
		owner := dial(t, h)
		first := owner.backlog(q, 2*branchBacklog)
		owner.attach(q, alice, &first, 1<<20)
		event[*relay.Deliver](owner)
		stream, err := h.connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := newClient(t, stream, session.FeatureStreams)
		if err != nil {
			t.Fatal(err)
		}
		if h.via != overWebTransport {
			c.attach(q, bob, &first, 1<<20)
			event[*relay.Deliver](c)
			return
		}
		c.attach(q, bob, nil, 1<<20)
		event[*relay.Deliver](c)
		near := queueID(72)
		first = owner.backlog(near, branchBacklog)
		c.attach(near, bob, &first, 1<<20)
		event[*relay.Deliver](c)
	})
}

// TestR09_UnreadBranchHoldsUpNobody: a client that leaves a branch unread hears of its other
// queues as ever, and of that one's end when it reads on.
func TestR09_UnreadBranchHoldsUpNobody(t *testing.T) {
	h := listenOver(t, open(t, t.TempDir(), nil), overWebTransport)
	h.window = 16 << 10
	long, live := queueID(73), queueID(74)
	owner := dial(t, h)
	const entries = 800 // 400 KiB
	first := owner.backlog(long, entries)
	owner.must(create(live))
	owner.must(proveWrite(live, group))
	c, wt := dialBranching(t, h)
	a := c.attach(long, alice, &first, 256<<10)
	s := event[*relay.Stream](c)
	c.attach(live, alice, nil, 1<<20)
	l := newLog(c, live)
	for n := range uint64(50) {
		owner.must(appendTo(live, group, envelope(512, 1)))
		c.readUntil(l, n+1)
	}
	b := branchOf(t, c, wt, s)
	back := newLog(c, long)
	back.seq, back.chain = first.Seq, first.Chain
	for back.seq < entries {
		b.readUntil(back, back.seq+1)
		c.write(&relay.Ack{Attachment: a.Attachment, Seq: back.seq})
	}
}

// TestBranchesAreFew: beyond 16 the session's stream carries what comes.
func TestBranchesAreFew(t *testing.T) {
	h := listenOver(t, open(t, t.TempDir(), nil), overWebTransport)
	owner := dial(t, h)
	c, _ := dialBranching(t, h)
	for n := range byte(maxBranches + 1) {
		q := queueID(100 + n)
		first := owner.backlog(q, branchBacklog+1)
		c.attach(q, alice, &first, 1<<20)
		if n < maxBranches {
			event[*relay.Stream](c)
		} else {
			event[*relay.Deliver](c)
		}
	}
}

// TestBranchEnds: superseded, removed and drained, the branch says so itself.
func TestBranchEnds(t *testing.T) {
	for name, end := range map[string]struct {
		how    func(t *testing.T, s *Server, owner *client, q relay.QueueID)
		reason relay.DetachReason
	}{
		"superseded": {func(t *testing.T, _ *Server, owner *client, q relay.QueueID) { owner.attach(q, alice, nil, 1) }, relay.DetachSuperseded},
		"removed": {func(t *testing.T, _ *Server, owner *client, q relay.QueueID) {
			owner.must(&relay.Configure{ID: newID(), Queue: q, Key: public(admin), Changes: []relay.Change{relay.RemoveReader{Key: public(alice)}}})
		}, relay.DetachRemoved},
		"drained": {func(t *testing.T, s *Server, _ *client, _ relay.QueueID) {
			var down sync.WaitGroup
			down.Go(func() { _ = s.Shutdown(context.Background()) })
			t.Cleanup(down.Wait)
		}, relay.DetachDraining},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir(), nil)
			h := listenOver(t, s, overWebTransport)
			q := queueID(75)
			owner := dial(t, h)
			const entries = 2 * branchBacklog
			first := owner.backlog(q, entries)
			c, wt := dialBranching(t, h)
			c.attach(q, alice, &first, 1<<20)
			b := branchOf(t, c, wt, event[*relay.Stream](c))
			l := newLog(c, q)
			l.seq, l.chain = first.Seq, first.Chain
			b.readUntil(l, entries)
			end.how(t, s, owner, q)
			if end.reason == relay.DetachRemoved {
				if e := event[*relay.End](b); e.Position.Seq != entries {
					t.Errorf("END at %d", e.Position.Seq)
				}
			}
			b.over(end.reason)
			if end.reason == relay.DetachDraining {
				_ = owner.s.Close() // the drain waits for that
				event[*relay.GoAway](c)
				c.ended(relay.CloseDraining)
				return
			}
			c.write(&relay.Ping{})
			event[*relay.Pong](c)
		})
	}
}

// TestDrainWaitsForBranches: the session does not end before a branch that the client is slow
// to read has said its last.
func TestDrainWaitsForBranches(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	h := listenOver(t, s, overWebTransport)
	q := queueID(77)
	owner := dial(t, h)
	first := owner.backlog(q, 500)
	_ = owner.s.Close() // the drain would wait for that
	h.window = 16 << 10
	c, wt := dialBranching(t, h)
	c.attach(q, alice, &first, 1<<20)
	b := branchOf(t, c, wt, event[*relay.Stream](c))
	var down sync.WaitGroup
	down.Go(func() { _ = s.Shutdown(context.Background()) })
	defer down.Wait()
	event[*relay.GoAway](c)
	for range 3 { // as long as the branch is stuck, the session has time
		c.write(&relay.Ping{})
		event[*relay.Pong](c)
	}
	for {
		if d, ok := b.next().(*relay.Detached); ok {
			if d.Reason != relay.DetachDraining {
				t.Errorf("detached for reason %d", d.Reason)
			}
			break
		}
	}
	c.ended(relay.CloseDraining)
}

// TestBranchRefused: a client that stops a branch would miss what it carries, so its session
// ends.
func TestBranchRefused(t *testing.T) {
	h := listenOver(t, open(t, t.TempDir(), nil), overWebTransport)
	q := queueID(76)
	owner := dial(t, h)
	first := owner.backlog(q, 2*branchBacklog)
	c, wt := dialBranching(t, h)
	a := c.attach(q, alice, &first, 512)
	b := branchOf(t, c, wt, event[*relay.Stream](c))
	event[*relay.Deliver](b)
	_ = b.s.Close()
	c.write(&relay.Ack{Attachment: a.Attachment, Seq: first.Seq + 1}) // there is more to send
	c.ended(0)
}
