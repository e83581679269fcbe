package mls

import (
	"bytes"
	"errors"
	"testing"
)

// TestSafeExport: members export the same secret for each component, once in an epoch, also
// across being stored; another epoch has others.
func TestSafeExport(t *testing.T) {
	groups := trio(t)
	ids := []ComponentID{0, 1, 0x8000, 0xffff}
	secrets := map[string]bool{}
	for _, id := range ids {
		want := must(groups[0].SafeExport(id))(t)
		if secrets[string(want)] || len(want) != groups[0].at.suite.nh {
			t.Fatalf("component %#x: %x", id, want)
		}
		secrets[string(want)] = true
		for _, g := range groups[1:] {
			if got := must(g.SafeExport(id))(t); !bytes.Equal(got, want) {
				t.Errorf("component %#x at leaf %d: %x, want %x", id, g.OwnLeaf(), got, want)
			}
		}
		for _, g := range []*Group{groups[0], groups[1].Clone(), reload(t, groups[2])} {
			if _, err := g.SafeExport(id); !errors.Is(err, ErrConsumed) {
				t.Errorf("component %#x a second time: %v, want ErrConsumed", id, err)
			}
		}
	}
	before := groups[1].Clone()
	must(before.SafeExport(7))(t)
	must(groups[1].SafeExport(7))(t) // what a copy has used is not used here
	commitTo(t, groups, CommitParams{})
	if next := must(groups[0].SafeExport(ids[0]))(t); secrets[string(next)] {
		t.Error("the next epoch has the same secret")
	}
}
