package bench

import (
	"fmt"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// populatedGroup makes a group whose every member has committed once. To let a thousand
// members join and commit one after the other would take hours, so all but three are laid
// out as a tree that such commits leave behind, in the encoding of RFC 9420 and by a second
// hand: mls checks every signature and hash of it when the first of the three joins. The
// three then join, and commit, as members do.
func populatedGroup(s mls.Suite, members int) (*largeGroup, error) {
	if members < 4 {
		return nil, fmt.Errorf("a populated group has at least four members, not %d", members)
	}
	g := &largeGroup{now: time.Now()}
	three, err := newPeople(s, 3, g.now)
	if err != nil {
		return nil, err
	}
	first, near, far := three[0], three[1], three[2]
	laid, err := layOut(s, members, first.package_)
	if err != nil {
		return nil, err
	}
	invitation, err := laid.invite(first.package_)
	if err != nil {
		return nil, err
	}
	if g.committer, err = mls.Join(invitation, first.secrets, mls.JoinParams{Tree: laid.tree(), Now: g.now}); err != nil {
		return nil, err
	}
	welcomes, err := addAll(g.committer, []person{near, far}, g.now)
	if err != nil {
		return nil, err
	}
	tree := g.committer.RatchetTree()
	if g.near, err = mls.Join(welcomes[0].Message, near.secrets, mls.JoinParams{Tree: tree, Now: g.now}); err != nil {
		return nil, err
	}
	if g.far, err = mls.Join(welcomes[1].Message, far.secrets, mls.JoinParams{Tree: tree, Now: g.now}); err != nil {
		return nil, err
	}
	all := []*mls.Group{g.committer, g.near, g.far}
	for _, by := range all {
		if err := commitPath(by, all, g.now); err != nil {
			return nil, err
		}
	}
	return g, g.complete(s)
}

// commitPath has one member renew its path, and all follow.
func commitPath(by *mls.Group, all []*mls.Group, now time.Time) error {
	c, err := by.Commit(mls.CommitParams{Path: true, Now: now})
	if err != nil {
		return err
	}
	for _, g := range all {
		if g == by {
			err = g.Merge(c)
		} else {
			var received mls.Received
			if received, err = g.Process(c.Message()); err == nil {
				err = g.Merge(received.(*mls.StagedCommit))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
