package mls_test

import (
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/mls"
)

// A group's suite is for life. To go to another one, a ReInit closes the group and a member
// makes the group in its place, with the same people.
func ExampleGroup_Successor() {
	members := meet(mls.Application{}, clients("alice", "bob"))
	alice, bob := members[0], members[1]

	suite := mls.SuiteMLKEM768X25519AES256Ed25519
	commit(alice, mls.CommitParams{ReInit: &mls.ReInit{GroupID: []byte("next"), Suite: suite}}, bob)
	_, err := bob.Encrypt([]byte("too late"), nil)
	fmt.Println("closed:", errors.Is(err, mls.ErrReInit))

	kp, secrets := keyPackage(client(suite, "bob"))
	next, welcomes, err := alice.Successor(mls.SuccessorConfig{
		KeyPackages: []*mls.KeyPackage{kp}, SignatureKey: must(suite.GenerateSignatureKey()), Now: now,
	})
	check(err)
	joined := must(mls.Join(welcomes[0].Message, secrets, mls.JoinParams{
		Tree: next.RatchetTree(), Parent: bob, Now: now,
	}))
	fmt.Println(joined.Suite(), names(joined.Members()))
	// Output:
	// closed: true
	// MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519 [alice bob]
}

// Some members of a group make one of their own, and each of them knows that the others were
// in it.
func ExampleGroup_Branch() {
	members := meet(mls.Application{}, clients("alice", "bob", "carol"))
	alice, bob := members[0], members[1]

	kp, secrets := keyPackage(client(mls.DefaultSuite, "bob"))
	aside, welcomes, err := alice.Branch([]byte("aside"), nil, mls.SuccessorConfig{
		KeyPackages: []*mls.KeyPackage{kp}, SignatureKey: must(alice.Suite().GenerateSignatureKey()), Now: now,
	})
	check(err)
	joined := must(mls.Join(welcomes[0].Message, secrets, mls.JoinParams{
		Tree: aside.RatchetTree(), Parent: bob, Now: now,
	}))
	fmt.Println(names(joined.Members()))
	// Output: [alice bob]
}
