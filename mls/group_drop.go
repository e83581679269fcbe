package mls

// DropProposals forgets every proposal that waits for a commit, own ones with the keys of their
// Updates, for applications whose members change a group by commits alone. Own proposals that
// have not come back yet will wait once they do, as they will at the others.
//
// A commit that refers to what was dropped is [ErrInvalidCommit], an own one as well: it is made
// again. What was dropped is [ErrConsumed] if it comes once more in this epoch; after 4,096 of
// them all proposals of the epoch are [ErrLimit]. For all members to agree, all of them drop at
// the same place of the log.
func (g *Group) DropProposals() { g.queue, g.dropped = nil, g.queue.drop(g.dropped) }

// DropProposals is [Group.DropProposals] of whoever follows a group whose members drop, at the
// same places of the log.
func (g *PublicGroup) DropProposals() { g.queue, g.dropped = nil, g.queue.drop(g.dropped) }
