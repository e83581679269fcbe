package clientlib

import (
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
)

// stock is how many one-time KeyPackages of a suite the directory has of this user.
func (u *user) stock(suite mls.Suite) int {
	u.t.Helper()
	return int(need[*keyserver.StockReply](u.t)(u.eng.keys.Stock(u.ctx(), u.eng.id.Device.signer(), u.id, suite)).OneTime)
}

// use takes n KeyPackages of another user from the directory.
func (u *user) use(peer keyserver.AccountID, suite mls.Suite, n int) {
	u.t.Helper()
	for range n {
		need[[]keyserver.Package](u.t)(u.eng.keys.Take(u.ctx(), [32]byte(newSecret()), peer, suite))
	}
}

// TestDeviceLearnsASuite: a device whose program has learnt a suite states it before it uploads
// KeyPackages of it, once, also if the answer is lost or another device has changed the chain
// meanwhile. Its pools are full then, also the one of before.
func TestDeviceLearnsASuite(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	var lose atomic.Bool
	s.wrap = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == keyserver.EndpointAppend.Path && lose.Swap(false) {
				h.ServeHTTP(discard{}, r)
				http.Error(w, "lost", http.StatusBadGateway)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	s.start()
	alice := s.register("alice")
	for _, c := range []struct {
		name    string
		lost    bool
		changed bool
	}{{name: "plainly"}, {name: "lost", lost: true}, {name: "changed", changed: true}} {
		old := s.registerClassic(c.name)
		alice.use(old.id, classicSuite, poolSize-1)
		want := 2
		if c.changed {
			want++
			laptop := newSecret().signer()
			entry := need[[]byte](t)(keyserver.AddDevice(old.eng.id.Chain, old.eng.id.Device.signer(), laptop, classicSuite))
			old.must(old.eng.keys.AppendEntry(old.ctx(), old.id, entry))
		}
		lose.Store(c.lost)
		old.reopen() // with a program that has both
		old.until("its pools to be full", func() bool {
			listing := need[*keyserver.Listing](t)(alice.eng.anonymous.LookupID(alice.ctx(), old.id))
			return len(listing.Account.Suites(old.eng.device())) == len(suites) && old.stock(bestSuite) == poolSize && old.stock(classicSuite) >= poolRest
		})
		old.must(old.eng.call(old.ctx(), func() error {
			if n := len(old.eng.id.Chain); n != want {
				t.Errorf("%s: a chain of %d entries, want %d", c.name, n, want)
			}
			if got := old.eng.stated(); !slices.Equal(got, suites) {
				t.Errorf("%s: it states %v", c.name, got)
			}
			return nil
		}))
		if c.changed {
			continue // the laptop is only a name
		}
		var id ConversationID
		group8(&id, alice, old)
		if got := old.suite(id); got != bestSuite {
			t.Errorf("%s: a group of %v", c.name, got)
		}
	}
}

// TestStatementRefused: a directory that does not take the statement gets no KeyPackages that
// nobody may use, and those of the suite of before go on. So does the contact card.
func TestStatementRefused(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	var asked, uploads atomic.Int32
	s.wrap = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case keyserver.EndpointAppend.Path:
				asked.Add(1)
				http.Error(w, "not today", http.StatusServiceUnavailable)
				return
			case keyserver.EndpointUpload.Path:
				uploads.Add(1)
			}
			h.ServeHTTP(w, r)
		})
	}
	s.start()
	alice, old := s.register("alice"), s.registerClassic("old")
	alice.use(old.id, classicSuite, poolSize-1)
	kept, before := old.secretsKept(), uploads.Load()
	old.reopen()
	old.until("the classic pool to be full", func() bool { return old.stock(classicSuite) == poolSize })
	old.until("another try", func() bool { return asked.Load() >= 2 })
	if n, most := old.secretsKept(), kept+poolSize; n > most {
		t.Errorf("%d KeyPackage secrets, want %d at most", n, most)
	}
	if n := uploads.Load() - before; n != 1 {
		t.Errorf("%d uploads, want that of the classic suite", n)
	}
	card := need[ContactCard](t)(old.Card(old.ctx()))
	if _, err := alice.AddCard(alice.ctx(), card); err != nil {
		t.Errorf("its card: %v", err)
	}
}

// TestContactLearnsASuite: a group is begun with what its members state now, not with what they
// stated when they were first looked up; a directory that does not answer prevents no group.
func TestContactLearnsASuite(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	var silent atomic.Bool
	s.wrap = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == keyserver.EndpointLookup.Path && silent.Load() {
				http.Error(w, "not today", http.StatusServiceUnavailable)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	s.start()
	alice, old, other := s.register("alice"), s.registerClassic("old"), s.registerClassic("other")
	peer, second := need[keyserver.AccountID](t)(alice.Find(alice.ctx(), "old")), need[keyserver.AccountID](t)(alice.Find(alice.ctx(), "other"))
	alice.until("the relay", func() bool { _, ok, err := alice.Connected(alice.ctx()); return ok && err == nil })
	for _, u := range []*user{old, other} {
		u.reopen()
		u.until("its pool to be full", func() bool { return u.stock(bestSuite) == poolSize })
	}
	if got := alice.suite(need[ConversationID](t)(alice.StartDirect(alice.ctx(), peer))); got != bestSuite {
		t.Errorf("the conversation has %v", got)
	}
	old.awaitKind(EventJoined, 1)
	silent.Store(true)
	classic := need[ConversationID](t)(alice.CreateGroup(alice.ctx(), "group", second))
	silent.Store(false)
	if got := alice.suite(classic); got != classicSuite {
		t.Errorf("without an answer the group has %v", got)
	}
	other.awaitKind(EventJoined, 1) // and alice has looked it up for that
	alice.must(alice.eng.call(alice.ctx(), func() error {
		return alice.eng.db.View(alice.ctx(), func(tx *state.Tx) error {
			got, err := alice.eng.suiteFor(tx, []keyserver.AccountID{second})
			if got != bestSuite {
				t.Errorf("what was looked up is not learnt: %v", got)
			}
			return err
		})
	}))
}

// discard is where an answer gets lost.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
