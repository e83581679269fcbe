package clientlib

import (
	"net/http"
	"testing"

	"github.com/sealpost/sealpost/keyserver"
)

// TestRemovedAndAddedBeforeArriving: a member is removed and added again before it has answered
// its first invitation. The ticket of that one is void, and the second one counts.
func TestRemovedAndAddedBeforeArriving(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	begun := make(chan struct{}) // until then nobody joins
	s.wrap = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == keyserver.EndpointGetChunk.Path {
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
	peer, err := alice.Find(alice.ctx(), "bob")
	alice.must(err)
	id, err := alice.CreateGroup(alice.ctx(), "group", peer)
	alice.must(err)
	alice.awaitKind(EventMemberAdded, 1)
	alice.must(alice.RemoveMember(alice.ctx(), id, bob.id))
	alice.awaitKind(EventMemberRemoved, 1)
	alice.quiet()
	alice.must(alice.AddMembers(alice.ctx(), id, bob.id))
	alice.awaitKind(EventMemberAdded, 2)
	alice.quiet()
	close(begun)
	bob.awaitKind(EventJoined, 2)
	bob.awaitKind(EventGap, 1)
	alice.say(id, "here at last")
	bob.awaitText("here at last")
	bob.say(id, "it took two")
	alice.awaitText("it took two")
	together(id, alice, bob)
}
