package mls_test

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/mls"
)

// One commit adds many. Each of them has an invitation of its own, of a size that does not
// depend on the group's; a delivery service that hands out one gets them combined.
func ExampleCombineWelcomes() {
	alice := begin(client(mls.DefaultSuite, "alice"), mls.Application{})
	var packages []*mls.KeyPackage
	var secrets []*mls.KeyPackageSecrets
	for _, c := range clients("bob", "carol", "dave") {
		kp, s := keyPackage(c)
		packages, secrets = append(packages, kp), append(secrets, s)
	}
	staged := must(alice.Commit(mls.CommitParams{Add: packages, Now: now}))
	check(alice.Merge(staged))

	welcome := must(mls.CombineWelcomes(staged.Welcomes()))
	for _, s := range secrets {
		g := must(mls.Join(welcome, s, mls.JoinParams{Tree: alice.RatchetTree(), Now: now}))
		fmt.Println(g.OwnLeaf(), names(g.Members()))
	}
	// Output:
	// 1 [alice bob carol dave]
	// 2 [alice bob carol dave]
	// 3 [alice bob carol dave]
}

// Who is removed learns it from the commit itself, and has no keys of what comes after.
func ExampleGroup_Commit_remove() {
	members := meet(mls.Application{}, clients("alice", "bob", "carol"))
	alice, bob, carol := members[0], members[1], members[2]

	staged := must(alice.Commit(mls.CommitParams{Remove: []mls.LeafIndex{bob.OwnLeaf()}}))
	check(alice.Merge(staged))
	for _, g := range []*mls.Group{bob, carol} {
		c := must(g.Process(staged.Message())).(*mls.StagedCommit)
		fmt.Println(names(c.Removes()), c.SelfRemoved())
		check(g.Merge(c))
	}
	_, err := bob.Encrypt([]byte("still here?"), nil)
	fmt.Println(names(carol.Members()), errors.Is(err, mls.ErrRemoved))
	// Output:
	// [bob] true
	// [bob] false
	// [alice carol] true
}

// A commit without a proposal renews the committer's own keys, here the signature key too: who
// had stolen the old ones can neither read nor write any more.
func ExampleGroup_Commit_update() {
	members := meet(mls.Application{}, clients("alice", "bob"))
	alice, bob := members[0], members[1]
	before, _ := alice.Member(bob.OwnLeaf())

	key := must(bob.Suite().GenerateSignatureKey())
	commit(bob, mls.CommitParams{NewSignatureKey: key}, alice)

	after, _ := alice.Member(bob.OwnLeaf())
	fmt.Println("encryption key changed:", !bytes.Equal(before.EncryptionKey, after.EncryptionKey))
	fmt.Println("signature key is the new one:", bytes.Equal(after.SignatureKey, key.Public()))
	// Output:
	// encryption key changed: true
	// signature key is the new one: true
}
