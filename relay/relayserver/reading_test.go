package relayserver

import (
	"bytes"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// log follows a queue as a client must: contiguous seqs, its own chain.
type log struct {
	t       testing.TB
	seq     uint64
	chain   relay.Hash
	entries []relay.Entry
}

func newLog(c *client, q relay.QueueID) *log {
	b := c.s.Binding()
	return &log{t: c.t, chain: relay.ChainStart(b.RelayKey, q, c.s.Incarnation())}
}

func (l *log) take(d *relay.Deliver) {
	l.t.Helper()
	for _, e := range d.Entries {
		if e.Seq != l.seq+1 {
			l.t.Fatalf("seq %d follows %d", e.Seq, l.seq)
		}
		l.seq = e.Seq
		l.chain = relay.ChainNext(l.chain, e.Seq, e.Kind, e.Envelope, e.Blobs...)
		l.entries = append(l.entries, e)
	}
	if l.chain != d.Chain {
		l.t.Fatalf("the chain after %d is not what the entries give", l.seq)
	}
}

// attach proves and attaches, and returns the answer.
func (c *client) attach(q relay.QueueID, k byte, position *relay.Position, window uint32) *relay.Attached {
	c.t.Helper()
	c.must(proveRead(q, k))
	a, ok := c.call(&relay.Attach{Queue: q, Reader: public(k), Position: position, Window: window}).(*relay.Attached)
	if !ok {
		c.t.Fatal("ATTACH was not answered by ATTACHED")
	}
	return a
}

// readUntil follows deliveries up to seq.
func (c *client) readUntil(l *log, seq uint64) {
	c.t.Helper()
	for l.seq < seq {
		l.take(event[*relay.Deliver](c))
	}
}

func TestAppendAndRead(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		q := queueID(1)
		owner, reader := dial(t, h), dial(t, h)
		if p := owner.must(create(q)); p.Seq != 0 || p.Incarnation != owner.s.Incarnation() {
			t.Errorf("CREATE is at %+v", p)
		}
		owner.must(proveWrite(q, group))
		first := owner.must(appendTo(q, group, envelope(512, 'a')))
		a := reader.attach(q, alice, nil, 1<<20)
		if a.Head != first || !a.LastCommit.IsZero() {
			t.Errorf("attached at head %+v", a.Head)
		}
		l := newLog(reader, q)
		reader.readUntil(l, 1)
		last := owner.must(appendTo(q, group, envelope(relay.MaxEnvelope, 'b')))
		reader.readUntil(l, 2)
		if l.chain != last.Chain || !bytes.Equal(l.entries[1].Envelope, envelope(relay.MaxEnvelope, 'b')) {
			t.Error("the reader and the writer see different logs")
		}
		reader.write(&relay.Ack{Attachment: a.Attachment, Seq: 2}, &relay.Detach{Attachment: a.Attachment})
		if d := event[*relay.Detached](reader); d.Reason != relay.DetachAsked || d.Attachment != a.Attachment {
			t.Errorf("detached for reason %d", d.Reason)
		}
		// The client's position decides what is delivered, whatever it acked.
		reader.attach(q, alice, &first, 1<<20)
		if d := event[*relay.Deliver](reader); d.Entries[0].Seq != 2 {
			t.Errorf("delivery from position 1 begins at %d", d.Entries[0].Seq)
		}
	})
}

func TestCommitAndStaleWriter(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		q := queueID(2)
		c, reader := dial(t, h), dial(t, h)
		c.must(create(q))
		c.must(proveWrite(q, group))
		commit := &relay.Commit{ID: newID(), Queue: q, Reader: public(alice), NextWriter: public(20), Envelope: envelope(1024, 'c'),
			Tickets: []relay.PublicKey{public(ticket)}}
		at := c.must(commit)
		if got := c.must(commit); got != at {
			t.Error("a retried COMMIT is not given its first answer")
		}
		if r := c.refused(appendTo(q, group, envelope(512, 1)), relay.CodeStale); r.Refusal.Position == nil || *r.Refusal.Position != at {
			t.Errorf("STALE without the head: %+v", r.Refusal)
		}
		second := &relay.Commit{ID: newID(), Queue: q, Reader: public(bob), NextWriter: public(21), Envelope: envelope(512, 'd')}
		if r := c.refused(second, relay.CodeConflict); r.Refusal.Position == nil || *r.Refusal.Position != at {
			t.Errorf("CONFLICT without the last commit: %+v", r.Refusal)
		}
		second.ID, second.Expect = newID(), at
		c.must(second)
		c.must(&relay.Rekey{ID: newID(), Queue: q, Ticket: public(ticket), Reader: public(30)})
		joiner := dial(t, h)
		joiner.attach(q, 30, nil, 1<<20)
		reader.attach(q, bob, nil, 1<<20)
		l := newLog(reader, q)
		reader.readUntil(l, 2)
		if e := l.entries[0]; e.Kind != relay.KindCommit || e.Reader == nil || *e.Reader != public(alice) {
			t.Error("a COMMIT entry does not name its reader")
		}
	})
}

// TestR02_SecondReaderSupersedes: the newest attachment of a reader has the stream, the
// one before is told; both sessions go on.
func TestR02_SecondReaderSupersedes(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		q := queueID(3)
		first, second := dial(t, h), dial(t, h)
		first.must(create(q))
		a := first.attach(q, alice, nil, 1<<20)
		second.attach(q, alice, nil, 1<<20)
		if d := event[*relay.Detached](first); d.Reason != relay.DetachSuperseded || d.Attachment != a.Attachment {
			t.Errorf("detached for reason %d", d.Reason)
		}
		first.must(proveWrite(q, group))
		first.must(appendTo(q, group, envelope(512, 1)))
		second.readUntil(newLog(second, q), 1)
		if len(first.events) != 0 {
			t.Errorf("the superseded session still gets %T", first.events[0])
		}
	})
}

// TestR23_RemovedReaderIsToldAtOnce: an attached reader that has read everything hears of
// its removal by itself, and can do nothing more.
func TestR23_RemovedReaderIsToldAtOnce(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		q := queueID(4)
		owner, reader := dial(t, h), dial(t, h)
		owner.must(create(q))
		owner.must(proveWrite(q, group))
		a := reader.attach(q, alice, nil, 1<<20)
		last := owner.must(appendTo(q, group, envelope(512, 1)))
		reader.readUntil(newLog(reader, q), 1)
		owner.must(&relay.Configure{ID: newID(), Queue: q, Key: public(admin), Changes: []relay.Change{relay.RemoveReader{Key: public(alice)}}})
		if e := event[*relay.End](reader); e.Position != last || e.Attachment != a.Attachment {
			t.Errorf("END at %+v, want %+v", e.Position, last)
		}
		if d := event[*relay.Detached](reader); d.Reason != relay.DetachRemoved {
			t.Errorf("detached for reason %d", d.Reason)
		}
		owner.must(appendTo(q, group, envelope(512, 2)))
		if c, ok := reader.call(&relay.Commit{ID: newID(), Queue: q, Reader: public(alice), NextWriter: public(20), Envelope: envelope(512, 3)}).(*relay.Refused); !ok {
			t.Error("a removed reader commits")
		} else if c.Refusal.Code == relay.CodeConflict {
			t.Error("a removed reader hears of commits")
		}
	})
}

// TestR09_WindowBoundsDelivery: a reader that acks nothing is sent a window and no more,
// however much there is, and ACKs open it again.
func TestR09_WindowBoundsDelivery(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		q := queueID(5)
		owner, reader := dial(t, h), dial(t, h)
		owner.must(create(q))
		owner.must(proveWrite(q, group))
		const entries, size, window = 64, 4096, 16 << 10
		for range entries {
			owner.must(appendTo(q, group, envelope(size, 7)))
		}
		a := reader.attach(q, alice, nil, window)
		l := newLog(reader, q)
		for l.seq < entries {
			before := l.seq
			reader.readUntil(l, before+1)
			// PONG comes behind everything that the server was willing to send.
			for n := range 2 {
				reader.write(&relay.Ping{Value: uint64(n)})
				for pong := false; !pong; {
					switch f := reader.next().(type) {
					case *relay.Deliver:
						l.take(f)
					case *relay.Pong:
						pong = true
					}
				}
			}
			if got := (l.seq - before) * size; got > window {
				t.Fatalf("%d bytes were sent into a window of %d", got, window)
			}
			reader.write(&relay.Ack{Attachment: a.Attachment, Seq: l.seq})
		}
		if len(l.entries) != entries {
			t.Errorf("%d entries", len(l.entries))
		}
	})
}

// TestOneEntryAlwaysFits: a window smaller than an entry delivers one at a time.
func TestOneEntryAlwaysFits(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		q := queueID(6)
		c := dial(t, h)
		c.must(create(q))
		c.must(proveWrite(q, group))
		for range 3 {
			c.must(appendTo(q, group, envelope(8192, 7)))
		}
		a := c.attach(q, alice, nil, 0)
		l := newLog(c, q)
		for seq := range uint64(3) {
			d := event[*relay.Deliver](c)
			if len(d.Entries) != 1 {
				t.Fatalf("%d entries at once", len(d.Entries))
			}
			l.take(d)
			c.write(&relay.Ack{Attachment: a.Attachment, Seq: seq + 1})
		}
	})
}

// TestManyEntriesShareAFrame: a backlog of small entries does not cost a frame each.
func TestManyEntriesShareAFrame(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		q := queueID(7)
		c := dial(t, h)
		c.must(create(q))
		c.must(proveWrite(q, group))
		const entries = 900
		var batch []relay.Frame
		for range entries {
			batch = append(batch, c.sign(appendTo(q, group, envelope(512, 7))))
		}
		c.write(batch...)
		for range entries {
			if _, ok := c.next().(*relay.Accepted); !ok {
				t.Fatal("refused")
			}
		}
		c.attach(q, alice, nil, 1<<20)
		l, frames := newLog(c, q), 0
		for ; l.seq < entries; frames++ {
			l.take(event[*relay.Deliver](c))
		}
		if frames > entries*512/deliverFrame+8 {
			t.Errorf("%d entries of 512 bytes took %d frames", entries, frames)
		}
	})
}
