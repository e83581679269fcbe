package main

import (
	"fmt"

	"github.com/sealpost/sealpost/mls"
)

// tally counts what a commit should do. A commit leaves out proposals that clash, which is
// right for a group and would hide a fault from the runner.
type tally struct {
	adds, updates, removes int
	extensions, reInit     bool
}

func (t *tally) add(p mls.ProposalParams) {
	switch {
	case p.Add != nil:
		t.adds++
	case p.Remove != nil:
		t.removes++
	case p.Extensions != nil:
		t.extensions = true
	case p.ReInit != nil:
		t.reInit = true
	}
}

func (t *tally) addQueued(q *mls.QueuedProposal) {
	t.add(mls.ProposalParams{Add: q.Add, Remove: q.Remove, Extensions: q.Extensions, ReInit: q.ReInit})
	if q.Update != nil {
		t.updates++
	}
}

// check compares a commit with what it should do.
func (t *tally) check(c *mls.StagedCommit) error {
	updates := 0 // without the committer's own
	for _, u := range c.Updates() {
		if u.Leaf != c.Sender() {
			updates++
		}
	}
	_, extensions := c.Extensions()
	got := tally{adds: len(c.Adds()), updates: updates, removes: len(c.Removes()), extensions: extensions, reInit: c.ReInit() != nil}
	if got != *t {
		return fmt.Errorf("commit takes %+v of the proposals %+v", got, *t)
	}
	return nil
}
