package clientlib

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
)

// secretsKept is for how many KeyPackages the store has the secrets.
func (u *user) secretsKept() (n int) {
	u.t.Helper()
	u.must(u.db.View(u.ctx(), func(tx *state.Tx) error {
		for _, err := range tx.Scan(bucketPackage, nil) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	}))
	return n
}

// TestUploadsRefusedForGood: the secrets of KeyPackages that the directory will never take go with
// them, however often it refuses. When it takes some again, those can be used.
func TestUploadsRefusedForGood(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	var open atomic.Bool
	var refused atomic.Int32
	s.wrap = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == keyserver.EndpointUpload.Path && !open.Load() {
				refused.Add(1)
				body, err := io.ReadAll(r.Body)
				if err != nil || len(body) == 0 {
					t.Error("a request without a body")
					return
				}
				body[len(body)-1] ^= 1 // its signature
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
			h.ServeHTTP(w, r)
		})
	}
	s.start()
	alice := s.newUser("alice")
	alice.until("five uploads", func() bool {
		alice.must(alice.eng.call(alice.ctx(), func() error { return alice.eng.createIdentity("alice") })) // what an hour brings
		return refused.Load() >= 5
	})
	if n, most := alice.secretsKept(), poolSize+1+poolRest+1; n > most {
		t.Errorf("%d KeyPackage secrets after %d refused uploads, want %d at most", n, refused.Load(), most)
	}
	open.Store(true)
	alice.must(alice.Register(alice.ctx(), "alice"))
	alice.know()
	if n, want := alice.secretsKept(), poolSize+1+poolRest+1; n != want {
		t.Errorf("%d KeyPackage secrets after the uploads, want %d", n, want)
	}
	bob := s.register("bob")
	var id ConversationID
	group8(&id, bob, alice)
}

// TestRegisterWhileARefusalIsOnItsWay: what is asked for while a round fails for good is tried once
// more at once, and not when an hour has passed.
func TestRegisterWhileARefusalIsOnItsWay(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	var first sync.Once
	s.wrap = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == keyserver.EndpointUpload.Path {
				first.Do(func() {
					close(arrived)
					<-release
					body, _ := io.ReadAll(r.Body)
					body[len(body)-1] ^= 1 // its signature
					r.Body = io.NopCloser(bytes.NewReader(body))
				})
			}
			h.ServeHTTP(w, r)
		})
	}
	s.start()
	alice := s.newUser("alice")
	register := func() {
		alice.must(alice.eng.call(alice.ctx(), func() error { return alice.eng.createIdentity("alice") }))
	}
	register()
	<-arrived
	register()
	close(release)
	alice.until("the packages at the directory", func() (there bool) {
		alice.must(alice.eng.call(alice.ctx(), func() error { there = alice.eng.id.PoolUpdated != 0; return nil }))
		return there
	})
}

// TestAnotherIncarnationEachTime: a directory that says at each look that it is another one, and
// refuses what comes or does not answer, does not fill the store either.
func TestAnotherIncarnationEachTime(t *testing.T) {
	t.Parallel()
	for name, silent := range map[string]bool{"refused": false, "no answer": true} {
		t.Run(name, func(t *testing.T) {
			s := startServers(t)
			alice := s.register("alice")
			before := alice.secretsKept()
			if silent {
				s.stop()
			}
			for n := range byte(5) {
				alice.must(alice.eng.call(alice.ctx(), func() error {
					alice.eng.upkeep.busy = true
					alice.eng.uploadPackages(&keyserver.StockReply{Incarnation: [16]byte{n}}, alice.eng.suites[:1])
					return nil
				}))
				alice.until("the end of the upload", func() (ended bool) {
					alice.must(alice.eng.call(alice.ctx(), func() error { ended = !alice.eng.upkeep.busy; return nil }))
					return ended
				})
			}
			if after := alice.secretsKept(); after > before+poolSize {
				t.Errorf("%d KeyPackage secrets, want %d at most", after, before+poolSize)
			}
		})
	}
}

// TestExpiredSecretsGo: the secrets of KeyPackages that have expired are deleted though the
// directory never answers.
func TestExpiredSecretsGo(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice := s.register("alice")
	before := alice.secretsKept()
	alice.must(alice.eng.call(alice.ctx(), func() error {
		return alice.eng.update(func(tx *state.Tx) error {
			_, err := alice.eng.newPackage(tx, bestSuite, time.Now().Add(-packageLife-25*time.Hour))
			return err
		})
	}))
	alice.close()
	s.stop()
	alice.open()
	alice.until("the expired one to go", func() bool { return alice.secretsKept() == before })
}
