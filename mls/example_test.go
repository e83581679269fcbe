package mls_test

import (
	"fmt"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// Two people make a group and talk. README.md shows the same code.
func Example() {
	const suite = mls.DefaultSuite
	now := time.Now()

	// Bob publishes a KeyPackage, by which others add him, and keeps its secrets.
	bobKey, err := suite.GenerateSignatureKey()
	check(err)
	published, secrets, err := mls.NewKeyPackage(mls.KeyPackageConfig{
		Suite: suite, SignatureKey: bobKey,
		Credential: mls.Credential{Type: mls.CredentialBasic, Identity: []byte("bob")},
		NotBefore:  now.Add(-time.Hour), NotAfter: now.Add(7 * 24 * time.Hour),
	})
	check(err)

	// Alice begins a group, alone.
	aliceKey, err := suite.GenerateSignatureKey()
	check(err)
	alice, err := mls.NewGroup(mls.GroupConfig{
		Suite: suite, SignatureKey: aliceKey, GroupID: []byte("alice and bob"),
		Credential: mls.Credential{Type: mls.CredentialBasic, Identity: []byte("alice")}, Now: now,
	})
	check(err)

	// She adds Bob. The commit goes to all who are in the group already, and counts once the
	// delivery service has accepted it; then she merges it and sends Bob the invitation.
	kp, err := mls.ParseKeyPackage(published.Bytes())
	check(err)
	commit, err := alice.Commit(mls.CommitParams{Add: []*mls.KeyPackage{kp}, Now: now})
	check(err)
	check(alice.Merge(commit))
	welcome, tree := commit.Welcomes()[0].Message, alice.RatchetTree()

	// Bob joins.
	bob, err := mls.Join(welcome, secrets, mls.JoinParams{Tree: tree, Now: now})
	check(err)

	// Alice writes, and Bob takes whatever comes.
	msg, err := alice.Encrypt([]byte("hello"), nil)
	check(err)
	received, err := bob.Process(msg)
	check(err)
	switch r := received.(type) {
	case *mls.ApplicationMessage:
		sender, _ := bob.Member(r.Sender)
		fmt.Printf("%s says %s\n", sender.Credential.Identity, r.Data)
	case *mls.StagedCommit:
		check(bob.Merge(r))
	}
	// Output: alice says hello
}
