package clientlib

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

// quickGrace makes the pauses after a loss short.
const quickGrace = 600 * time.Millisecond

func (s *servers) quick(name string) *user {
	s.t.Helper()
	u := s.newUser(name)
	u.close()
	u.cfg.grace = quickGrace
	u.open()
	u.must(u.Register(u.ctx(), name))
	u.know()
	return u
}

// backup copies the relay's folder while it is down.
func (s *servers) backup() string {
	s.t.Helper()
	s.stop()
	dir := filepath.Join(s.t.TempDir(), "backup")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(s.dir, "relay"))); err != nil {
		s.t.Fatal(err)
	}
	s.start()
	return dir
}

// restore puts a copy in the place of the relay's folder.
func (s *servers) restore(dir string) {
	s.t.Helper()
	s.stop()
	at := filepath.Join(s.dir, "relay")
	if err := os.RemoveAll(at); err != nil {
		s.t.Fatal(err)
	}
	if err := os.CopyFS(at, os.DirFS(dir)); err != nil {
		s.t.Fatal(err)
	}
	s.restored = true
	s.start()
	s.restored = false
}

// inOneEpoch waits until all are in one epoch, and in the same.
func inOneEpoch(id ConversationID, users ...*user) {
	users[0].t.Helper()
	users[0].until("all in one epoch", func() bool {
		_, want := users[0].epoch(id)
		return !slices.ContainsFunc(users, func(u *user) bool { _, got := u.epoch(id); return got != want })
	})
}

// reach has everybody say something that all the others get.
func reach(id ConversationID, round string, users ...*user) {
	for _, u := range users {
		u.say(id, u.name+" "+round)
	}
	for _, u := range users {
		for _, from := range users {
			if from != u {
				u.awaitText(from.name + " " + round)
			}
		}
	}
}

// TestQ06_RelayRestoredFromABackup: the relay goes back to before some commits. Several members
// give them back at once, a member that was away meanwhile follows them, and none is left behind.
func TestQ06_RelayRestoredFromABackup(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	users := []*user{s.quick("alice"), s.quick("bob"), s.quick("carol"), s.quick("dave")}
	alice, bob, carol, dave := users[0], users[1], users[2], users[3]
	var id ConversationID
	group8(&id, users...)
	for _, u := range users {
		u.quiet()
	}
	reach(id, "before", users...)
	for _, u := range users {
		u.quiet()
	}
	backup := s.backup()
	dave.close()
	for n, u := range []*user{alice, bob, carol, alice} {
		u.must(u.RenewKeys(u.ctx(), id))
		u.quiet()
		u.say(id, fmt.Sprint("lost ", n))
		inOneEpoch(id, alice, bob, carol)
	}
	for _, u := range []*user{alice, bob, carol} {
		u.quiet()
	}
	s.restore(backup)
	dave.open()
	inOneEpoch(id, users...)
	reach(id, "after", users...)
	for _, u := range users {
		u.mu.Lock()
		if n := u.count(u.events, EventCannotFollow); n != 0 {
			t.Errorf("%s could not follow: %s", u.name, describe(u.events))
		}
		if n := u.count(u.events, EventGap); n == 0 {
			t.Errorf("%s was not told of the loss", u.name)
		}
		u.mu.Unlock()
	}
}

// TestQ06_JoinersOfALostCommit: those who joined by what the relay lost have no place in the
// queue any more. They get it back with the commit, whoever gives it back.
func TestQ06_JoinersOfALostCommit(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.quick("alice"), s.quick("bob"), s.quick("carol")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	bob.quiet()
	reach(id, "before", alice, bob)
	backup := s.backup()
	peer := need[keyserver.AccountID](t)(alice.Find(alice.ctx(), "carol"))
	alice.must(alice.AddMembers(alice.ctx(), id, peer))
	carol.awaitKind(EventJoined, 1)
	carol.quiet()
	reach(id, "with carol", alice, bob, carol)
	alice.close() // who invited her is away
	s.restore(backup)
	inOneEpoch(id, bob, carol)
	reach(id, "after", bob, carol)
	alice.open()
	inOneEpoch(id, alice, bob, carol)
	reach(id, "at last", alice, bob, carol)
}

// TestQ06_LargeCommitIsLost: the relay loses a commit that stood in a blob, and the blob. Both are
// given back.
func TestQ06_LargeCommitIsLost(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.quick("alice"), s.quick("bob"), s.quick("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	for _, u := range []*user{alice, bob, carol} {
		u.quiet()
	}
	reach(id, "before", alice, bob, carol)
	backup := s.backup()
	carol.close()
	before, _ := alice.epoch(id)
	alice.large(id, 100<<10, 0, true)
	alice.close()
	alice.open() // the commit goes out by itself
	alice.until("the next epoch", func() bool { now, _ := alice.epoch(id); return now == before+1 })
	inOneEpoch(id, alice, bob)
	alice.close()
	s.restore(backup)
	carol.open()
	inOneEpoch(id, bob, carol)
	reach(id, "after", bob, carol)
}

// TestQ06_CommitThatOnlyItsAuthorSaw: nobody but its author saw a commit before the relay lost it.
// If the author is there it counts for all. If the others go on without it, theirs counts, and
// the author knows that it is left behind.
func TestQ06_CommitThatOnlyItsAuthorSaw(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.quick("alice"), s.quick("bob"), s.quick("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	for _, u := range []*user{alice, bob, carol} {
		u.quiet()
	}
	reach(id, "before", alice, bob, carol)
	for _, away := range []bool{false, true} {
		backup := s.backup()
		bob.close()
		carol.close()
		alice.must(alice.RenewKeys(alice.ctx(), id))
		alice.quiet()
		if away {
			alice.close()
		}
		s.restore(backup)
		bob.open()
		carol.open()
		if !away {
			inOneEpoch(id, alice, bob, carol)
			reach(id, "with her commit", alice, bob, carol)
			continue
		}
		bob.must(bob.RenewKeys(bob.ctx(), id))
		bob.quiet()
		inOneEpoch(id, bob, carol)
		alice.open()
		alice.awaitKind(EventCannotFollow, 1)
		alice.awaitKind(EventReplaced, 1)
		inOneEpoch(id, alice, bob, carol)
		reach(id, "without her commit", alice, bob, carol)
	}
}

// TestQ06_QueueIsLost: the relay goes back to before a conversation's queue was made. Its founder
// makes it again, and all come back to it.
func TestQ06_QueueIsLost(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.quick("alice"), s.quick("bob")
	backup := s.backup()
	id := need[ConversationID](t)(alice.StartDirect(alice.ctx(), need[keyserver.AccountID](t)(alice.Find(alice.ctx(), "bob"))))
	bob.awaitKind(EventJoined, 1)
	alice.quiet()
	alice.say(id, "before")
	bob.awaitText("before")
	bob.say(directID(alice.id), "before too")
	alice.awaitText("before too")
	s.restore(backup)
	alice.say(id, "after")
	bob.say(directID(alice.id), "after too")
	alice.awaitText("after too")
	bob.awaitText("after")
	// Both have an admin key again.
	conn := bob.insider()
	var queue relay.QueueID
	bob.must(bob.eng.call(bob.ctx(), func() error { queue = bob.eng.primary(directID(alice.id)).rec.Queue; return nil }))
	bob.until("his admin key", func() bool {
		_, err := conn.Configure(queue, newIdempotencyID(), bob.eng.id.Secret.adminKey(queue), relay.SetRetention{Days: 30}).Wait(bob.ctx())
		return err == nil
	})
}
