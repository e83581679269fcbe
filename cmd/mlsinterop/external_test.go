package main

import (
	"bytes"
	"testing"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
)

// join is an external commit.
type join struct {
	name, by                  string
	removePrior, externalTree bool
	psks                      []*mlsclient.PreSharedKey
}

func (s *script) groupInfo(by string, externalTree bool) *mlsclient.GroupInfoResponse {
	s.Helper()
	a := s.actor(by)
	resp := ok(a.GroupInfo(s.Context(), &mlsclient.GroupInfoRequest{StateId: a.state, ExternalTree: externalTree}))(s)
	if externalTree != (len(resp.GetRatchetTree()) > 0) {
		s.Fatalf("external tree %v, and one of %d bytes came", externalTree, len(resp.GetRatchetTree()))
	}
	return resp
}

// externalJoin has somebody come in, whom all members follow.
func (s *script) externalJoin(p join) {
	s.Helper()
	info, a := s.groupInfo(p.by, p.externalTree), s.actor(p.name)
	resp := ok(a.ExternalJoin(s.Context(), &mlsclient.ExternalJoinRequest{
		GroupInfo: info.GetGroupInfo(), RatchetTree: info.GetRatchetTree(), EncryptHandshake: s.private,
		Identity: []byte(p.name), RemovePrior: p.removePrior, Psks: p.psks,
	}))(s)
	s.leave([]string{p.name})
	for _, name := range s.in {
		m := s.actor(name)
		got := ok(m.HandleCommit(s.Context(), &mlsclient.HandleCommitRequest{StateId: m.state, Commit: resp.GetCommit()}))(s)
		if m.state = got.GetStateId(); !bytes.Equal(got.GetEpochAuthenticator(), resp.GetEpochAuthenticator()) {
			s.Fatalf("%s does not agree with %s, who came in", name, p.name)
		}
	}
	a.state = resp.GetStateId()
	s.in = append(s.in, p.name)
	s.agree()
}

func TestExternalJoin(t *testing.T) {
	eachWay(t, func(s *script) {
		s.create("alice", "bob")
		s.storePSK("psk", "secret", "alice", "bob")
		s.externalJoin(join{name: "charlie", by: "alice"})
		s.externalJoin(join{name: "bob", by: "charlie", removePrior: true, externalTree: true})
		s.storePSK("psk", "secret", "bob", "charlie")
		s.externalJoin(join{name: "diana", by: "bob", psks: []*mlsclient.PreSharedKey{{PskId: []byte("psk"), PskSecret: []byte("secret")}}})
		s.commit(step{by: "diana", refs: [][]byte{s.proposeUpdate("bob")}})
		s.say("diana", "hello")
	})
}

// addSigner lets a signer outside propose.
func (s *script) addSigner(name, by string) {
	s.Helper()
	a, m := s.actor(name), s.actor(by)
	resp := ok(a.CreateExternalSigner(s.Context(), &mlsclient.CreateExternalSignerRequest{CipherSuite: uint32(s.suite), Identity: []byte(name)}))(s)
	a.signer = resp.GetSignerId()
	proposal := ok(m.AddExternalSigner(s.Context(), &mlsclient.AddExternalSignerRequest{
		StateId: m.state, ExternalSender: resp.GetExternalSender(),
	}))(s)
	s.commit(step{by: by, refs: [][]byte{proposal.GetProposal()}})
}

func (s *script) proposeFromOutside(name string, d *mlsclient.ProposalDescription) []byte {
	s.Helper()
	info, a := s.groupInfo(s.in[0], true), s.actor(name)
	proposal := ok(a.ExternalSignerProposal(s.Context(), &mlsclient.ExternalSignerProposalRequest{
		SignerId: a.signer, GroupInfo: info.GetGroupInfo(), RatchetTree: info.GetRatchetTree(), Description: d,
	}))(s).GetProposal()
	s.outside[string(proposal)] = true
	return proposal
}

// Somebody asks to be added.
func TestNewMemberAddProposal(t *testing.T) {
	eachWay(t, func(s *script) {
		s.create("alice", "bob")
		charlie := s.actor("charlie")
		asked := ok(charlie.NewMemberAddProposal(s.Context(), &mlsclient.NewMemberAddProposalRequest{
			GroupInfo: s.groupInfo("bob", false).GetGroupInfo(), Identity: []byte("charlie"),
		}))(s)
		charlie.transaction, s.outside[string(asked.GetProposal())] = asked.GetTransactionId(), true
		s.commit(step{by: "alice", refs: [][]byte{asked.GetProposal()}, joiners: []string{"charlie"}})
		s.say("charlie", "hello")
	})
}

// Two signers propose whatever they may.
func TestExternalProposals(t *testing.T) {
	eachWay(t, func(s *script) {
		s.create("alice", "bob")
		s.addSigner("service", "alice")
		s.addSigner("another service", "bob")
		s.commit(step{by: "bob", refs: [][]byte{s.proposeFromOutside("service", add(s.keyPackage("charlie")))}, joiners: []string{"charlie"}})
		s.storePSK("psk", "secret", "alice", "bob", "charlie")
		s.commit(step{by: "charlie", refs: [][]byte{
			s.proposeFromOutside("another service", external("psk")), s.proposeFromOutside("service", resumption(4)),
		}})
		s.commit(step{by: "alice", refs: [][]byte{s.proposeFromOutside("another service", remove("bob"))}, removed: []string{"bob"}})
		s.say("charlie", "hello")
		s.reinit(reinitStep{
			message:   s.proposeFromOutside("service", reInit(s.suite, "the next")),
			committer: "charlie", welcomer: "alice",
		})
	})
}

// A signer whom the group does not know, and one that it no longer knows.
func TestExternalSignerMustBeKnown(t *testing.T) {
	eachWay(t, func(s *script) {
		s.create("alice", "bob")
		stranger := s.actor("stranger")
		stranger.signer = ok(stranger.CreateExternalSigner(s.Context(), &mlsclient.CreateExternalSignerRequest{
			CipherSuite: uint32(s.suite), Identity: []byte("stranger"),
		}))(s).GetSignerId()
		refused := func(what string, a *actor) {
			s.Helper()
			info := s.groupInfo("alice", true)
			if _, err := a.ExternalSignerProposal(s.Context(), &mlsclient.ExternalSignerProposalRequest{
				SignerId: a.signer, GroupInfo: info.GetGroupInfo(), RatchetTree: info.GetRatchetTree(), Description: remove("bob"),
			}); err == nil {
				s.Errorf("%s proposes", what)
			}
		}
		refused("a stranger", stranger)
		s.addSigner("service", "alice")
		refused("a stranger beside a known signer", stranger)
		s.commit(step{by: "bob", values: []*mlsclient.ProposalDescription{{ProposalType: []byte("groupContextExtensions")}}})
		refused("one who was known", s.actor("service"))
	})
}

func TestVectors(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 16383, 16384, 100000} {
		content := bytes.Repeat([]byte{7}, n)
		b := vector(content)
		got, err := vectorContent(b)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: %d, %v", n, len(got), err)
		}
		for _, bad := range [][]byte{b[:len(b)-1], append(b[:len(b):len(b)], 0)} {
			if _, err := vectorContent(bad); err == nil {
				t.Errorf("%d bytes of a vector of %d", len(bad), len(b))
			}
		}
	}
}
