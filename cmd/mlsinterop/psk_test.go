package main

import (
	"testing"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
)

// storePSK gives an external key to members, and to actors that wait to join.
func (s *script) storePSK(id, secret string, names ...string) {
	s.Helper()
	for _, name := range names {
		a := s.actor(name)
		where := a.state
		if where == 0 {
			where = a.transaction
		}
		ok(a.StorePSK(s.Context(), &mlsclient.StorePSKRequest{
			StateOrTransactionId: where, PskId: []byte(id), PskSecret: []byte(secret),
		}))(s)
	}
}

func external(id string) *mlsclient.ProposalDescription {
	return &mlsclient.ProposalDescription{ProposalType: []byte("externalPSK"), PskId: []byte(id)}
}

func resumption(epoch uint64) *mlsclient.ProposalDescription {
	return &mlsclient.ProposalDescription{ProposalType: []byte("resumptionPSK"), EpochId: epoch}
}

func TestPSK(t *testing.T) {
	eachWay(t, func(s *script) {
		s.create("alice", "bob")
		alice, bob := s.actor("alice"), s.actor("bob")
		charlie := s.keyPackage("charlie")
		s.storePSK("one", "first", "alice", "bob", "charlie")
		s.storePSK("two", "second", "alice", "bob", "charlie")
		proposal := ok(bob.ExternalPSKProposal(s.Context(), &mlsclient.ExternalPSKProposalRequest{StateId: bob.state, PskId: []byte("one")}))(s)
		s.commit(step{
			by: "alice", refs: [][]byte{proposal.GetProposal()}, joiners: []string{"charlie"},
			values: []*mlsclient.ProposalDescription{external("two"), add(charlie)},
		})
		s.commit(step{by: "bob", values: []*mlsclient.ProposalDescription{external("two")}})
		// Of epochs that all three were in, one of them the present one.
		proposal = ok(alice.ResumptionPSKProposal(s.Context(), &mlsclient.ResumptionPSKProposalRequest{StateId: alice.state, EpochId: 2}))(s)
		s.commit(step{by: "charlie", refs: [][]byte{proposal.GetProposal()}, values: []*mlsclient.ProposalDescription{resumption(3)}})
		s.say("charlie", "hello")
	})
}

// Who lacks a key says so instead of leaving it out.
func TestPSKThatIsMissing(t *testing.T) {
	eachWay(t, func(s *script) {
		s.create("alice", "bob")
		alice, bob := s.actor("alice"), s.actor("bob")
		s.storePSK("one", "first", "bob")
		proposal := ok(bob.ExternalPSKProposal(s.Context(), &mlsclient.ExternalPSKProposalRequest{StateId: bob.state, PskId: []byte("one")}))(s)
		if _, err := alice.Commit(s.Context(), &mlsclient.CommitRequest{StateId: alice.state, ByReference: [][]byte{proposal.GetProposal()}}); err == nil {
			s.Fatal("a commit goes without the key that it was to name")
		}
		commit := ok(bob.Commit(s.Context(), &mlsclient.CommitRequest{
			StateId: bob.state, ByValue: []*mlsclient.ProposalDescription{external("one")},
		}))(s)
		if _, err := alice.HandleCommit(s.Context(), &mlsclient.HandleCommitRequest{StateId: alice.state, Commit: commit.GetCommit()}); err == nil {
			s.Fatal("a commit is followed without the key that it names")
		}
	})
}
