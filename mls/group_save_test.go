package mls

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
)

// shelf is a caller's store of one group.
type shelf map[string][]byte

// put stores what Save lists, without saying so to the group.
func (s shelf) put(t tb, records []Record) {
	t.Helper()
	seen := map[string]bool{}
	for _, r := range records {
		if seen[r.Key] {
			t.Fatalf("record %q is listed twice", r.Key)
		}
		seen[r.Key] = true
		if r.Value == nil {
			delete(s, r.Key)
		} else {
			s[r.Key] = r.Value
		}
	}
}

// keep stores what has changed.
func (s shelf) keep(t tb, g *Group) {
	t.Helper()
	s.put(t, g.Save())
	g.Saved()
}

func (s shelf) records() []Record {
	var out []Record
	for key, value := range s {
		out = append(out, Record{Key: key, Value: value})
	}
	return out
}

// load loads what is stored and fails unless it is all of g.
func (s shelf) load(t tb, g *Group) *Group {
	t.Helper()
	again, err := LoadGroup(s.records(), g.app)
	if err != nil {
		t.Fatalf("leaf %d, stored record by record: %v", g.OwnLeaf(), err)
	}
	if !bytes.Equal(fingerprint(t, again), fingerprint(t, g)) {
		t.Fatalf("leaf %d differs from what is stored", g.OwnLeaf())
	}
	if left := again.Save(); len(left) > 0 {
		t.Fatalf("leaf %d lacks %d records just after it was loaded", g.OwnLeaf(), len(left))
	}
	return again
}

func bytesOf(records []Record) (n int) {
	for _, r := range records {
		n += len(r.Key) + len(r.Value)
	}
	return n
}

// ofMany is a group of n members and the first and last of them.
func ofMany(t tb, id Suite, n int) (first, last *Group) {
	t.Helper()
	names := make([]string, n-1)
	for i := range names {
		names[i] = fmt.Sprintf("member %d", i+1)
	}
	first = newGroupOf(t, id, "founder")
	p := CommitParams{Now: testNow}
	var secrets *KeyPackageSecrets
	for _, name := range names {
		var kp *KeyPackage
		kp, secrets = keyPackageOf(t, id, name)
		p.Add = append(p.Add, kp)
	}
	c := must(first.Commit(p))(t)
	if err := first.Merge(c); err != nil {
		t.Fatal(err)
	}
	welcome := c.Welcomes()[n-2].Message
	return first, must(Join(welcome, secrets, JoinParams{Tree: first.RatchetTree()}))(t)
}

// TestSaveOfAMessage: what a message changes takes less than 2 KiB, sent or received, the
// first of its sender or a later one, and 64 bytes more for each that it skips. In the largest
// trees there are, the way from the root to a leaf is 16 nodes long; ten and a thousand members
// are there to show that nothing else depends on the group.
func TestSaveOfAMessage(t *testing.T) {
	const most, forSkipped, skip = 2048, 64, 20
	check := func(t *testing.T, from, to *Group) {
		for _, g := range []*Group{from, to} {
			g.Save()
			g.Saved()
		}
		measure := func(what string, g *Group, allowed int) {
			t.Helper()
			saved := g.Save()
			g.Saved()
			if n := bytesOf(saved); n == 0 || n > allowed {
				t.Errorf("%s takes %d bytes in %d records, at most %d are allowed", what, n, len(saved), allowed)
			} else {
				t.Logf("%s: %d bytes in %d records", what, n, len(saved))
			}
		}
		send := func(what string) []byte {
			t.Helper()
			msg := must(from.Encrypt([]byte("x"), nil))(t)
			measure(what+" sent", from, most)
			return msg
		}
		for _, what := range []string{"the first message", "the second message"} {
			msg := send(what)
			must(to.Process(msg))(t)
			measure(what+" received", to, most)
		}
		var skipped []byte
		for range skip {
			skipped = must(from.Encrypt(nil, nil))(t)
		}
		measure("many at once", from, most)
		must(to.Process(send("one behind many")))(t)
		measure("one that skipped", to, most+skip*forSkipped)
		must(to.Process(skipped))(t)
		measure("one that was skipped", to, most)
	}
	for _, members := range []int{10, 1000} {
		t.Run(fmt.Sprintf("%d members", members), func(t *testing.T) {
			if testing.Short() && members > 10 {
				t.Skip("makes a group of a thousand")
			}
			first, last := ofMany(t, DefaultSuite, members)
			check(t, last, first)
		})
	}
	eachSuite(t, func(t *testing.T, id Suite) {
		first, last := ofMany(t, id, 2)
		for _, g := range []*Group{first, last} {
			exports := g.keys.exports
			g.keys = newSecretTree(g.at.suite, maxLeaves, make(secret, g.at.suite.nh))
			g.keys.exports = exports
		}
		check(t, last, first)
	})
}

// TestSaveOfACommit: a commit adds the nodes that it changes to what is stored, as it does to
// itself while it is staged, and not the tree.
func TestSaveOfACommit(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a group of a thousand")
	}
	first, last := ofMany(t, DefaultSuite, 1000)
	kept := shelf{}
	kept.keep(t, first)
	tree, all := len(first.RatchetTree()), bytesOf(kept.records())
	c := must(last.Commit(CommitParams{}))(t)
	staged := must(first.Process(c.Message()))(t).(*StagedCommit)
	form := must(staged.MarshalBinary())(t)
	if extra := len(form) - len(c.Message()); extra > tree/20 {
		t.Errorf("the staged commit takes %d bytes beside its message, the tree %d", extra, tree)
	}
	first = kept.load(t, first)
	if err := first.Merge(must(first.LoadCommit(form))(t)); err != nil {
		t.Fatal(err)
	}
	n := bytesOf(first.Save())
	if n > tree/20 {
		t.Errorf("the commit changes %d bytes of %d that are stored, the tree has %d", n, all, tree)
	}
	t.Logf("staged %d bytes, message %d, merged %d, tree %d, whole state %d", len(form), len(c.Message()), n, tree, all)
	kept.keep(t, first)
	kept.load(t, first)
}

// TestSaveUntilSaved: a change is listed until it is said to be stored, whatever came between,
// and then no more. A copy is as far as what it was copied from.
func TestSaveUntilSaved(t *testing.T) {
	groups := trio(t)
	g := groups[1]
	kept := shelf{}
	g.Saved() // nothing was listed yet
	all := g.Save()
	if again := g.Save(); !slices.EqualFunc(all, again, equalRecords) {
		t.Error("a second Save lists something else")
	}
	kept.keep(t, g)
	if left := g.Save(); len(left) != 0 {
		t.Errorf("%d records are left behind Saved", len(left))
	}
	say(t, groups[0], groups, "one")
	lost := g.Save() // its transaction fails
	say(t, groups[2], groups, "two")
	kept.put(t, g.Save())
	must(g.Encrypt(nil, nil))(t) // after Save, before Saved: still to be saved
	g.Saved()
	if len(lost) == 0 || len(g.Save()) == 0 {
		t.Fatal("nothing is listed")
	}
	copied := g.Clone()
	kept.keep(t, copied)
	kept.load(t, g)
	g.DropProposals()
	must(g.Propose(ProposalParams{Update: true}))(t)
	kept.keep(t, g)
	kept.load(t, g)
}

// TestSaveAcrossACommit: what stands under the same key before and after a commit is not taken
// for the same where the caller stores only afterwards, such as the key of a skipped message.
func TestSaveAcrossACommit(t *testing.T) {
	groups := trio(t)
	kept := shelf{}
	for i := range 2 {
		must(groups[0].Encrypt(nil, nil))(t) // never comes
		say(t, groups[0], groups, "x")
		if i == 0 {
			kept.keep(t, groups[2])
			advance(t, groups[1], groups, CommitParams{})
		}
	}
	kept.keep(t, groups[2])
	kept.load(t, groups[2])
}

func equalRecords(a, b Record) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }

// TestSaveOfAFormerMember: nothing of the group is left.
func TestSaveOfAFormerMember(t *testing.T) {
	groups := trio(t)
	kept := shelf{}
	say(t, groups[0], groups, "x")
	kept.keep(t, groups[2])
	deliver(t, must(groups[0].Commit(CommitParams{Remove: []LeafIndex{2}}))(t).Message(), groups[2:])
	kept.keep(t, groups[2])
	if len(kept) != 0 {
		t.Errorf("%d records are left: %q", len(kept), slices.Collect(maps.Keys(kept)))
	}
	if _, err := LoadGroup(nil, Application{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a group of no records: %v, want ErrCorrupt", err)
	}
}

// busy is a stored group with a record of every kind, and what was stored before.
func busy(t *testing.T) (g *Group, kept, earlier shelf) {
	groups := trio(t)
	g, kept = groups[1], shelf{}
	g.app.KeepEpochs = 1
	must(groups[2].Encrypt(nil, nil))(t) // never comes
	say(t, groups[2], groups, "w")
	advance(t, groups[0], groups, CommitParams{})
	kept.keep(t, g)
	say(t, groups[0], groups, "x")
	must(groups[0].Encrypt(nil, nil))(t) // never comes
	say(t, groups[0], groups, "y")
	kept.keep(t, g)
	earlier = maps.Clone(kept)
	must(g.Process(must(groups[0].Propose(ProposalParams{Remove: new(LeafIndex(1))}))(t)))(t)
	g.DropProposals()
	must(groups[0].Propose(ProposalParams{Update: true}))(t) // neither
	p := must(groups[0].Propose(ProposalParams{Remove: new(LeafIndex(2))}))(t)
	must(g.Encrypt(nil, nil))(t)
	must(g.Process(p))(t)
	must(g.Propose(ProposalParams{Update: true}))(t)
	must(g.Commit(CommitParams{}))(t)
	must(g.SafeExport(1))(t)
	kept.keep(t, g)
	kept.load(t, g)
	kinds := map[string]bool{}
	for key := range kept {
		kinds[key[:1]] = true
	}
	for kind := range recordNumbers {
		if !kinds[kind] {
			t.Fatalf("no record of kind %q", kind)
		}
	}
	return g, kept, earlier
}

// TestDamagedRecords: a record that is cut, changed, missing, left over or older than the rest
// is found out, whichever it is.
func TestDamagedRecords(t *testing.T) {
	_, kept, earlier := busy(t)
	try := func(what string, at int, key string, value []byte) {
		t.Helper()
		damaged := maps.Clone(kept)
		if damaged[key] = value; value == nil {
			delete(damaged, key)
		}
		if _, err := LoadGroup(damaged.records(), Application{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("record %q with %s at %d: %v, want ErrCorrupt", key, what, at, err)
		}
	}
	old := 0
	for key, value := range kept {
		eachDamage(value, func(what string, at int, damaged []byte) { try(what, at, key, damaged) })
		try("nothing left", 0, key, nil)
		if before := earlier[key]; before != nil && !bytes.Equal(before, value) {
			old++
			try("its value of before", 0, key, before)
		}
		for kind := range recordNumbers {
			try("another key", 0, kind+key[1:]+"\x00", value)
			if _, taken := kept[kind+key[1:]]; !taken {
				try("a copy under another kind", 0, kind+key[1:], value)
			}
		}
	}
	for key, value := range earlier {
		if kept[key] == nil {
			old++
			try("a record that was deleted", 0, key, value)
		}
	}
	if old < 4 {
		t.Errorf("only %d records have changed", old)
	}
	twice := kept.records()
	if _, err := LoadGroup(append(twice, twice[0]), Application{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a record twice: %v, want ErrCorrupt", err)
	}
	other := shelf{}
	other.keep(t, newGroup(t, "other"))
	for key, value := range other {
		if before, taken := kept[key]; !taken || !bytes.Equal(before, value) {
			try("that of another group", 0, key, value)
		}
	}
}

// TestStaleCommit: a staged commit belongs to the epoch that it ends.
func TestStaleCommit(t *testing.T) {
	groups := trio(t)
	form := must(must(groups[0].Commit(CommitParams{}))(t).MarshalBinary())(t)
	c := must(groups[1].Commit(CommitParams{}))(t)
	deliver(t, c.Message(), groups[:1])
	for name, g := range map[string]*Group{"later": groups[0], "other": newGroup(t, "other")} {
		if _, err := g.LoadCommit(form); !errors.Is(err, ErrStale) {
			t.Errorf("a commit for another epoch than the %s one: %v, want ErrStale", name, err)
		}
	}
}
