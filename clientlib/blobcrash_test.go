package clientlib

import (
	"slices"
	"testing"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/relay"
)

// TestC03_EndsAroundALargeCommit: the program ends while a commit waits for its blob to be
// stored, and at the others while messages are held back behind one that cannot be had. Nothing
// of it is lost, nor shown twice, and all come to one epoch.
func TestC03_EndsAroundALargeCommit(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	alice.quiet()
	bob.quiet()
	carol.quiet()
	l := s.liar(bob)
	before, _ := alice.epoch(id)
	alice.large(id, 100<<10, 0, true)
	alice.close()
	l.lies(refusing(relay.CodeUnknown))
	alice.open() // the commit goes out by itself
	alice.until("the next epoch", func() bool { now, _ := alice.epoch(id); return now > before })
	for _, text := range []string{"one", "two", "three"} {
		alice.say(id, text)
	}
	alice.quiet()
	together(id, alice, carol)
	bob.until("the COMMIT", func() bool { return bob.awaiting(id) })
	bob.awaitKind(EventCannotFollow, 1)
	if got := bob.texts(id); len(got) != 0 {
		t.Errorf("bob has %q from behind a commit that he could not read", got)
	}
	l.on.Store(false)
	bob.close()
	bob.open()
	bob.awaitText("one", "two", "three")
	together(id, alice, bob)
	bob.say(id, "four")
	alice.awaitText("four")
	if got := bob.texts(id); !slices.Equal(got, []string{"one", "two", "three", "four"}) {
		t.Errorf("bob has %q", got)
	}
	bob.mu.Lock()
	defer bob.mu.Unlock()
	if n := bob.count(bob.events, EventMessage); n != 3 {
		t.Errorf("bob was shown %d messages of three", n)
	}
}

// TestQ08_BlobThatExpired: the blob of a commit that waited too long is gone from the relay. It is
// stored again, and the commit goes on under the same id.
func TestQ08_BlobThatExpired(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	bob.quiet()
	before, _ := alice.epoch(id)
	pend := alice.large(id, 100<<10, 0, true)
	alice.must(alice.eng.call(alice.ctx(), func() error {
		pend.Stored = true // as it was before it expired
		g := alice.eng.primary(id)
		return alice.eng.update(func(tx *state.Tx) error { return putRecord(tx, bucketPending, g.id[:], pend) })
	}))
	alice.close()
	alice.open()
	alice.until("the next epoch", func() bool { now, _ := alice.epoch(id); return now == before+1 })
	together(id, alice, bob)
	if n := alice.blobCommits(id); n != 1 {
		t.Errorf("the blob was stored %d times", n)
	}
}
