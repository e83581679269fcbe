package mls

import (
	"errors"
	"testing"
)

// withTree is the view with a node of its tree changed, and hashes that fit.
func (e *EpochView) withTree(x nodeIndex, n *node) *EpochView {
	view, ctx, pub := *e, *e.ctx, *e.PublicView
	pub.tree = e.tree.clone()
	pub.tree.set(x, n)
	ctx.treeHash = pub.tree.rootHash()
	pub.ctx, view.PublicView = &ctx, &pub
	return &view
}

// TestForgedTree: a stored tree in which a node names a member that is not below it is found
// out, also where all hashes and sums fit. A commit in it would reach outside.
func TestForgedTree(t *testing.T) {
	groups := trio(t)
	g := groups[2]
	staged := must(g.Commit(CommitParams{}))(t)
	pub := must(NewPublicGroup(groupInfoFor(t, g), nil, Application{}))(t)
	for x, p := range g.at.tree.parents {
		for name, unmerged := range map[string][]LeafIndex{"outside": {40000}, "blank": {3}, "twice": {0, 0}} {
			bad := *p
			bad.unmerged = unmerged
			forged := g.Clone()
			forged.at = g.at.withTree(x, &node{parent: &bad})
			if _, err := LoadGroup(stored(forged), Application{}); !errors.Is(err, ErrCorrupt) {
				t.Errorf("group with leaf %s at node %d: %v, want ErrCorrupt", name, x, err)
			}
			commit := *staged
			commit.next = staged.next.withTree(x, &node{parent: &bad})
			if _, err := g.LoadCommit(must(commit.MarshalBinary())(t)); !errors.Is(err, ErrCorrupt) {
				t.Errorf("commit with leaf %s at node %d: %v, want ErrCorrupt", name, x, err)
			}
			outside := pub.Clone()
			outside.at = forged.at.PublicView
			if _, err := UnmarshalPublicGroup(must(outside.MarshalBinary())(t), Application{}); !errors.Is(err, ErrCorrupt) {
				t.Errorf("public group with leaf %s at node %d: %v, want ErrCorrupt", name, x, err)
			}
		}
	}
}

// TestForgedQueue: a stored proposal that nobody in the tree can have made, or about nobody in
// it, is found out. A commit that refers to it would change leaves that are not there.
func TestForgedQueue(t *testing.T) {
	groups := trio(t)
	pub := must(NewPublicGroup(groupInfoFor(t, groups[0]), nil, Application{}))(t)
	said := map[string][]byte{
		"update": must(groups[1].Propose(ProposalParams{Update: true, Public: true}))(t),
		"remove": must(groups[1].Propose(ProposalParams{Remove: new(LeafIndex(2)), Public: true}))(t),
	}
	for _, msg := range said {
		must(groups[0].Process(msg))(t)
		must(pub.Process(msg))(t)
	}
	for name, edit := range map[string]func(*framedContent) bool{
		"nothing": func(c *framedContent) bool { return true },
		"by a leaf outside the tree": func(c *framedContent) bool {
			c.sender.index = 9999
			return true
		},
		"by a blank leaf": func(c *framedContent) bool {
			c.sender.index = 3
			return true
		},
		"an Update by somebody outside": func(c *framedContent) bool {
			c.sender = sender{kind: senderExternal}
			return c.proposal.kind == proposalUpdate
		},
		"a Remove by who joins": func(c *framedContent) bool {
			c.sender = sender{kind: senderNewMemberCommit}
			return c.proposal.kind == proposalRemove
		},
		"a Remove of a leaf outside the tree": func(c *framedContent) bool {
			p := *c.proposal
			p.remove = 9999
			c.proposal = &p
			return p.kind == proposalRemove
		},
		"no proposal": func(c *framedContent) bool {
			c.proposal, c.contentType, c.application = nil, contentApplication, []byte("x")
			return true
		},
	} {
		for _, q := range pub.queue {
			bad, content, inner := *q, *q.content, *q.content.content
			if !edit(&inner) {
				continue
			}
			inner.body = nil
			content.content, bad.content = &inner, &content
			asQueued, asSent, outside := groups[0].Clone(), groups[0].Clone(), pub.Clone()
			asQueued.queue = proposalQueue{&bad}
			asSent.sent = []*queuedProposal{&bad}
			outside.queue = proposalQueue{&bad}
			for where, err := range map[string]error{
				"waits":             second(LoadGroup(stored(asQueued), Application{})),
				"has not come back": second(LoadGroup(stored(asSent), Application{})),
				"waits outside":     second(UnmarshalPublicGroup(must(outside.MarshalBinary())(t), Application{})),
			} {
				if errors.Is(err, ErrCorrupt) == (name == "nothing") {
					t.Errorf("%s, which %s: %v", name, where, err)
				}
			}
		}
	}
}
