package clientlib

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
)

// suite is that of the group that a conversation's messages go to.
func (u *user) suite(id ConversationID) (s mls.Suite) {
	u.t.Helper()
	u.must(u.eng.call(u.ctx(), func() error {
		s = u.eng.primary(id).mls.Suite()
		return nil
	}))
	return s
}

// registerClassic is register for a device that lacks the best suite.
func (s *servers) registerClassic(name string) *user {
	s.t.Helper()
	u := s.newUser(name)
	u.must(u.eng.call(u.ctx(), func() error { u.eng.suites = []mls.Suite{classicSuite}; return nil }))
	u.must(u.Register(u.ctx(), name))
	u.know()
	return u
}

// TestGroupsWithWhoLacksTheBestSuite: a group has the best suite that all who begin it state, and
// those who lack it are not added to one that is there.
func TestGroupsWithWhoLacksTheBestSuite(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, old := s.register("alice"), s.register("bob"), s.registerClassic("old")
	for _, c := range []struct {
		members []*user
		want    mls.Suite
	}{
		{[]*user{alice, bob}, bestSuite}, {[]*user{alice, bob, old}, classicSuite}, {[]*user{old, alice}, classicSuite},
	} {
		var id ConversationID
		for _, u := range c.members {
			u.quiet()
		}
		group8(&id, c.members...)
		for _, u := range c.members {
			if got := u.suite(id); got != c.want {
				t.Errorf("a group of %d: %s has %v, want %v", len(c.members), u.name, got, c.want)
			}
			u.say(id, "from "+u.name)
		}
		for _, u := range c.members {
			for _, other := range c.members {
				if other != u {
					u.awaitText("from " + other.name)
				}
			}
		}
		for _, u := range c.members {
			u.quiet()
		}
		if c.want != bestSuite {
			continue
		}
		old.must(alice.AddMembers(alice.ctx(), id, need[keyserver.AccountID](t)(alice.Find(alice.ctx(), "old"))))
		alice.await("that old cannot be added", func(events []Event) bool {
			for _, ev := range events {
				if ev.Kind == EventFailed && ev.Account == old.id && strings.Contains(ev.Detail, errWithoutSuite.Error()) {
					return true
				}
			}
			return false
		})
	}
}

// TestA23_OnlyClassicPackages: a directory that hands out classic KeyPackages alone gets no
// classic group. What devices can stands in their chains, which they sign.
func TestA23_OnlyClassicPackages(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	var mode atomic.Int32
	const honest, substitutes, hides = 0, 1, 2
	s.wrap = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if m := mode.Load(); r.URL.Path == keyserver.EndpointTake.Path && m != honest {
				body, err := io.ReadAll(r.Body)
				var q keyserver.TakeRequest
				if err != nil || wire.Unmarshal(body, &q) != nil {
					t.Error("a request that does not parse")
				}
				if q.Suite = classicSuite; m == hides {
					q.Account = keyserver.AccountID{}
				}
				if body, err = wire.Marshal(&q); err != nil {
					t.Error(err)
				}
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			}
			h.ServeHTTP(w, r)
		})
	}
	s.start()
	alice, bob := s.register("alice"), s.register("bob")
	peer := need[keyserver.AccountID](t)(alice.Find(alice.ctx(), "bob"))
	for m, why := range map[int32]string{substitutes: "asked for as of " + bestSuite.String(), hides: "not found"} {
		mode.Store(m)
		id := need[ConversationID](t)(alice.CreateGroup(alice.ctx(), "group", peer))
		if got := alice.suite(id); got != bestSuite {
			t.Errorf("the group has %v", got)
		}
		alice.await("that bob cannot be added", func(events []Event) bool {
			for _, ev := range events {
				if ev.Kind == EventFailed && ev.Conversation == id && ev.Account == bob.id && strings.Contains(ev.Detail, why) {
					return true
				}
			}
			return false
		})
		mode.Store(honest)
		alice.must(alice.AddMembers(alice.ctx(), id, peer))
		bob.until("the group", func() (there bool) {
			bob.must(bob.eng.call(bob.ctx(), func() error { there = bob.eng.primary(id) != nil; return nil }))
			return there
		})
		if got := bob.suite(id); got != bestSuite {
			t.Errorf("bob joined a group of %v", got)
		}
	}
}

// TestContactWithoutSuites: who states no suite that others have keeps no group from being made,
// and is left out by name. A group of nobody else is not begun.
func TestContactWithoutSuites(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	peer := need[keyserver.AccountID](t)(alice.Find(alice.ctx(), "bob"))
	device := newSecret().signer()
	root := need[[]byte](t)(keyserver.NewAccount(newSecret().signer(), device))
	_, err := alice.eng.keys.Register(alice.ctx(), device, "mallory", root)
	alice.must(err)
	mallory := need[keyserver.AccountID](t)(alice.Find(alice.ctx(), "mallory"))
	id := need[ConversationID](t)(alice.CreateGroup(alice.ctx(), "group", mallory, peer))
	bob.awaitKind(EventJoined, 1)
	alice.awaitKind(EventFailed, 1)
	alice.mu.Lock()
	for _, ev := range alice.events {
		if ev.Kind == EventFailed && (ev.Account != mallory || ev.Conversation != id) {
			t.Errorf("an event about %s: %s", ev.Account, ev.Detail)
		}
	}
	alice.mu.Unlock()
	if got := alice.suite(id); got != bestSuite {
		t.Errorf("the group has %v", got)
	}
	if _, err := alice.StartDirect(alice.ctx(), mallory); !errors.Is(err, ErrNoSuite) {
		t.Errorf("a conversation with nobody but it: %v, want ErrNoSuite", err)
	}
}
