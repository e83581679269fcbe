package clientlib

import (
	"slices"
	"testing"
	"time"
)

// TestOrderOverACommit: a commit ends the epoch while a message is on its way, which is refused for
// it. What was written behind it goes behind it.
func TestOrderOverACommit(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	bob.quiet()
	step := func(fn func(g *group) error) {
		t.Helper()
		alice.must(alice.eng.call(alice.ctx(), func() error { return fn(alice.eng.primary(id)) }))
	}
	step(func(g *group) error { g.sendAt = time.Now().Add(time.Hour); return nil })
	alice.say(id, "first")
	step(func(g *group) error { // on its way, as far as the client knows
		r := alice.eng.rows[0]
		r.flying = true
		return alice.eng.sealRows(g, []*row{r})
	})
	before, _ := alice.epoch(id)
	bob.must(bob.RenewKeys(bob.ctx(), id))
	alice.until("the commit", func() bool { now, _ := alice.epoch(id); return now > before })
	alice.say(id, "second")
	step(func(g *group) error {
		g.sendAt = time.Time{}
		alice.eng.advance(g)
		if r := alice.eng.rows[1]; r.rec.State != rowQueued || r.flying {
			t.Error("the second message goes ahead of the first")
		}
		alice.eng.rows[0].flying = false // refused
		alice.eng.advance(g)
		return nil
	})
	bob.awaitText("first", "second")
	if got := bob.texts(id); !slices.Equal(got, []string{"first", "second"}) {
		t.Errorf("bob has %q", got)
	}
}
