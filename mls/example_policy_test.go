package mls_test

import (
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/mls"
)

var errNoAdmin = errors.New("only alice removes members")

// admins is the policy of a group: a pure function of what everybody sees.
type admins struct{}

func (admins) ValidateCredential(c mls.CredentialCheck) error {
	if c.Credential.Type != mls.CredentialBasic {
		return errors.New("a credential of another type")
	}
	return nil
}

func (admins) ValidateCommit(c mls.CommitCheck) error {
	if len(c.Removes) > 0 && string(c.Sender.Credential.Identity) != "alice" {
		return errNoAdmin
	}
	return nil
}

// A policy is one of the public checks. A commit against it counts for nobody, whatever the
// committer's own program thinks.
func ExampleCommitValidator() {
	app := mls.Application{Credentials: admins{}}
	alice := begin(client(mls.DefaultSuite, "alice"), app)
	bob := add(alice, client(mls.DefaultSuite, "bob"), app)
	mallory := add(alice, client(mls.DefaultSuite, "mallory"), mls.Application{}, bob)

	remove := mls.CommitParams{Remove: []mls.LeafIndex{alice.OwnLeaf()}}
	_, err := bob.Commit(remove)
	fmt.Println("bob cannot:", errors.Is(err, errNoAdmin))

	forced := must(mallory.Commit(remove))
	for _, g := range []*mls.Group{alice, bob} {
		_, err := g.Process(forced.Message())
		fmt.Println("does not count:", errors.Is(err, mls.ErrInvalidCommit), errors.Is(err, errNoAdmin))
	}
	// Output:
	// bob cannot: true
	// does not count: true true
	// does not count: true true
}

// What a message breaks has a name, which VALIDATION.md explains; what to do next depends on
// the error that it matches.
func ExampleError() {
	members := meet(mls.Application{}, clients("alice", "bob"))
	alice, bob := members[0], members[1]

	_, err := alice.Commit(mls.CommitParams{Remove: []mls.LeafIndex{7}})
	if broken, ok := errors.AsType[*mls.Error](err); ok {
		fmt.Println(broken.Rule, errors.Is(err, mls.ErrInvalid))
	}
	msg := must(alice.Encrypt([]byte("once"), nil))
	fmt.Println(read(bob, msg))
	_, err = bob.Process(msg)
	fmt.Println(errors.Is(err, mls.ErrConsumed))
	// Output:
	// remove.blank true
	// once
	// true
}
