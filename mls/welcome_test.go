package mls

import (
	"bytes"
	"errors"
	"testing"
)

// One Welcome for several joiners opens for each of them and for nobody else.
func TestCombineWelcomes(t *testing.T) {
	a := newGroup(t, "a")
	kpB, b := keyPackage(t, "b")
	kpC, c := keyPackage(t, "c")
	_, stranger := keyPackage(t, "stranger")
	commit := must(a.Commit(CommitParams{Add: []*KeyPackage{kpB, kpC}, Now: testNow}))(t)
	other := must(a.Commit(CommitParams{Add: []*KeyPackage{kpB}, Now: testNow}))(t)
	both := must(CombineWelcomes(commit.Welcomes()))(t)
	tree := commit.Next().RatchetTree()
	if err := a.Merge(commit); err != nil {
		t.Fatal(err)
	}
	groups := []*Group{a}
	for _, s := range []*KeyPackageSecrets{b, c} {
		groups = append(groups, must(Join(both, s, JoinParams{Tree: tree, Now: testNow}))(t))
	}
	agree(t, groups)
	if _, err := Join(both, stranger, JoinParams{Tree: tree, Now: testNow}); !errors.Is(err, ErrNotForUs) {
		t.Errorf("a stranger joins: %v, want ErrNotForUs", err)
	}
	ws := commit.Welcomes()
	if size := len(both); size >= len(ws[0].Message)+len(ws[1].Message) {
		t.Errorf("%d bytes, no less than the two that it is made of", size)
	}
	if one := must(CombineWelcomes(ws[:1]))(t); !bytes.Equal(one, ws[0].Message) {
		t.Error("one Welcome is not what it was")
	}
	if none := must(CombineWelcomes(nil))(t); none != nil {
		t.Errorf("%d bytes out of no Welcome", len(none))
	}
	for name, bad := range map[string][]Welcome{
		"two commits":   {ws[0], other.Welcomes()[0]},
		"no Welcome":    {ws[0], {Message: other.Message()}},
		"cut":           {{Message: ws[0].Message[:40]}},
		"nothing in it": {{}},
	} {
		if _, err := CombineWelcomes(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}
