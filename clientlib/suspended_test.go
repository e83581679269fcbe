package clientlib

import "testing"

// TestSuspendedConversation: members hear that the operator stopped their queue, once each, and
// another conversation goes on; what they wrote meanwhile arrives when it goes on.
func TestSuspendedConversation(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var stopped, other ConversationID
	group8(&stopped, alice, bob)
	group8(&other, alice, bob)
	reach(stopped, "before", alice, bob)
	queue, _ := alice.place(stopped)
	if _, err := s.rs.Suspend(t.Context(), queue, true); err != nil {
		t.Fatal(err)
	}
	alice.awaitKind(EventSuspended, 1)
	bob.awaitKind(EventSuspended, 1)
	alice.say(stopped, "written meanwhile")
	reach(other, "elsewhere", alice, bob)
	if _, err := s.rs.Suspend(t.Context(), queue, false); err != nil {
		t.Fatal(err)
	}
	alice.reopen() // both would come back within a minute
	bob.reopen()
	bob.awaitText("written meanwhile")
	reach(stopped, "after", alice, bob)
	for _, u := range []*user{alice, bob} {
		u.mu.Lock()
		if n := u.count(u.events, EventSuspended); n != 1 {
			t.Errorf("%s was told %d times", u.name, n)
		}
		u.mu.Unlock()
	}
}
