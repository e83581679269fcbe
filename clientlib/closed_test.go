package clientlib

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

// keptGroup is a group that Mallory has founded, in which all have spoken.
func keptGroup(t *testing.T, names ...string) (all []*user, mal *user, id ConversationID) {
	s := startServers(t)
	s.votes = 2 * time.Second
	mal = s.register("mallory")
	for _, name := range names {
		all = append(all, s.register(name))
	}
	group8(&id, append([]*user{mal}, all...)...)
	for i, u := range all {
		u.quiet()
		u.say(id, fmt.Sprint("before, ", i))
	}
	for i, u := range all {
		u.hears(all, "before", i)
		u.quiet()
	}
	mal.quiet()
	return all, mal, id
}

// closes has a user close the queue of a conversation, by its own key unless another is given.
func (u *user) closes(id ConversationID, by ...ed25519.PrivateKey) {
	u.t.Helper()
	queue, _ := u.place(id)
	key := append(by, u.eng.id.Secret.adminKey(queue))[0]
	_, err := u.insider().Delete(queue, newIdempotencyID(), key).Wait(u.ctx())
	u.must(err)
}

// accused counts the events that say that an account has closed a conversation.
func (u *user) accused(of keyserver.AccountID) (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, ev := range u.events {
		if ev.Kind == EventClosed && ev.Account == of {
			n++
		}
	}
	return n
}

// TestQ12_AdminClosesTheQueue: the founder closes the group's queue with all of them in it. They go
// on without him, with their history and what they had yet to say, and the new queue is none of his.
func TestQ12_AdminClosesTheQueue(t *testing.T) {
	t.Parallel()
	for others := 2; others <= 4; others++ {
		t.Run(fmt.Sprint(others), func(t *testing.T) {
			all, mal, id := keptGroup(t, []string{"alice", "bob", "carol", "dave"}[:others]...)
			mal.closes(id)
			for i, u := range all {
				u.say(id, fmt.Sprint("shut, ", i))
			}
			inSuccessor(id, all)
			for i, u := range all {
				u.hears(all, "shut", i)
				if n := u.accused(mal.id); n != 1 || u.shown(EventClosed) != 1 {
					t.Errorf("%s is told %d times that mallory has closed it", u.name, n)
				}
				if n := u.shown(EventCannotFollow) + u.shown(EventFailed) + u.shown(EventRemoved); n != 0 {
					t.Errorf("%s is told: %s", u.name, describe(u.events))
				}
			}
			mal.awaitKind(EventRemoved, 1)
			if n := mal.shown(EventSucceeded); n != 0 {
				t.Error("mallory has come along")
			}
			queue, _ := all[0].place(id)
			_, err := mal.insider().Delete(queue, newIdempotencyID(), mal.eng.id.Secret.adminKey(queue)).Wait(mal.ctx())
			if !errors.Is(err, relay.ErrUnknown) {
				t.Errorf("mallory closes the next queue: %v", err)
			}
		})
	}
}

// TestQ12_WhoWasAwayComesLater: one of them is not there when the queue is closed and the others go.
// It reads of it, and finds them.
func TestQ12_WhoWasAwayComesLater(t *testing.T) {
	t.Parallel()
	all, mal, id := keptGroup(t, "alice", "bob", "carol")
	carol := all[2]
	carol.close()
	mal.closes(id)
	for _, u := range all[:2] {
		u.awaitKind(EventClosed, 1)
	}
	carol.open()
	inSuccessor(id, all)
}

// TestQ12_ClosedByAKeyOfNobody: the founder gives the queue to a key that nobody knows, and has that
// close it. Nobody is accused, so nobody is left out; but where they go on the queue is another's.
func TestQ12_ClosedByAKeyOfNobody(t *testing.T) {
	t.Parallel()
	all, mal, id := keptGroup(t, "alice", "bob")
	queue, _ := mal.place(id)
	front := newSecret().signer()
	_, err := mal.insider().Configure(queue, newIdempotencyID(), mal.eng.id.Secret.adminKey(queue), relay.SetAdmins{Keys: []relay.PublicKey{publicKey(front)}}).Wait(mal.ctx())
	mal.must(err)
	mal.closes(id, front)
	everybody := append(slices.Clone(all), mal)
	inSuccessor(id, everybody)
	for _, u := range everybody {
		if n := u.accused(keyserver.AccountID{}); n != 1 || u.shown(EventClosed) != 1 {
			t.Errorf("%s accuses somebody: %s", u.name, describe(u.events))
		}
	}
	alice := all[0]
	alice.must(alice.db.View(alice.ctx(), func(tx *state.Tx) error {
		return each(tx, bucketRoster, func(_ []byte, r *roster) error {
			if r.votes(mal.eng.device()) || !slices.Contains(r.others(), mal.id) || r.majority() != 2 {
				t.Error("mallory has a vote, or does not come along")
			}
			return nil
		})
	}))
	alice.must(alice.eng.call(alice.ctx(), func() error {
		if k := alice.eng.primary(id).policy.Keeper; k.Device == mal.eng.device() {
			t.Error("mallory has the admin key of the next queue, too")
		}
		return nil
	}))
}

// TestQ12_KilledAtEveryStep: one of two whose queue was closed, without whom there is no majority, is
// killed at every frame on the way to the successor.
func TestQ12_KilledAtEveryStep(t *testing.T) {
	t.Parallel()
	all, mal, id := keptGroup(t, "alice", "bob")
	mal.closes(id)
	for i, u := range all {
		u.awaitKind(EventClosed, 1)
		u.say(id, fmt.Sprint("shut, ", i))
	}
	deaths := all[0].diesUntil(func(events []Event) bool {
		return slices.ContainsFunc(events, func(ev Event) bool { return ev.Kind == EventSucceeded })
	})
	if deaths < 5 {
		t.Errorf("killed %d times: the test shows nothing", deaths)
	}
	inSuccessor(id, all)
	for i, u := range all {
		u.hears(all, "shut", i)
	}
}

// TestClosedConversationOfTwo: whoever closes it ends it for both, and either can begin another.
func TestClosedConversationOfTwo(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	peer := need[keyserver.AccountID](t)(alice.Find(alice.ctx(), "bob"))
	id := need[ConversationID](t)(alice.StartDirect(alice.ctx(), peer))
	alice.say(id, "before")
	bob.awaitText("before")
	bob.quiet()
	alice.closes(id)
	for _, u := range []*user{alice, bob} {
		u.awaitKind(EventClosed, 1)
		u.awaitKind(EventRemoved, 1)
	}
	if again := need[ConversationID](t)(alice.StartDirect(alice.ctx(), peer)); again != id {
		t.Error("a new conversation with bob has another name")
	}
	alice.say(id, "after")
	bob.awaitText("after")
	if got := bob.texts(directID(alice.id)); !slices.Equal(got, []string{"before", "after"}) {
		t.Errorf("bob has %q", got)
	}
}

// TestKeeper: by what a device says that it answers for a queue.
func TestKeeper(t *testing.T) {
	t.Parallel()
	device, queue, admin := newSecret().signer(), relay.QueueID{1}, relay.PublicKey{2}
	if k := newKeeper(queue, device, admin); !k.verify(queue) || k.verify(relay.QueueID{3}) {
		t.Error("it holds for another queue, or not for its own")
	}
	k := newKeeper(queue, device, admin)
	k.Admin[0] ^= 1
	if k.verify(queue) || (*keeper)(nil).verify(queue) || new(keeper).verify(queue) {
		t.Error("it holds for another key, or without a signature")
	}
}
