package mls

import (
	"errors"
	"testing"
)

// forgedProposal is a proposal message of g that skips every check on the way.
func forgedProposal(t tb, g *Group, p *proposal) []byte {
	t.Helper()
	c := g.content(contentProposal, nil)
	c.proposal = p
	return must(g.sendHandshake(must(g.signHandshake(c, false))(t)))(t)
}

// forgedOpenly is the same as a PublicMessage.
func forgedOpenly(t tb, g *Group, p *proposal) []byte {
	t.Helper()
	c := g.content(contentProposal, nil)
	c.proposal = p
	return must(g.sendHandshake(must(g.signHandshake(c, true))(t)))(t)
}

// updateWith is an Update of g's leaf, with changes.
func updateWith(t tb, g *Group, edit func(*leafNode)) *proposal {
	t.Helper()
	leaf := g.renewedLeaf(must(g.at.suite.generateHPKE())(t), g.at.signatureKey, nil, nil, nil)
	leaf.source = sourceUpdate
	edit(leaf)
	if err := leaf.sign(g.at.suite, g.at.signatureKey, g.at.ctx.groupID, g.at.own); err != nil {
		t.Fatal(err)
	}
	return &proposal{kind: proposalUpdate, update: leaf}
}

// commitReferred has g commit everything that waits at victim, whatever it is.
func commitReferred(t tb, g, victim *Group, twice bool) []byte {
	t.Helper()
	return must(hack(t, g.Clone(), nil, func(b *commitBuilder) {
		for _, q := range victim.queue {
			b.commit.proposals = append(b.commit.proposals, proposalOrRef{ref: q.ref})
		}
		if twice {
			b.commit.proposals = append(b.commit.proposals, b.commit.proposals[0])
		}
	}, wireFormatPrivate, nil))(t)
}

// TestC27_ListsByReference: proposals that are good one by one and wait at everybody, in a
// commit that may not hold them together. The first of four commits, the last one judges.
func TestC27_ListsByReference(t *testing.T) {
	for _, c := range referenceFaults(t) {
		groups := trio(t)
		groups = append(groups, add(t, groups[0], groups[1:], CommitParams{}, "d")...)
		for _, msg := range c.make(groups[:3]) {
			must(groups[3].Process(msg))(t)
		}
		err := untouched(t, c.name, groups[3], commitReferred(t, groups[0], groups[3], c.twice))
		wantRule(t, c.name, err, c.rule)
		if !errors.Is(err, ErrInvalidCommit) || errors.Is(err, ErrCannotFollow) {
			t.Errorf("%s: %v, want ErrInvalidCommit", c.name, err)
		}
	}
}

// referenceFault is proposals that no commit of a trio's first may refer to together.
type referenceFault struct {
	name, rule string
	make       func(groups []*Group) [][]byte
	twice      bool
}

func referenceFaults(t tb) []referenceFault {
	none := func(*leafNode) {}
	remove := func(g *Group, l LeafIndex) []byte {
		return forgedProposal(t, g, &proposal{kind: proposalRemove, remove: l})
	}
	update := func(g *Group, edit func(*leafNode)) []byte { return forgedProposal(t, g, updateWith(t, g, edit)) }
	return []referenceFault{
		{"two Updates of one leaf", "proposals.same-leaf", func(g []*Group) [][]byte {
			return [][]byte{update(g[2], none), update(g[2], none)}
		}, false},
		{"Update and Remove of one leaf", "proposals.same-leaf", func(g []*Group) [][]byte {
			return [][]byte{update(g[2], none), remove(g[1], 2)}
		}, false},
		{"Remove and Update of one leaf", "proposals.same-leaf", func(g []*Group) [][]byte {
			return [][]byte{remove(g[1], 2), update(g[2], none)}
		}, false},
		{"the committer's Update", "proposals.own-update", func(g []*Group) [][]byte {
			return [][]byte{update(g[0], none)}
		}, false},
		{"the committer's Remove by another", "proposals.own-remove", func(g []*Group) [][]byte {
			return [][]byte{remove(g[2], 0)}
		}, false},
		{"one reference twice", "commit.reference", func(g []*Group) [][]byte {
			return [][]byte{remove(g[2], 1)}
		}, true},
	}
}

// TestUpdatesTogether: Updates that are good one by one, in a commit that leaves a bad tree.
func TestUpdatesTogether(t *testing.T) {
	groups := trio(t)
	key := must(groups[0].at.suite.generateHPKE())(t).pub
	for _, c := range []struct {
		name, rule string
		edit       func(*leafNode)
		from       []*Group
	}{
		{"the key of a member", "tree.unique-encryption-key", func(l *leafNode) { l.encryptionKey = groups[0].at.tree.leaf(0).encryptionKey }, groups[2:]},
		{"the key of a parent", "tree.unique-encryption-key", func(l *leafNode) { l.encryptionKey = groups[0].at.tree.node(1).encryptionKey() }, groups[2:]},
		{"two with one key", "tree.unique-encryption-key", func(l *leafNode) { l.encryptionKey = key }, groups[1:]},
		{"without the group's extension", "group.extension-support", func(l *leafNode) { l.capabilities.extensions = nil }, groups[2:]},
		{"nothing wrong", "", func(*leafNode) {}, groups[1:]},
	} {
		var list []listed
		for _, g := range c.from {
			list = append(list, listed{proposal: updateWith(t, g, c.edit), from: fromMember(g.OwnLeaf())})
		}
		pl, err := groups[0].at.apply(list, 0, new(Application))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err = pl.finish(); c.rule != "" {
			wantRule(t, c.name, err, c.rule)
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestNewExtensionsJudgeTheAdds: what a commit adds must fit the extensions that the same
// commit sets, and not those that it replaces (RFC 9420 section 12.3).
func TestNewExtensionsJudgeTheAdds(t *testing.T) {
	groups := trio(t) // every member knows testExtension, and the group has it
	key := signatureKey(t)
	plain, _, err := NewKeyPackage(KeyPackageConfig{
		Suite: DefaultSuite, Credential: basic("d"), SignatureKey: key, NotBefore: testNow.Add(-1), NotAfter: testNow.Add(1 << 40),
	})
	if err != nil {
		t.Fatal(err)
	}
	params := CommitParams{Add: []*KeyPackage{plain}, Now: testNow}
	wantRule(t, "extension that it lacks", second(groups[0].Commit(params)), "group.extension-support")
	params.Extensions = new([]Extension)
	c := must(groups[0].Commit(params))(t)
	deliver(t, c.Message(), groups[1:])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	agree(t, groups)
	params = CommitParams{Extensions: &[]Extension{{Type: testExtension}}, Remove: []LeafIndex{3}}
	must(groups[1].Commit(params))(t) // who lacks it goes
	params.Remove = []LeafIndex{2}
	wantRule(t, "extension that comes", second(groups[1].Commit(params)), "group.extension-support")
}
