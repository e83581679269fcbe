package mls_test

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/mls"
)

// Members propose and one of them commits what waits. A proposal counts once it came back from
// the delivery service, for its maker too.
func ExampleGroup_Propose() {
	members := meet(mls.Application{}, clients("alice", "bob", "carol"))
	alice, bob, carol := members[0], members[1], members[2]

	leaf := carol.OwnLeaf()
	deliver(must(carol.Propose(mls.ProposalParams{Remove: &leaf})), members...) // she leaves
	deliver(must(bob.Propose(mls.ProposalParams{Update: true})), members...)    // and he renews his keys
	_, err := alice.Encrypt([]byte("hello"), nil)
	fmt.Println("a commit goes first:", errors.Is(err, mls.ErrPendingProposals))

	staged := commit(alice, mls.CommitParams{IncludePending: true, Now: now}, bob, carol)
	fmt.Println(names(staged.Removes()), names(staged.Updates()))
	fmt.Println(names(bob.Members()))
	// Output:
	// a commit goes first: true
	// [carol] [bob alice]
	// [alice bob]
}

// Two members commit in the same epoch. The delivery service accepts one of the commits, and
// all follow that one: it says who goes first, and nothing else.
func ExampleGroup_Merge() {
	members := meet(mls.Application{}, clients("alice", "bob", "carol"))
	alice, bob, carol := members[0], members[1], members[2]

	lost := must(alice.Commit(mls.CommitParams{Remove: []mls.LeafIndex{carol.OwnLeaf()}}))
	won := must(bob.Commit(mls.CommitParams{}))
	check(bob.Merge(won))
	deliver(won.Message(), alice, carol)
	fmt.Println("stale:", errors.Is(alice.Merge(lost), mls.ErrStale))

	// Alice still wants what she wanted.
	commit(alice, mls.CommitParams{Remove: []mls.LeafIndex{carol.OwnLeaf()}}, bob, carol)
	fmt.Println(bob.Epoch(), names(bob.Members()), carol.Removed())
	// Output:
	// stale: true
	// 4 [alice bob] true
}

// Handshake messages are encrypted unless a member says otherwise: in the clear, a delivery
// service can check them ([mls.PublicGroup]), and sees who is in the group.
func ExampleGroup_Commit_public() {
	members := meet(mls.Application{}, clients("alice", "bob"))
	alice, bob := members[0], members[1]
	for _, public := range []bool{false, true} {
		staged := commit(alice, mls.CommitParams{Public: public}, bob)
		fmt.Println("wire format:", binary.BigEndian.Uint16(staged.Message()[2:]))
	}
	// Output:
	// wire format: 2
	// wire format: 1
}
