package clientlib

import (
	"slices"
	"sync/atomic"
	"testing"
)

// mortal opens a user's client anew, and has it end at its nth frame to or from a relay, as a
// process does that is killed there: what is on disk by then is all that is left.
func (u *user) mortal(n int64) (died <-chan struct{}) {
	u.t.Helper()
	u.close()
	var frames atomic.Int64
	opened := make(chan struct{})
	u.cfg.Tap = func(bool, []byte) {
		<-opened
		if frames.Add(1) == n {
			u.eng.stop()
		}
	}
	u.open()
	close(opened)
	return u.eng.done
}

// diesUntil kills a user's client at its first frame, then at its second, and so on, until it
// lives to see what ok waits for.
func (u *user) diesUntil(ok func([]Event) bool) (deaths int) {
	u.t.Helper()
	defer func() {
		u.close()
		u.cfg.Tap = nil
		u.open()
	}()
	for ; deaths < 60; deaths++ {
		died := u.mortal(int64(deaths + 1))
		for alive := true; alive; {
			u.mu.Lock()
			news, done := u.news, ok(u.events)
			u.mu.Unlock()
			if done {
				return deaths
			}
			select {
			case <-news:
			case <-died:
				u.eng.hangUp()
				alive = false
			case <-u.ctx().Done():
				u.t.Fatalf("%s neither ends nor goes on; events: %s", u.name, describe(u.events))
			}
		}
	}
	u.t.Fatalf("%s has ended %d times", u.name, deaths)
	return deaths
}

func replaced(of *user) func([]Event) bool {
	return func(events []Event) bool {
		return slices.ContainsFunc(events, func(ev Event) bool { return ev.Kind == EventReplaced && ev.Account == of.id })
	}
}

// TestKnockKilledAtEveryStep: who knocks, or who answers, is killed at every frame on the way. The
// device is replaced, once, and nobody loses a message.
func TestKnockKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, victim := range []string{"who knocks", "who answers"} {
		t.Run(victim, func(t *testing.T) {
			s := badCommitTest(t)
			alice, bob, mal := s.register("alice"), s.register("bob"), s.register("mallory")
			var id ConversationID
			group8(&id, alice, bob, mal)
			for _, u := range []*user{alice, bob, mal} {
				u.quiet()
			}
			d := mal.turn(id)
			if victim == "who knocks" {
				alice.initiate()
				d.badCommit()
				alice.say(id, "missed")
				alice.quiet()
				if n := bob.diesUntil(replaced(bob)); n < 5 {
					t.Errorf("killed %d times: the test shows nothing", n)
				}
			} else {
				alice.close()
				d.badCommit()
				bob.asked(id)
				alice.cfg.rules.PSKs = initiated{} // whenever she is opened
				n := alice.diesUntil(replaced(bob))
				alice.cfg.rules.PSKs = nil
				if n < 5 {
					t.Errorf("killed %d times: the test shows nothing", n)
				}
				alice.awaitReplaced(bob, 1)
			}
			bob.awaitReplaced(bob, 1)
			bob.say(id, "back")
			alice.awaitText("back")
			alice.say(id, "welcome")
			bob.awaitText("welcome")
			together(id, alice, bob)
			for _, u := range []*user{alice, bob} {
				if n := u.shown(EventReplaced); n != 1 {
					t.Errorf("%s is told %d times that bob was replaced", u.name, n)
				}
			}
		})
	}
}
