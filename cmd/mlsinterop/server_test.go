package main

import (
	"bytes"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
	"github.com/sealpost/sealpost/mls"
)

func TestNameAndSuites(t *testing.T) {
	c := dial(t)
	name, err := c.Name(t.Context(), &mlsclient.NameRequest{})
	if err != nil || name.GetName() != "sealpost" {
		t.Errorf("name %q, %v", name.GetName(), err)
	}
	suites, err := c.SupportedCiphersuites(t.Context(), &mlsclient.SupportedCiphersuitesRequest{})
	if err != nil || len(suites.GetCiphersuites()) != len(mls.Suites()) {
		t.Errorf("suites %v, %v", suites.GetCiphersuites(), err)
	}
}

// Whatever is wrong has a code that says whose fault it is, and changes nothing.
func TestErrors(t *testing.T) {
	c := dial(t)
	s := &script{T: t, servers: []mlsclient.MLSClientClient{c}, suite: mls.DefaultSuite, private: true, actors: map[string]*actor{}}
	s.create("alice", "bob")
	alice := s.actor("alice").state
	unused := ok(c.CreateKeyPackage(t.Context(), &mlsclient.CreateKeyPackageRequest{CipherSuite: 1, Identity: []byte("x")}))(s)
	second := func(_ any, err error) error { return err }
	for name, want := range map[string]struct {
		code codes.Code
		err  error
	}{
		"unknown state":          {codes.NotFound, second(c.StateAuth(t.Context(), &mlsclient.StateAuthRequest{StateId: 999}))},
		"state 0":                {codes.NotFound, second(c.Commit(t.Context(), &mlsclient.CommitRequest{}))},
		"transaction as a state": {codes.NotFound, second(c.StateAuth(t.Context(), &mlsclient.StateAuthRequest{StateId: unused.GetTransactionId()}))},
		"PSK for nobody":         {codes.NotFound, second(c.StorePSK(t.Context(), &mlsclient.StorePSKRequest{}))},
		"suite 0":                {codes.Unimplemented, second(c.CreateGroup(t.Context(), &mlsclient.CreateGroupRequest{}))},
		"suite 65537":            {codes.InvalidArgument, second(c.CreateGroup(t.Context(), &mlsclient.CreateGroupRequest{CipherSuite: 1<<16 + 1}))},
		"no Welcome":             {codes.InvalidArgument, second(c.JoinGroup(t.Context(), &mlsclient.JoinGroupRequest{TransactionId: unused.GetTransactionId()}))},
		"no KeyPackage":          {codes.InvalidArgument, second(c.AddProposal(t.Context(), &mlsclient.AddProposalRequest{StateId: alice, KeyPackage: []byte("x")}))},
		"no such member":         {codes.InvalidArgument, second(c.RemoveProposal(t.Context(), &mlsclient.RemoveProposalRequest{StateId: alice, RemovedId: []byte("zoe")}))},
		"no pending commit":      {codes.FailedPrecondition, second(c.HandlePendingCommit(t.Context(), &mlsclient.HandlePendingCommitRequest{StateId: alice}))},
		"a cut message":          {codes.InvalidArgument, second(c.Unprotect(t.Context(), &mlsclient.UnprotectRequest{StateId: alice, Ciphertext: []byte{0, 1}}))},
		"a kind of proposal that is none": {codes.InvalidArgument, second(c.Commit(t.Context(), &mlsclient.CommitRequest{
			StateId: alice, ByValue: []*mlsclient.ProposalDescription{{ProposalType: []byte("update")}},
		}))},
		"an extension type of 17 bits": {codes.InvalidArgument, second(c.GroupContextExtensionsProposal(t.Context(), &mlsclient.GroupContextExtensionsProposalRequest{
			StateId: alice, Extensions: []*mlsclient.Extension{{ExtensionType: 1 << 16}},
		}))},
		"a long secret":    {codes.ResourceExhausted, second(c.Export(t.Context(), &mlsclient.ExportRequest{StateId: alice, KeyLength: 1 << 15}))},
		"a longer secret":  {codes.InvalidArgument, second(c.Export(t.Context(), &mlsclient.ExportRequest{StateId: alice, KeyLength: 1 << 31}))},
		"a call too large": {codes.ResourceExhausted, second(c.Protect(t.Context(), &mlsclient.ProtectRequest{StateId: alice, Plaintext: make([]byte, maxCall)}))},
	} {
		if code := status.Code(want.err); code != want.code {
			t.Errorf("%s: %v, want %v", name, want.err, want.code)
		}
	}
	s.agree()
	s.say("alice", "still here")
}

// A commit that fails half way leaves no proposal behind.
func TestCommitThatFailsLeavesNothing(t *testing.T) {
	eachWay(t, func(s *script) {
		s.create("alice", "bob")
		alice := s.actor("alice")
		update := s.proposeUpdate("bob")
		_, err := alice.Commit(s.Context(), &mlsclient.CommitRequest{
			StateId: alice.state, ByReference: [][]byte{update}, ByValue: []*mlsclient.ProposalDescription{remove("zoe")},
		})
		if err == nil {
			s.Fatal("somebody who is no member is removed")
		}
		s.say("alice", "nothing waits")
		s.commit(step{by: "alice", refs: [][]byte{update}})
	})
}

// A commit that cannot take every proposal is none, though a group would go on without one.
func TestCommitTakesEveryProposal(t *testing.T) {
	eachWay(t, func(s *script) {
		s.create("alice", "bob", "charlie")
		alice := s.actor("alice")
		_, err := alice.Commit(s.Context(), &mlsclient.CommitRequest{
			StateId: alice.state, ByReference: [][]byte{s.proposeUpdate("bob"), s.proposeRemove("charlie", "bob")},
		})
		if err == nil {
			s.Fatal("a commit left one of two proposals out")
		}
		s.commit(step{by: "alice"})
	})
}

// An own commit may come back through HandleCommit, and another's takes its place.
func TestOwnCommitComesBackOrLoses(t *testing.T) {
	eachWay(t, func(s *script) {
		s.create("alice", "bob")
		alice, bob := s.actor("alice"), s.actor("bob")
		update := s.proposeUpdate("bob")
		commit := ok(alice.Commit(s.Context(), &mlsclient.CommitRequest{StateId: alice.state, ByReference: [][]byte{update}}))(s).GetCommit()
		for _, a := range []*actor{alice, bob} {
			a.state = ok(a.HandleCommit(s.Context(), &mlsclient.HandleCommitRequest{StateId: a.state, Proposal: [][]byte{update}, Commit: commit}))(s).GetStateId()
		}
		s.agree()
		ok(alice.Commit(s.Context(), &mlsclient.CommitRequest{StateId: alice.state}))(s)
		s.commit(step{by: "bob"})
		if _, err := alice.HandlePendingCommit(s.Context(), &mlsclient.HandlePendingCommitRequest{StateId: alice.state}); err == nil {
			s.Fatal("a commit that lost still waits")
		}
	})
}

func TestFree(t *testing.T) {
	c := dial(t)
	resp, err := c.CreateGroup(t.Context(), &mlsclient.CreateGroupRequest{GroupId: []byte("g"), CipherSuite: 1, Identity: []byte("alice")})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.Free(t.Context(), &mlsclient.FreeRequest{StateId: resp.GetStateId()}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.StateAuth(t.Context(), &mlsclient.StateAuthRequest{StateId: resp.GetStateId()}); status.Code(err) != codes.NotFound {
		t.Errorf("a freed state answers: %v", err)
	}
}

// The shelf never holds more than its limit, and what was used lately stays.
func TestShelfDropsWhatWasUsedLongestAgo(t *testing.T) {
	s := shelf{limit: 3}
	ids := []uint32{s.put(&joiner{}), s.put(&joiner{}), s.put(&joiner{})}
	if _, err := find[*joiner](&s, ids[0]); err != nil {
		t.Fatal(err)
	}
	ids = append(ids, s.put(&joiner{}))
	for i, there := range []bool{true, false, true, true} {
		if _, err := find[*joiner](&s, ids[i]); (err == nil) != there {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	if slices.Contains(ids, 0) {
		t.Error("id 0 is given out at the beginning")
	}
	if len(s.entries) != 3 {
		t.Errorf("%d entries, over the limit", len(s.entries))
	}
	s.nextID = ^uint32(0)
	if id := s.put(&joiner{}); id == 0 {
		t.Error("id 0 is given out at the end")
	}
	if id := s.put(&joiner{}); id == 0 || s.entries[id] == nil {
		t.Errorf("id %d after the last", id)
	}
}

func TestKeyring(t *testing.T) {
	var k keyring
	for i := range maxPSKs {
		if err := k.add([]byte{byte(i >> 8), byte(i)}, []byte("key")); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.add([]byte("more"), []byte("key")); status.Code(withCode(err)) != codes.ResourceExhausted {
		t.Errorf("one key more: %v", err)
	}
	key, err := k.PSK(mls.PSKID{External: []byte{0, 1}})
	if err != nil || !bytes.Equal(key, []byte("key")) {
		t.Errorf("key %q, %v", key, err)
	}
	// An id with the bytes of another kind's name finds nothing.
	if _, err := k.PSK(mls.PSKID{Resumption: &mls.ResumptionID{GroupID: []byte{0, 1}}}); err == nil {
		t.Error("an external key answers for an epoch")
	}
}
