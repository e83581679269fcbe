package mls_test

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/mls"
)

// keyring has external pre-shared keys by their ids.
type keyring map[string][]byte

func (k keyring) PSK(id mls.PSKID) ([]byte, error) {
	if psk, ok := k[string(id.External)]; ok && id.External != nil {
		return bytes.Clone(psk), nil
	}
	return nil, errors.New("not in the keyring")
}

// A pre-shared key goes into the secrets of the next epoch. Who lacks it cannot follow, and
// follows once it has it.
func ExamplePSKSource() {
	theirs := keyring{"pairing": bytes.Repeat([]byte{7}, 32)}
	bobs := keyring{}
	alice := begin(client(mls.DefaultSuite, "alice"), mls.Application{PSKs: theirs})
	bob := add(alice, client(mls.DefaultSuite, "bob"), mls.Application{PSKs: bobs})

	staged := must(alice.Commit(mls.CommitParams{PSKs: []mls.PSKID{{External: []byte("pairing")}}}))
	check(alice.Merge(staged))
	_, err := bob.Process(staged.Message())
	fmt.Println(errors.Is(err, mls.ErrCannotFollow), errors.Is(err, mls.ErrUnknownPSK))
	if missing, ok := errors.AsType[*mls.PSKError](err); ok {
		id := string(missing.ID.External)
		bobs[id] = theirs[id]
	}
	deliver(staged.Message(), bob)
	fmt.Println(bytes.Equal(alice.EpochAuthenticator(), bob.EpochAuthenticator()))
	// Output:
	// true true
	// true
}

// Every member can export the same secrets of an epoch, for uses outside of MLS.
func ExampleGroup_Export() {
	members := meet(mls.Application{}, clients("alice", "bob"))
	a := must(members[0].Export("call keys", []byte("room 5"), 32))
	b := must(members[1].Export("call keys", []byte("room 5"), 32))
	fmt.Println(len(a), bytes.Equal(a, b))
	// Output: 32 true
}

// The safe exporter is forward secret: a component takes its secret once in an epoch, and then
// not even this member's state can give it again.
func ExampleGroup_SafeExport() {
	const calls mls.ComponentID = 0x8001
	members := meet(mls.Application{}, clients("alice", "bob"))
	a := must(members[0].SafeExport(calls))
	b := must(members[1].SafeExport(calls))
	_, err := members[0].SafeExport(calls)
	fmt.Println(bytes.Equal(a, b), errors.Is(err, mls.ErrConsumed))
	// Output: true true
}
