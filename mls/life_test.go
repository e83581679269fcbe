package mls

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestWholeLife drives random histories: commits of every shape, messages in between, members
// stored and loaded, committers that crash between Commit and Merge. Most are of suite 1, and
// those of the large curves are short.
func TestWholeLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.SampledFrom(append(Suites(), 1, 1, 1, 1, 1, 2, 2, 3, 3)).Draw(t, "suite")
		w := &world{groups: []*Group{newGroupOf(t, id, "founder")}, most: 10}
		longest := 7
		if suites[id].nh > 32 {
			longest, w.most = 3, 5
		}
		steps := rapid.IntRange(2, longest).Draw(t, "steps")
		for range steps {
			w.commit(t)
			agree(t, w.groups)
			w.chat(t)
			for i := range w.groups {
				if rapid.Bool().Draw(t, "reload") {
					w.groups[i] = reload(t, w.groups[i])
				}
			}
		}
	})
}

type world struct {
	groups []*Group
	names  int
	most   int // members
}

func (w *world) commit(t *rapid.T) {
	from := rapid.IntRange(0, len(w.groups)-1).Draw(t, "committer")
	g := w.groups[from]
	p := CommitParams{Now: testNow, Path: rapid.Bool().Draw(t, "path"), IncludePending: true}
	var secrets []*KeyPackageSecrets
	if room := w.most - len(w.groups); room > 0 {
		for range rapid.IntRange(0, min(3, room)).Draw(t, "adds") {
			w.names++
			kp, s := keyPackageOf(t, g.Suite(), fmt.Sprintf("member %d", w.names))
			p.Add, secrets = append(p.Add, kp), append(secrets, s)
		}
	}
	for _, other := range w.groups {
		if other != g && rapid.IntRange(0, 5).Draw(t, "remove") == 0 {
			p.Remove = append(p.Remove, other.OwnLeaf())
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "propose") == 0 {
		w.propose(t)
		g = w.groups[from]
	}
	if rapid.IntRange(0, 3).Draw(t, "dropped") == 0 {
		must(g.Commit(p))(t) // lost a race: never merged
	}
	c := must(g.Commit(p))(t)
	if rapid.Bool().Draw(t, "crash") {
		g = reload(t, g)
		c = must(g.LoadCommit(must(c.MarshalBinary())(t)))(t)
		w.groups[from] = g
	}
	rest := slices.DeleteFunc(slices.Clone(w.groups), func(o *Group) bool { return o == g })
	deliver(t, c.Message(), rest)
	if _, ok := must(g.Process(c.Message()))(t).(*OwnCommit); !ok {
		t.Fatal("own commit is not recognised")
	}
	if err := g.Merge(c); err != nil {
		t.Fatal(err)
	}
	w.groups = slices.DeleteFunc(w.groups, (*Group).Removed)
	for i, s := range secrets {
		s = must(UnmarshalKeyPackageSecrets(must(s.MarshalBinary())(t)))(t)
		w.groups = append(w.groups, must(Join(c.Welcomes()[i].Message, s, JoinParams{Tree: g.RatchetTree(), Now: testNow}))(t))
	}
}

// propose has everybody queue an Update of one member.
func (w *world) propose(t *rapid.T) {
	from := rapid.SampledFrom(w.groups).Draw(t, "proposer")
	msg := must(from.Propose(ProposalParams{Update: true}))(t)
	for i := range w.groups {
		must(w.groups[i].Process(msg))(t)
		w.groups[i] = reload(t, w.groups[i])
	}
}

func (w *world) chat(t *rapid.T) {
	from := rapid.SampledFrom(w.groups).Draw(t, "speaker")
	n := rapid.IntRange(0, 4).Draw(t, "messages")
	var msgs [][]byte
	for i := range n {
		msgs = append(msgs, must(from.Encrypt([]byte{byte(i)}, nil))(t))
	}
	for _, g := range w.groups {
		if g == from {
			continue
		}
		for _, i := range rapid.Permutation(indices(n)).Draw(t, "order") {
			if m, ok := must(g.Process(msgs[i]))(t).(*ApplicationMessage); !ok || m.Data[0] != byte(i) {
				t.Fatalf("message %d came out as %+v", i, m)
			}
		}
	}
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
