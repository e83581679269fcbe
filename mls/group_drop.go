package mls

// DropProposals forgets every proposal that waits for a commit or has not come back yet, own
// ones with the keys of their Updates, for applications whose members change a group by
// commits alone. A commit that refers to one of them is then [ErrInvalidCommit] here: for all
// members to agree, all of them drop at the same place of the log.
func (g *Group) DropProposals() { g.queue, g.sent = nil, nil }
