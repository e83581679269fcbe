package mls

import "time"

// SuccessorConfig is what a group that grows out of another one begins with.
type SuccessorConfig struct {
	// KeyPackages are fresh ones of the other members, for the new group's suite. Each is
	// verified at Now.
	KeyPackages []*KeyPackage
	// SignatureKey is that of this member's leaf in the new group, for its suite.
	SignatureKey SignaturePrivateKey
	Credential   *Credential // nil: the one that this member has in the old group
	// LeafExtensions and SupportedExtensions are as in [KeyPackageConfig].
	LeafExtensions      []Extension
	SupportedExtensions []ExtensionType
	Path, TreeInWelcome bool // as in [CommitParams]
	Now                 time.Time
}

// Successor makes the group that takes the place of g, which a ReInit has closed (RFC 9420
// section 11.2), with the same members: KeyPackages holds one of every other member. Any
// member may do so; where several do, the delivery service says whose counts, and the others
// drop theirs. The new group is in epoch 1 and has g's application; the invitations are for
// [Join] with the old group as [JoinParams.Parent]. g stays as it is.
//
// Errors: [ErrInvalid] (with rule reinit.pending while g is open, successor.members for other
// members), [ErrUnsupported], [ErrExpired], [ErrRemoved].
func (g *Group) Successor(cfg SuccessorConfig) (*Group, []Welcome, error) {
	if g.removed {
		return nil, nil, ErrRemoved
	}
	r := g.at.reInit
	if r == nil {
		return nil, nil, broken("reinit.pending", "the group was not reinitialized")
	}
	if r.Version != versionMLS10 {
		return nil, nil, brokenBy("reinit.version", ErrUnsupported, "version %d", r.Version)
	}
	if _, err := r.Suite.lookup(); err != nil {
		return nil, nil, err
	}
	return g.grow(GroupConfig{Suite: r.Suite, GroupID: r.GroupID, Extensions: r.Extensions}, usageReInit, &cfg)
}

// Branch makes a group of some of g's members (RFC 9420 section 11.3): this one, and those
// whose KeyPackages are given. It has g's suite and application, and is in epoch 1. The
// invitations are for [Join] with g in its present epoch as [JoinParams.Parent]. g stays as
// it is.
//
// Errors: [ErrInvalid] (with rule successor.members for who is no member), [ErrExpired],
// [ErrRemoved], [ErrReInit].
func (g *Group) Branch(groupID []byte, extensions []Extension, cfg SuccessorConfig) (*Group, []Welcome, error) {
	if err := g.speaks(); err != nil {
		return nil, nil, err
	}
	return g.grow(GroupConfig{Suite: g.at.suite.id, GroupID: groupID, Extensions: extensions}, usageBranch, &cfg)
}

// link is the resumption PSK of the old group that ties a new one to it.
type link struct {
	id  preSharedKeyID
	psk secret
}

// grow makes the new group and its first commit, which nobody else ever sees.
func (g *Group) grow(begin GroupConfig, usage uint8, cfg *SuccessorConfig) (*Group, []Welcome, error) {
	begin.SignatureKey, begin.Credential = cfg.SignatureKey, g.at.tree.leaf(g.at.own).credential
	if cfg.Credential != nil {
		begin.Credential = *cfg.Credential
	}
	begin.LeafExtensions, begin.SupportedExtensions = cfg.LeafExtensions, cfg.SupportedExtensions
	begin.Application, begin.Now = g.app, cfg.Now
	fresh := []Credential{begin.Credential}
	for _, kp := range cfg.KeyPackages {
		fresh = append(fresh, kp.leaf.credential)
	}
	if err := g.app.checkMembers(fresh, g.credentials(g.at.ctx.epoch), usage); err != nil {
		return nil, nil, err
	}
	n, err := NewGroup(begin)
	if err != nil {
		return nil, nil, err
	}
	id, psk := g.at.ResumptionPSK()
	l := &link{psk: psk}
	if l.id, err = n.at.suite.newPSK(id); err != nil {
		return nil, nil, err
	}
	l.id.usage = usage
	c, err := n.Commit(CommitParams{Add: cfg.KeyPackages, Path: cfg.Path, TreeInWelcome: cfg.TreeInWelcome, Now: cfg.Now, link: l})
	if err != nil {
		return nil, nil, err
	}
	return n, c.Welcomes(), n.Merge(c)
}

// checkMembers verifies that each of the credentials, of the leaves of a new group, is that of
// a different member of the old one, and after a ReInit that nobody is missing (sections 11.2
// and 11.3).
func (app *Application) checkMembers(fresh, old []Credential, usage uint8) error {
	var left []Credential // members that are not found again yet
	have := map[string]int{}
	for _, c := range fresh {
		have[string(encode(c, writeCredential))]++
	}
	for _, c := range old {
		if name := string(encode(c, writeCredential)); have[name] > 0 {
			have[name]--
		} else {
			left = append(left, c)
		}
	}
	for _, c := range fresh {
		name := string(encode(c, writeCredential))
		if have[name] == 0 {
			continue
		}
		have[name]--
		at := -1
		for i, o := range left {
			if app.SameClient != nil && app.SameClient(o, c) {
				at = i
				break
			}
		}
		if at < 0 {
			return broken("successor.members", "somebody is no member of the old group")
		}
		left = append(left[:at], left[at+1:]...)
	}
	if usage == usageReInit && len(left) > 0 {
		return broken("successor.members", "%d members of the old group are missing", len(left))
	}
	return nil
}
