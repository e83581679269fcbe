package mls

import (
	"maps"
	"testing"
)

// storedHistories are what happens to the last of three, step by step.
var storedHistories = map[string]func(t *testing.T, groups []*Group) []func(){
	"a skipped message that came": func(t *testing.T, groups []*Group) []func() {
		var late []byte
		return []func(){
			func() {
				late = must(groups[0].Encrypt([]byte("late"), nil))(t)
				say(t, groups[0], groups, "first")
			},
			func() { must(groups[2].Process(late))(t) },
			func() { say(t, groups[0], groups, "x") },
		}
	},
	"a proposal that was committed": func(t *testing.T, groups []*Group) []func() {
		return []func(){
			func() {
				p := must(groups[0].Propose(ProposalParams{Update: true}))(t)
				for _, g := range groups {
					must(g.Process(p))(t)
				}
			},
			func() { commitTo(t, groups, CommitParams{IncludePending: true, Now: testNow}) },
			func() { commitTo(t, groups, CommitParams{}) },
		}
	},
	"an own proposal that is dropped and made again": func(t *testing.T, groups []*Group) []func() {
		propose := func() { must(groups[2].Propose(ProposalParams{Remove: new(LeafIndex(1)), Public: true}))(t) }
		return []func(){propose, groups[2].DropProposals, propose}
	},
	"epochs that are kept and forgotten": func(t *testing.T, groups []*Group) []func() {
		groups[2].app.KeepEpochs = 2
		return []func(){
			func() { commitTo(t, groups, CommitParams{}) },
			func() { groups[2].Forget(testNow, 0) },
			func() { commitTo(t, groups, CommitParams{}) },
		}
	},
	"removal": func(t *testing.T, groups []*Group) []func() {
		return []func(){
			func() { say(t, groups[0], groups, "x") },
			func() {
				deliver(t, must(groups[0].Commit(CommitParams{Remove: []LeafIndex{2}}))(t).Message(), groups[2:])
			},
		}
	},
}

// TestSaveOutcomeUnknown: a transaction whose outcome the caller was not told may have happened.
// Whichever of several have, storing the next list makes the store all of the group and no more,
// although records that were stored have gone in between: a used key would be left behind, and
// the group could not be loaded any more.
func TestSaveOutcomeUnknown(t *testing.T) {
	for name, steps := range storedHistories {
		t.Run(name, func(t *testing.T) {
			for _, before := range []string{"nothing", "the group", "the group, perhaps"} {
				groups := trio(t)
				g, all := groups[2], []shelf{{}} // what may be stored
				unknown := func() {
					listed := g.Save()
					for _, kept := range all {
						stored := maps.Clone(kept)
						stored.put(t, listed)
						all = append(all, stored)
					}
				}
				switch before {
				case "the group":
					all[0].keep(t, g)
				case "the group, perhaps":
					unknown()
				}
				for i, step := range steps(t, groups) {
					step()
					if i%2 == 0 {
						unknown()
					}
				}
				listed := g.Save()
				g.Saved()
				for _, kept := range all {
					kept.put(t, listed)
					if g.Removed() {
						if len(kept) > 0 {
							t.Errorf("%s was stored: %d records of a former member are left", before, len(kept))
						}
						continue
					}
					if err := second(LoadGroup(kept.records(), g.app)); err != nil {
						t.Fatalf("%s was stored: %v", before, err)
					}
					kept.load(t, g)
				}
				if left := g.Save(); len(left) > 0 {
					t.Errorf("%s was stored: %d records are left behind Saved", before, len(left))
				}
			}
		})
	}
}

// TestSaveOfACopy: what one copy of a group lists does not count for the other.
func TestSaveOfACopy(t *testing.T) {
	groups := trio(t)
	g, kept := groups[2], shelf{}
	kept.keep(t, g)
	say(t, groups[0], groups, "x")
	g.Save() // fails
	other := g.Clone()
	say(t, groups[1], groups, "y")
	kept.put(t, g.Save())
	theirs := maps.Clone(kept)
	must(other.SafeExport(1))(t)
	theirs.put(t, other.Save()) // fails, too: kept is as it was
	say(t, groups[1], groups, "z")
	kept.keep(t, g)
	kept.load(t, g)
}
