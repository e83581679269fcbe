package clientlib

import (
	"bytes"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
)

// empty registers an account that has uploaded no KeyPackage and never will.
func (u *user) empty(handle string) keyserver.AccountID {
	u.t.Helper()
	recovery, device := newSecret().signer(), newSecret().signer()
	root := need[[]byte](u.t)(keyserver.NewAccount(recovery, device, suites...))
	_, err := u.eng.keys.Register(u.ctx(), device, handle, root)
	u.must(err)
	return need[keyserver.AccountID](u.t)(u.Find(u.ctx(), handle))
}

// TestB07_NobodyWaitsForKeyPackages: an account without KeyPackages is waited for by nobody
// else: not by who is added with it or after it, nor by a renewal, nor by a message that needs
// one because an insider took the writer key, nor by a removal.
func TestB07_NobodyWaitsForKeyPackages(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol, dave := s.register("alice"), s.register("bob"), s.register("carol"), s.register("dave")
	var id ConversationID
	group8(&id, alice, bob)
	bob.quiet()
	for _, u := range []*user{carol, dave} {
		need[keyserver.AccountID](t)(alice.Find(alice.ctx(), u.name))
	}
	empty := alice.empty("empty")
	alice.must(alice.AddMembers(alice.ctx(), id, empty))
	alice.must(alice.AddMembers(alice.ctx(), id, empty, carol.id, alice.empty("empty2")))
	carol.awaitKind(EventJoined, 1)
	carol.quiet()
	alice.must(alice.AddMembers(alice.ctx(), id, dave.id))
	dave.awaitKind(EventJoined, 1)
	dave.quiet()
	renewed, _ := alice.epoch(id)
	alice.must(alice.RenewKeys(alice.ctx(), id))
	alice.until("the renewal", func() bool { now, _ := alice.epoch(id); return now > renewed })
	carol.until("the renewal", func() bool { now, _ := carol.epoch(id); return now > renewed })
	_, err := carol.insider().Commit(carol.dud(id, publicKey(newSecret().signer()))).Wait(carol.ctx())
	carol.must(err)
	alice.say(id, "with another key")
	dave.awaitText("with another key")
	alice.must(alice.RemoveMember(alice.ctx(), id, bob.id))
	bob.awaitKind(EventRemoved, 1)
	if _, changes, err := alice.Pending(alice.ctx()); err != nil || changes == 0 {
		t.Errorf("%d changes wait for KeyPackages, want those of the empty accounts: %v", changes, err)
	}
}

// TestB07_NoRemovalWaitsForTheDirectory: a directory that is asked for KeyPackages and does not
// answer holds up who is to be added, and not who is to be removed.
func TestB07_NoRemovalWaitsForTheDirectory(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	var silent atomic.Bool
	asked, answer := make(chan struct{}, 64), make(chan struct{})
	s.wrap = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == keyserver.EndpointTake.Path && silent.Load() {
				asked <- struct{}{}
				select {
				case <-answer:
				case <-r.Context().Done():
				}
			}
			h.ServeHTTP(w, r)
		})
	}
	s.start()
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob)
	peer := need[keyserver.AccountID](t)(alice.Find(alice.ctx(), "carol"))
	silent.Store(true)
	alice.must(alice.AddMembers(alice.ctx(), id, peer))
	<-asked
	alice.must(alice.RemoveMember(alice.ctx(), id, bob.id))
	bob.awaitKind(EventRemoved, 1)
	silent.Store(false)
	close(answer)
	carol.awaitKind(EventJoined, 1)
}

// TestUploadsRefused: a directory that takes no KeyPackages is offered the same ones again.
// Making new ones each time would fill the store with secrets.
func TestUploadsRefused(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	var open atomic.Bool
	var refused atomic.Int32
	s.wrap = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == keyserver.EndpointUpload.Path && !open.Load() {
				refused.Add(1)
				http.Error(w, "not today", http.StatusServiceUnavailable)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	s.start()
	alice := s.newUser("alice")
	keepUp := func() error { return alice.eng.createIdentity("alice") }
	alice.until("five uploads", func() bool {
		alice.must(alice.eng.call(alice.ctx(), keepUp)) // what an hour or a reconnection brings
		return refused.Load() >= 5
	})
	if n := alice.secretsKept(); n != poolSize+1+poolRest+1 {
		t.Errorf("%d KeyPackage secrets after %d refused uploads, want %d", n, refused.Load(), poolSize+1+poolRest+1)
	}
	open.Store(true)
	alice.must(alice.Register(alice.ctx(), "alice"))
	alice.know()
	classic := need[*keyserver.StockReply](t)(alice.eng.keys.Stock(alice.ctx(), alice.eng.id.Device.signer(), alice.id, classicSuite))
	if classic.OneTime != poolRest || !classic.LastResort {
		t.Errorf("of the classic suite the directory has %d KeyPackages and a last resort %v", classic.OneTime, classic.LastResort)
	}
	stock := need[*keyserver.StockReply](t)(alice.eng.keys.Stock(alice.ctx(), alice.eng.id.Device.signer(), alice.id, bestSuite))
	if n := alice.secretsKept(); n != poolSize+1+poolRest+1 || stock.OneTime != poolSize || !stock.LastResort {
		t.Errorf("the directory has %d KeyPackages and a last resort %v, the store %d secrets", stock.OneTime, stock.LastResort, n)
	}
}

// TestC03_RatchetsBehindACommit: messages that come in one delivery with the commit before
// them use up keys as well, and a crash must not bring those back.
func TestC03_RatchetsBehindACommit(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	bob.quiet()
	bob.close()
	alice.must(alice.RenewKeys(alice.ctx(), id))
	alice.quiet()
	alice.say(id, "behind the commit")
	alice.quiet()
	bob.open()
	bob.awaitText("behind the commit")
	bob.must(bob.eng.call(bob.ctx(), func() error {
		g := bob.eng.primary(id)
		if ahead := g.mls.Save(); len(ahead) > 0 {
			t.Errorf("the memory is ahead of the disk by %d records", len(ahead))
		}
		return bob.db.View(bob.ctx(), func(tx *state.Tx) error {
			records, err := storedMLS(tx, g.id)
			if err != nil {
				return err
			}
			disk, err := mls.LoadGroup(records, application)
			if err == nil && !bytes.Equal(disk.EpochAuthenticator(), g.mls.EpochAuthenticator()) {
				t.Error("the memory is in another epoch than the disk")
			}
			return err
		})
	}))
}
