package clientlib

import (
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// TestQ06_A14_LossesAtRandom: a relay is backed up and put back again and again while members write,
// renew their keys, come and go. However that falls, all end in one epoch and hear each other, and
// nobody is shown anything twice. SEALPOST_TEST_LOSSES repeats it with that many seeds.
func TestQ06_A14_LossesAtRandom(t *testing.T) {
	t.Parallel()
	seeds := 1
	if n, err := strconv.Atoi(os.Getenv("SEALPOST_TEST_LOSSES")); err == nil {
		seeds = n
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { lossesAtRandom(t, mathrand.New(mathrand.NewPCG(6, uint64(seed)))) })
	}
}

func lossesAtRandom(t *testing.T, random *mathrand.Rand) {
	s := startServers(t)
	var users []*user
	for _, name := range []string{"alice", "bob", "carol", "dave"} {
		users = append(users, s.quick(name))
	}
	var id ConversationID
	group8(&id, users...)
	for _, u := range users {
		u.quiet()
	}
	reach(id, "before", users...)
	said := 0
	act := func() {
		u := users[random.IntN(len(users))]
		switch n := random.IntN(8); {
		case u.Client == nil:
			u.open()
		case n < 2:
			u.close()
		case n < 5:
			u.must(u.RenewKeys(u.ctx(), id))
		default:
			said++
			u.say(id, fmt.Sprint("number ", said))
		}
		if u.Client != nil && random.IntN(2) == 0 {
			u.settles(id)
		}
	}
	for round := range 3 {
		dir := s.backup()
		for range 3 + random.IntN(6) {
			act()
		}
		s.restore(dir)
		for range random.IntN(4) {
			act()
		}
		for _, u := range users {
			if u.Client == nil {
				u.open()
			}
		}
		for _, u := range users {
			u.settles(id)
		}
		inOneEpoch(id, users...)
		reach(id, fmt.Sprint("round ", round), users...)
	}
	for _, u := range users {
		u.mu.Lock()
		told := map[MessageID]bool{}
		for _, ev := range u.events {
			if ev.Kind == EventMessage && told[ev.Message] {
				t.Errorf("%s was told of a message twice", u.name)
			}
			told[ev.Message] = ev.Kind == EventMessage || told[ev.Message]
		}
		u.mu.Unlock()
		shown := map[string]int{}
		for _, text := range u.texts(id) {
			if shown[text]++; shown[text] > 1 {
				t.Errorf("%s has %q twice", u.name, text)
			}
		}
	}
}

// settles waits until a user has nothing on its way, or cannot do anything about it.
func (u *user) settles(id ConversationID) {
	u.t.Helper()
	u.until("an end of its work", func() (over bool) {
		u.must(u.eng.call(u.ctx(), func() error {
			g := u.eng.primary(id)
			over = g == nil || g.caughtUp() && !u.eng.healing(g) && len(u.eng.changes) == 0 && len(u.eng.rows) == 0
			return nil
		}))
		return over
	})
}
