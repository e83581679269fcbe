package relayserver

import (
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// TestR09_Budget: above the budget of all sessions each has its share, and no more.
func TestR09_Budget(t *testing.T) {
	b := budget{most: 1000, share: 100}
	if !b.take(0, 900) || b.room(500) != 500 {
		t.Error("refused below the budget")
	}
	if b.take(50, 200) {
		t.Error("a session gets more than its share above the budget")
	}
	if !b.take(0, 100) || !b.take(50, 50) || b.room(500) != 100 || b.room(50) != 50 {
		t.Error("a session does not get its share")
	}
	b.give(1050)
	if b.used.Load() != 0 {
		t.Errorf("%d bytes are left", b.used.Load())
	}
}

// TestR09_NothingOfTheBudgetStays: a relay over its budget delivers all the same, over every
// transport, and when its sessions are gone nothing is counted any more.
func TestR09_NothingOfTheBudgetStays(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		s := open(t, t.TempDir(), func(c *Config) { c.Limits.Backlog = 1 })
		h := listen(t, s)
		q := queueID(85)
		c := dial(t, h)
		c.must(create(q))
		c.must(proveWrite(q, group))
		const entries, size = 8, 128 << 10
		for range entries {
			c.must(appendTo(q, group, envelope(size, 1)))
		}
		a := c.attach(q, alice, nil, maxWindow)
		l := newLog(c, q)
		for l.seq < entries {
			c.readUntil(l, l.seq+1)
			c.write(&relay.Ack{Attachment: a.Attachment, Seq: l.seq})
		}
		unread := dial(t, h)
		unread.attach(q, bob, nil, maxWindow) // and it goes away with everything still to be read
		_ = unread.s.Close()
		_ = c.s.Close()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := s.kept.used.Load(); n != 0 {
			t.Errorf("%d bytes are counted still", n)
		}
	})
}
