package mls_test

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/mls"
)

// Somebody comes in without an invitation, by a GroupInfo with the group's external key. It is
// for the members' application to say whether it may ([mls.CommitValidator]).
func ExampleJoinExternal() {
	alice := begin(client(mls.DefaultSuite, "alice"), mls.Application{})
	info := must(alice.View().GroupInfo(mls.GroupInfoParams{Tree: true, ExternalPub: true}))

	c := client(mls.DefaultSuite, "bob")
	bob, msg, err := mls.JoinExternal(info, mls.ExternalParams{
		Credential: c.Credential, SignatureKey: c.SignatureKey, Now: now,
	})
	check(err)

	staged := must(alice.Process(msg)).(*mls.StagedCommit)
	fmt.Println(staged.External(), names(staged.Adds()))
	check(alice.Merge(staged))
	fmt.Println(read(alice, must(bob.Encrypt([]byte("may I?"), nil))))
	// Output:
	// true [bob]
	// may I?
}

// A server that the group names as an external sender proposes to remove a member. It holds no
// secret; a member commits the proposal, or does not.
func ExamplePublicGroup_Propose() {
	key := must(mls.DefaultSuite.GenerateSignatureKey())
	server := mls.ExternalSender{
		SignatureKey: key.Public(),
		Credential:   mls.Credential{Type: mls.CredentialBasic, Identity: []byte("server")},
	}
	alice := begin(client(mls.DefaultSuite, "alice"), mls.Application{}, mls.Extension{
		Type: mls.ExtensionExternalSenders, Data: mls.EncodeExternalSenders([]mls.ExternalSender{server}),
	})
	bob := add(alice, client(mls.DefaultSuite, "bob"), mls.Application{})

	info := must(bob.View().GroupInfo(mls.GroupInfoParams{Tree: true}))
	outside := must(mls.NewPublicGroup(info, nil, mls.Application{}))
	leaf := bob.OwnLeaf()
	msg := must(outside.Propose(key, mls.ProposalParams{Remove: &leaf}))

	waits := must(alice.Process(msg)).(*mls.QueuedProposal)
	deliver(msg, bob)
	fmt.Printf("%s proposes to remove leaf %d\n", waits.External.Credential.Identity, *waits.Remove)
	commit(alice, mls.CommitParams{IncludePending: true}, bob)
	fmt.Println(names(alice.Members()))
	// Output:
	// server proposes to remove leaf 1
	// [alice]
}

// A delivery service follows the public handshake of a group, without its secrets, and passes
// on what counts.
func ExampleNewPublicGroup() {
	members := meet(mls.Application{}, clients("alice", "bob", "carol"))
	alice, carol := members[0], members[2]
	info := must(alice.View().GroupInfo(mls.GroupInfoParams{Tree: true}))
	service := must(mls.NewPublicGroup(info, nil, mls.Application{}))

	staged := must(alice.Commit(mls.CommitParams{Remove: []mls.LeafIndex{carol.OwnLeaf()}, Public: true}))
	damaged := bytes.Clone(staged.Message())
	damaged[len(damaged)/2] ^= 1
	_, err := service.Process(damaged)
	fmt.Println("refused:", errors.Is(err, mls.ErrInvalidCommit))

	received := must(service.Process(staged.Message())).(*mls.PublicCommit)
	check(service.Merge(received))
	fmt.Println(service.View().Epoch(), names(service.View().Members()))
	// Output:
	// refused: true
	// 3 [alice bob]
}
