package mls

// DropProposals forgets the proposals of others that wait for a commit, for applications
// whose members change a group by commits alone. A commit that refers to one of them is then
// [ErrInvalidCommit] here; for all members to agree, all of them drop.
func (g *Group) DropProposals() { g.queue, g.sent = nil, nil }
