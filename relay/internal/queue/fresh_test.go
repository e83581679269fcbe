package queue

import (
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// TestOneReadingForAllWhoAreThere: readers at the same place get what the first of them has
// read, and whoever may not read it gets nothing of that.
func TestOneReadingForAllWhoAreThere(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob", "carol")
	head := r.must(r.append(q, "w0", "old"))
	attached := map[string]*Attachment{}
	for _, who := range []string{"alice", "bob", "carol"} {
		a, _, err := r.Attach(q, key(who), &head, func() {})
		if err != nil {
			t.Fatal(err)
		}
		attached[who] = a
	}
	next := func(who string) Batch {
		t.Helper()
		b, err := attached[who].Next(1 << 16)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	r.must(r.configure(q, "admin", relay.RemoveReader{Key: key("carol")}))
	r.must(r.append(q, "w0", "new"))
	alice, bob, carol := next("alice"), next("bob"), next("carol")
	if len(alice.Entries) != 1 || len(bob.Entries) != 1 || &alice.Entries[0] != &bob.Entries[0] || alice.Chain != bob.Chain {
		t.Errorf("the entry is read twice: %v and %v", alice, bob)
	}
	if len(carol.Entries) != 0 || carol.End == nil || *carol.End != head {
		t.Errorf("a removed reader gets %v", carol)
	}
	last := r.must(r.append(q, "w0", "newer"))
	alice = next("alice")
	r.must(r.append(q, "w0", "newest"))
	if bob = next("bob"); len(bob.Entries) != 2 || &bob.Entries[0] == &alice.Entries[0] {
		t.Errorf("what was read of an older state is given again: %v", bob)
	}
	if a, b := next("alice"), attached["bob"].at; a.Chain != b.Chain || attached["alice"].at != b || b.Seq != last.Seq+1 {
		t.Errorf("alice is at %v, bob at %v", attached["alice"].at, b)
	}
	r.must(r.append(q, "w0", "long"))
	next("alice")
	if small, err := attached["bob"].NextWithin(100); err != nil || !small.Larger {
		t.Errorf("an entry that is larger than there is room for: %v, %v", small, err)
	}
}
