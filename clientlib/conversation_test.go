package clientlib

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/keyserver"
)

func TestTwoTalk(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	peer, err := alice.Find(alice.ctx(), "bob")
	alice.must(err)
	id, err := alice.StartDirect(alice.ctx(), peer)
	alice.must(err)
	first := alice.say(id, "hello bob")
	bob.awaitText("hello bob")
	alice.awaitKind(EventSent, 1)

	back := directID(alice.id)
	bob.say(back, "hello alice")
	_, err = bob.Send(bob.ctx(), back, content.Reply(first, "an answer"))
	bob.must(err)
	_, err = bob.Send(bob.ctx(), back, content.Reaction(first, "❤"))
	bob.must(err)
	alice.awaitText("hello alice", "an answer")
	alice.awaitKind(EventMessage, 3)
	if got := alice.texts(id); len(got) != 4 || got[0] != "hello bob" || got[1] != "hello alice" {
		t.Errorf("history of alice: %q", got)
	}
	found, err := bob.Search(bob.ctx(), "ello", 10)
	bob.must(err)
	if len(found) != 2 || found[0].Text != "hello alice" {
		t.Errorf("search finds %d messages, newest %q", len(found), found[0].Text)
	}
	if id2, err := alice.StartDirect(alice.ctx(), peer); err != nil || id2 != id {
		t.Errorf("starting again: %v %v, want the same conversation", id2, err)
	}
}

// TestQueuedBeforeTheFirstConnection: an account, a conversation by contact card and a
// message, all made before there is any server, survive the program's end.
func TestQueuedBeforeTheFirstConnection(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	alice, bob := s.newUser("alice"), s.newUser("bob")
	for _, u := range []*user{alice, bob} {
		u.must(u.eng.call(u.ctx(), func() error { return u.eng.createIdentity(u.name) }))
		u.know()
	}
	card, err := bob.Card(bob.ctx())
	bob.must(err)
	card, err = ParseContactCard(card.String())
	alice.must(err)
	peer, err := alice.AddCard(alice.ctx(), card)
	alice.must(err)
	id, err := alice.StartDirect(alice.ctx(), peer)
	alice.must(err)
	for n := range 3 {
		alice.say(id, fmt.Sprintf("early %d", n))
	}
	alice.close()
	bob.close()

	s.start()
	bob.open()
	alice.open()
	bob.awaitText("early 0", "early 1", "early 2")
	if got := bob.texts(directID(alice.id)); !slices.Equal(got, []string{"early 0", "early 1", "early 2"}) {
		t.Errorf("bob has %q", got)
	}
	alice.awaitKind(EventSent, 3)
}

// TestBothStartAtOnce: two people who start with each other at the same time end in one
// conversation with everything in it.
func TestBothStartAtOnce(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	begun := make(chan struct{}) // until then nobody gets the other's KeyPackage
	s.wrap = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == keyserver.EndpointTake.Path {
				select {
				case <-begun:
				case <-r.Context().Done():
				}
			}
			h.ServeHTTP(w, r)
		})
	}
	s.start()
	alice, bob := s.register("alice"), s.register("bob")
	ids := [2]ConversationID{}
	for i, u := range []*user{alice, bob} {
		peer, err := u.Find(u.ctx(), []string{"bob", "alice"}[i])
		u.must(err)
		ids[i], err = u.StartDirect(u.ctx(), peer)
		u.must(err)
		u.say(ids[i], u.name+" first")
	}
	close(begun)
	alice.awaitText("bob first")
	bob.awaitText("alice first")
	alice.awaitKind(EventJoined, 1)
	bob.awaitKind(EventJoined, 1)
	var groups [2]groupID
	for i, u := range []*user{alice, bob} {
		u.say(ids[i], u.name+" again")
		u.must(u.eng.call(u.ctx(), func() error {
			groups[i] = u.eng.primary(ids[i]).id
			return nil
		}))
	}
	alice.awaitText("bob again")
	bob.awaitText("alice again")
	if groups[0] != groups[1] {
		t.Error("the two write to different groups")
	}
	for i, u := range []*user{alice, bob} {
		want := []string{"alice again", "alice first", "bob again", "bob first"}
		if got := sorted(u.texts(ids[i])); !slices.Equal(got, want) {
			t.Errorf("%s has %q", u.name, got)
		}
		all, err := u.Conversations(u.ctx())
		u.must(err)
		if len(all) != 1 {
			t.Errorf("%s has %d conversations", u.name, len(all))
		}
	}
}

// TestA02_EightCommitAtOnce: eight members commit at the same moment, three times, over
// real sockets; every change comes true and all agree.
func TestA02_EightCommitAtOnce(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	var users []*user
	for n := range 8 {
		users = append(users, s.register(fmt.Sprintf("user%d", n)))
	}
	var id ConversationID
	group8(&id, users...)
	start, _ := users[0].epoch(id)
	const rounds = 2
	for range rounds {
		for _, u := range users {
			u.must(u.RenewKeys(u.ctx(), id))
			u.say(id, "from "+u.name)
		}
	}
	for _, u := range users {
		u.quiet()
	}
	for _, u := range users {
		u.await("all messages", func(events []Event) bool { return u.count(events, EventMessage) == rounds*7 })
	}
	for _, u := range users {
		u.until("the last commit", func() bool {
			at, _ := u.epoch(id)
			return at >= start+rounds*8
		})
	}
	epoch, authenticator := users[0].epoch(id)
	if epoch != start+rounds*8 {
		t.Errorf("epoch is %d, want %d: each change takes exactly one commit", epoch, start+rounds*8)
	}
	want := users[0].texts(id)
	for _, u := range users {
		if e, a := u.epoch(id); e != epoch || a != authenticator {
			t.Errorf("%s is in epoch %d, user0 in %d, or they disagree", u.name, e, epoch)
		}
		if got := u.texts(id); !slices.Equal(got, want) {
			t.Errorf("%s has another history: %q, want %q", u.name, got, want)
		}
	}
}

// TestRemovedMemberReadsNothingMore, and is added again later.
func TestRemovedMemberReadsNothingMore(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	alice.say(id, "for all")
	carol.awaitText("for all")
	bob.awaitText("for all")
	alice.must(alice.RemoveMember(alice.ctx(), id, carol.id))
	carol.awaitKind(EventRemoved, 1)
	alice.quiet()
	alice.say(id, "without carol")
	bob.awaitText("without carol")
	if _, err := carol.Send(carol.ctx(), id, content.Text("let me in")); err == nil {
		t.Error("a removed member can send")
	}
	if _, _, err := carol.EpochAuthenticator(carol.ctx(), id); !errors.Is(err, ErrNotMember) {
		t.Errorf("the epoch of a group that carol is not in: %v", err)
	}
	if _, _, err := carol.EpochAuthenticator(carol.ctx(), ConversationID{}); !errors.Is(err, ErrNoConversation) {
		t.Errorf("the epoch of no conversation: %v", err)
	}
	alice.must(alice.AddMembers(alice.ctx(), id, carol.id))
	carol.awaitKind(EventJoined, 2)
	bob.say(id, "welcome back")
	carol.awaitText("welcome back")
	for _, text := range carol.texts(id) {
		if strings.Contains(text, "without carol") {
			t.Error("carol read what was said without her")
		}
	}
	// Her first reader key is off the queue, the new one is on it.
	carol.say(id, "thanks")
	alice.awaitText("thanks")
}

// TestRestartsLoseNothing: servers and clients stop and start in the middle of it all.
func TestRestartsLoseNothing(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	peer, err := alice.Find(alice.ctx(), "bob")
	alice.must(err)
	id, err := alice.StartDirect(alice.ctx(), peer)
	alice.must(err)
	var want []string
	for n := range 30 {
		text := fmt.Sprintf("message %d", n)
		want = append(want, text)
		alice.say(id, text)
		switch n {
		case 5:
			s.stop()
		case 10:
			alice.close()
			alice.open()
		case 15:
			s.start()
		case 20:
			bob.close()
		case 25:
			bob.open()
		}
	}
	bob.awaitText(want...)
	if got := bob.texts(directID(alice.id)); !slices.Equal(got, want) {
		t.Errorf("bob has %q", got)
	}
	alice.awaitKind(EventSent, len(want))
	for _, u := range []*user{alice, bob} {
		other := map[*user]*user{alice: bob, bob: alice}[u]
		if _, skipped := u.logged(directID(other.id)); skipped != 0 {
			t.Errorf("%s was shown %d entries that it had had before", u.name, skipped)
		}
	}
}
