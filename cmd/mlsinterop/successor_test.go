package main

import (
	"bytes"
	"slices"
	"testing"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
	"github.com/sealpost/sealpost/mls"
)

// reinitStep is a group's end and the beginning of the one that follows.
type reinitStep struct {
	proposer, committer, welcomer string
	proposal                      *mlsclient.ProposalDescription
	message                       []byte // a proposal from outside, if there is no proposer
	forcePath, externalTree       bool
}

func (s *script) reinit(p reinitStep) {
	s.Helper()
	if p.proposer != "" {
		a := s.actor(p.proposer)
		p.message = ok(a.ReInitProposal(s.Context(), &mlsclient.ReInitProposalRequest{
			StateId: a.state, CipherSuite: p.proposal.GetCipherSuite(), GroupId: p.proposal.GetGroupId(), Extensions: p.proposal.GetExtensions(),
		}))(s).GetProposal()
	}
	refs := [][]byte{p.message}
	committer, welcomer := s.actor(p.committer), s.actor(p.welcomer)
	commit := ok(committer.ReInitCommit(s.Context(), &mlsclient.CommitRequest{StateId: committer.state, ByReference: refs}))(s).GetCommit()
	closed := map[string]*mlsclient.HandleReInitCommitResponse{
		p.committer: ok(committer.HandlePendingReInitCommit(s.Context(), &mlsclient.HandlePendingCommitRequest{StateId: committer.state}))(s),
	}
	var keyPackages [][]byte
	for _, name := range s.in {
		if a := s.actor(name); name != p.committer {
			closed[name] = ok(a.HandleReInitCommit(s.Context(), &mlsclient.HandleCommitRequest{StateId: a.state, Proposal: refs, Commit: commit}))(s)
		}
		if !bytes.Equal(closed[name].GetEpochAuthenticator(), closed[p.committer].GetEpochAuthenticator()) {
			s.Fatalf("%s ends in another epoch than %s", name, p.committer)
		}
		if name != p.welcomer {
			keyPackages = append(keyPackages, closed[name].GetKeyPackage())
		}
	}
	resp := ok(welcomer.ReInitWelcome(s.Context(), &mlsclient.ReInitWelcomeRequest{
		ReinitId: closed[p.welcomer].GetReinitId(), KeyPackage: keyPackages, ForcePath: p.forcePath, ExternalTree: p.externalTree,
	}))(s)
	welcomer.state = resp.GetStateId()
	for _, name := range s.in {
		if a := s.actor(name); name != p.welcomer {
			a.state = ok(a.HandleReInitWelcome(s.Context(), &mlsclient.HandleReInitWelcomeRequest{
				ReinitId: closed[name].GetReinitId(), Welcome: resp.GetWelcome(), RatchetTree: resp.GetRatchetTree(),
			}))(s).GetStateId()
		}
	}
	s.agree()
}

// nextSuite is another suite that is cheap to use.
func nextSuite(s mls.Suite) mls.Suite {
	if s == mls.DefaultSuite {
		return mls.SuiteP256AES128P256
	}
	return mls.DefaultSuite
}

func reInit(suite mls.Suite, groupID string, extensions ...*mlsclient.Extension) *mlsclient.ProposalDescription {
	return &mlsclient.ProposalDescription{
		ProposalType: []byte("reinit"), CipherSuite: uint32(suite), GroupId: []byte(groupID), Extensions: extensions,
	}
}

func TestReInit(t *testing.T) {
	eachWay(t, func(s *script) {
		s.create("alice", "bob", "charlie")
		// Other members propose, commit and welcome; the suite changes.
		s.suite = nextSuite(s.suite)
		s.reinit(reinitStep{proposer: "alice", committer: "bob", welcomer: "charlie", proposal: reInit(s.suite, "second")})
		s.say("alice", "in the second group")
		// One member does it all; an extension comes, the path and the tree travel.
		s.reinit(reinitStep{
			proposer: "bob", committer: "bob", welcomer: "bob", forcePath: true, externalTree: true,
			proposal: reInit(s.suite, "third", &mlsclient.Extension{ExtensionType: 3, ExtensionData: []byte{0, 0, 0}}),
		})
		s.commit(step{by: "charlie", values: []*mlsclient.ProposalDescription{add(s.keyPackage("diana"))}, joiners: []string{"diana"}})
		s.say("diana", "hello")
	})
}

func TestBranch(t *testing.T) {
	eachWay(t, func(s *script) {
		s.create("alice", "bob", "charlie")
		for _, way := range []*mlsclient.CreateBranchRequest{
			{GroupId: []byte("plain")},
			{GroupId: []byte("with a path"), ForcePath: true},
			{GroupId: []byte("with a tree"), ExternalTree: true, Extensions: []*mlsclient.Extension{{ExtensionType: 3, ExtensionData: []byte{0, 0, 0}}}},
		} {
			alice, old, stay := s.actor("alice"), map[string]uint32{}, slices.Clone(s.in)
			way.StateId = alice.state
			for _, name := range []string{"charlie", "bob"} {
				way.KeyPackages = append(way.KeyPackages, s.keyPackage(name))
			}
			resp := ok(alice.CreateBranch(s.Context(), way))(s)
			old["alice"], alice.state = alice.state, resp.GetStateId()
			for _, name := range []string{"bob", "charlie"} {
				a := s.actor(name)
				old[name] = a.state
				a.state = ok(a.HandleBranch(s.Context(), &mlsclient.HandleBranchRequest{
					StateId: a.state, TransactionId: a.transaction, Welcome: resp.GetWelcome(), RatchetTree: resp.GetRatchetTree(),
				}))(s).GetStateId()
			}
			s.agree()
			s.commit(step{by: "bob", values: []*mlsclient.ProposalDescription{remove("alice")}, removed: []string{"alice"}})
			s.say("bob", "in the branch")
			s.in = stay // the group goes on beside it
			for name, state := range old {
				s.actor(name).state = state
			}
			s.commit(step{by: "charlie"})
		}
	})
}
