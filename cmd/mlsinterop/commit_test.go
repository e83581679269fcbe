package main

import (
	"testing"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
)

func (s *script) proposeAdd(from string, keyPackage []byte) []byte {
	s.Helper()
	a := s.actor(from)
	return ok(a.AddProposal(s.Context(), &mlsclient.AddProposalRequest{StateId: a.state, KeyPackage: keyPackage}))(s).GetProposal()
}

func (s *script) proposeUpdate(from string) []byte {
	s.Helper()
	a := s.actor(from)
	return ok(a.UpdateProposal(s.Context(), &mlsclient.UpdateProposalRequest{StateId: a.state}))(s).GetProposal()
}

func (s *script) proposeRemove(from, removed string) []byte {
	s.Helper()
	a := s.actor(from)
	return ok(a.RemoveProposal(s.Context(), &mlsclient.RemoveProposalRequest{StateId: a.state, RemovedId: []byte(removed)}))(s).GetProposal()
}

func remove(name string) *mlsclient.ProposalDescription {
	return &mlsclient.ProposalDescription{ProposalType: []byte("remove"), RemovedId: []byte(name)}
}

func TestWelcomeJoin(t *testing.T) {
	eachWay(t, func(s *script) {
		s.create("alice")
		s.commit(step{by: "alice", values: []*mlsclient.ProposalDescription{add(s.keyPackage("bob"))}, joiners: []string{"bob"}})
		charlie := s.proposeAdd("bob", s.keyPackage("charlie"))
		s.commit(step{by: "alice", refs: [][]byte{charlie}, joiners: []string{"charlie"}, externalTree: true})
		diana := s.proposeAdd("alice", s.keyPackage("diana"))
		s.commit(step{by: "alice", refs: [][]byte{diana}, joiners: []string{"diana"}, forcePath: true})
		s.say("diana", "hello")
	})
}

func TestCommit(t *testing.T) {
	eachWay(t, func(s *script) {
		s.create("alice", "bob", "charlie", "diana")
		s.commit(step{by: "bob"})
		// By reference and by value at once, from several members.
		s.commit(step{
			by:      "alice",
			refs:    [][]byte{s.proposeUpdate("bob"), s.proposeRemove("charlie", "diana"), s.proposeAdd("alice", s.keyPackage("eliza"))},
			values:  []*mlsclient.ProposalDescription{add(s.keyPackage("frank"))},
			removed: []string{"diana"}, joiners: []string{"eliza", "frank"},
		})
		s.say("eliza", "hello")
		s.commit(step{by: "frank", values: []*mlsclient.ProposalDescription{remove("alice")}, removed: []string{"alice"}})
		s.say("bob", "goodbye")
	})
}

func TestGroupContextExtensions(t *testing.T) {
	eachWay(t, func(s *script) {
		s.create("alice", "bob")
		// Both empty lists: nothing is required, and nobody else may propose.
		list := []*mlsclient.Extension{{ExtensionType: 3, ExtensionData: []byte{0, 0, 0}}, {ExtensionType: 5, ExtensionData: []byte{0}}}
		bob := s.actor("bob")
		proposal := ok(bob.GroupContextExtensionsProposal(s.Context(), &mlsclient.GroupContextExtensionsProposalRequest{
			StateId: bob.state, Extensions: list,
		}))(s).GetProposal()
		s.commit(step{by: "alice", refs: [][]byte{proposal}})
		s.commit(step{by: "bob", values: []*mlsclient.ProposalDescription{{ProposalType: []byte("groupContextExtensions")}}})
	})
}

func TestApplication(t *testing.T) {
	eachWay(t, func(s *script) {
		s.create("alice", "bob", "charlie")
		alice, bob := s.actor("alice"), s.actor("bob")
		var late [][]byte
		for _, text := range []string{"first", "second", "third"} {
			late = append(late, ok(alice.Protect(s.Context(), &mlsclient.ProtectRequest{StateId: alice.state, Plaintext: []byte(text)}))(s).GetCiphertext())
		}
		for i := range late { // the last first
			got := ok(bob.Unprotect(s.Context(), &mlsclient.UnprotectRequest{StateId: bob.state, Ciphertext: late[len(late)-1-i]}))(s)
			if want := []string{"third", "second", "first"}[i]; string(got.GetPlaintext()) != want {
				s.Fatalf("read %q, want %q", got.GetPlaintext(), want)
			}
		}
		// And one that comes when its epoch is over.
		late = late[:0]
		for _, text := range []string{"in time", "late"} {
			late = append(late, ok(alice.Protect(s.Context(), &mlsclient.ProtectRequest{StateId: alice.state, Plaintext: []byte(text)}))(s).GetCiphertext())
		}
		s.commit(step{by: "bob"})
		for i := range late {
			got := ok(bob.Unprotect(s.Context(), &mlsclient.UnprotectRequest{StateId: bob.state, Ciphertext: late[1-i]}))(s)
			if want := []string{"late", "in time"}[i]; string(got.GetPlaintext()) != want {
				s.Fatalf("read %q, want %q", got.GetPlaintext(), want)
			}
		}
		for _, name := range s.in {
			s.say(name, "from "+name)
		}
	})
}
