package mls

// linked is the resumption PSK for a ReInit or a branch among those of a Welcome, nil without.
func linked(ids []preSharedKeyID) *preSharedKeyID {
	for i, id := range ids {
		if id.links() {
			return &ids[i]
		}
	}
	return nil
}

func (p preSharedKeyID) links() bool { return p.kind == pskResumption && p.usage != usageApplication }

// find looks up a pre-shared key of a Welcome. What links the group to another one, only the
// other group itself can open.
func (p *JoinParams) find(id preSharedKeyID) ([]byte, error) {
	if !id.links() {
		return p.Application.find(id)
	}
	if p.Parent != nil {
		if psk := p.Parent.resumption(id); psk != nil {
			return psk, nil
		}
	}
	return nil, &PSKError{ID: id.public()}
}

// checkParent verifies that a group whose Welcome names ids is what it says: the successor of
// the parent that a ReInit closed (RFC 9420 section 11.2) or a branch of it (section 11.3).
// The keys were found, so an id that links is one of the parent.
func (p *JoinParams) checkParent(ids []preSharedKeyID, ctx *groupContext, t *ratchetTree) error {
	id := linked(ids)
	if id == nil {
		if p.Parent != nil {
			return broken("welcome.parent", "the group is linked to no other")
		}
		return nil
	}
	if ctx.epoch != 1 {
		return broken("successor.epoch", "epoch %d", ctx.epoch)
	}
	old := p.Parent.at
	switch {
	case id.usage == usageReInit && (id.epoch != old.ctx.epoch || old.reInit == nil || !old.reInit.matches(ctx)):
		return broken("reinit.parameters", "not the group that the ReInit speaks of")
	case id.usage == usageBranch && ctx.suite != old.ctx.suite:
		return broken("branch.suite", "suite %d, the old group has %d", ctx.suite, old.ctx.suite)
	}
	var fresh []Credential
	for _, leaf := range t.members {
		fresh = append(fresh, leaf.credential)
	}
	return p.Application.checkMembers(fresh, p.Parent.credentials(id.epoch), id.usage)
}
