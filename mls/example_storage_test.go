package mls_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// store stands for any key-value store with transactions, of which this group has a part.
type store map[string][]byte

// save writes what changed; in earnest in one transaction, with the message that it goes with.
func (s store) save(g *mls.Group) {
	for _, r := range g.Save() {
		if r.Value == nil {
			delete(s, r.Key)
		} else {
			s[r.Key] = r.Value
		}
	}
	g.Saved()
}

func (s store) load() []mls.Record {
	var out []mls.Record
	for key, value := range s {
		out = append(out, mls.Record{Key: key, Value: value})
	}
	return out
}

// A group is stored as records, of which a message changes few: store before you send, and
// after you received.
func ExampleLoadGroup() {
	members := meet(mls.Application{}, clients("alice", "bob"))
	alice, bob := members[0], members[1]
	disk := store{}
	disk.save(bob)

	msg := must(alice.Encrypt([]byte("do not forget"), nil))
	fmt.Println(read(bob, msg))
	disk.save(bob)

	bob = must(mls.LoadGroup(disk.load(), mls.Application{})) // the process has ended in between
	_, err := bob.Process(msg)
	fmt.Println("once is enough:", errors.Is(err, mls.ErrConsumed))
	// Output:
	// do not forget
	// once is enough: true
}

// A committer may crash before it learns whether its commit counts. It has stored group and
// commit, and goes on with what the delivery service says.
func ExampleStagedCommit_MarshalBinary() {
	members := meet(mls.Application{}, clients("alice", "bob"))
	alice, bob := members[0], members[1]
	disk := store{}

	staged := must(alice.Commit(mls.CommitParams{}))
	waiting := must(staged.MarshalBinary())
	disk.save(alice)
	msg := staged.Message() // is sent

	alice = must(mls.LoadGroup(disk.load(), mls.Application{}))
	own := must(alice.Process(msg)).(*mls.OwnCommit) // the delivery service has it
	staged = must(alice.LoadCommit(waiting))
	check(alice.Merge(staged))
	disk.save(alice)
	deliver(own.Message, bob)
	fmt.Println(alice.Epoch(), bob.Epoch())
	// Output: 2 2
}

// Messages that come after the next commit can be read for as long as the application keeps
// the epoch that they were sent in.
func ExampleGroup_Forget() {
	members := meet(mls.Application{KeepEpochs: 3}, clients("alice", "bob"))
	alice, bob := members[0], members[1]
	late := must(alice.Encrypt([]byte("late"), nil))
	later := must(alice.Encrypt([]byte("later"), nil))
	commit(alice, mls.CommitParams{}, bob)

	fmt.Println(read(bob, late))
	bob.Forget(now, time.Hour) // of what has ended by now
	bob.Forget(now.Add(2*time.Hour), time.Hour)
	_, err := bob.Process(later)
	fmt.Println(errors.Is(err, mls.ErrPastEpoch))
	// Output:
	// late
	// true
}
