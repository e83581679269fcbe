package mls

// CommitCheck is what a [CommitValidator] judges: a commit and the epoch that it ends. It
// must not be changed or kept.
type CommitCheck struct {
	// Before is the epoch that the commit ends.
	Before *PublicView
	// Sender is the committer as it is in Before, or, in an External commit, as it will be: it
	// makes itself a member by it, perhaps in the place of the one among Removes. What makes an
	// external commit impossible to follow is in its secret part and known to its maker alone,
	// as in every commit: a policy that allows them trusts those who can get a GroupInfo.
	Sender   Member
	External bool
	// Adds and Updates are members as they will be, Removes as they are; Updates holds the
	// sender too if the commit has a path, Adds if it is external. As of a [StagedCommit].
	Adds, Removes, Updates []Member
	// Extensions are those of the group context as they will be; ExtensionsChanged tells that
	// the commit sets them, perhaps to what they were.
	Extensions        []Extension
	ExtensionsChanged bool
	// PSKs are the pre-shared keys that the commit names. Nobody can tell who has them: a
	// policy that allows them trusts members not to lock others out.
	PSKs []PSKID
	// ReInit is how the commit reinitializes the group, nil if it does not. It closes the group.
	ReInit *ReInit
	// Ephemeral and Custom are what the commit's AppEphemeral and custom proposals say, in
	// their order.
	Ephemeral []ComponentData
	Custom    []CustomProposal
}

// A CommitValidator is a [CredentialValidator] that also judges what a commit does: the
// group's policy. Being among the public checks, it comes after all others of them and
// before any secret is used, so that a commit against the policy is [ErrInvalidCommit] for
// every member, also for one that could not have followed it, and for one that it removes.
// Own commits are judged too, before they are made, pending proposals perhaps several times.
//
// ValidateCommit is a pure function of its argument: no clock, storage or network, nothing
// that two members could see differently. A non-nil error refuses; it stays reachable by
// errors.Is and errors.As in the error that the caller gets.
type CommitValidator interface {
	CredentialValidator
	ValidateCommit(CommitCheck) error
}

// judge asks the application about a plan. Its tree is as the commit leaves it, but for the
// committer's leaf while an own commit is being chosen.
func (p *plan) judge(withPath bool) error {
	v, ok := p.app.Credentials.(CommitValidator)
	if !ok {
		return nil
	}
	adds, updates := p.newMembers(withPath)
	before := p.base.tree
	if p.external {
		before = p.tree
	}
	err := v.ValidateCommit(CommitCheck{
		Before: p.base, Sender: newMember(p.committer, before.leaf(p.committer)), External: p.external,
		Adds: adds, Removes: p.removes, Updates: updates,
		Extensions: cloneExtensions(p.extensions), ExtensionsChanged: p.newExtension,
		PSKs: proposedPSKs(p.psks), ReInit: p.reInit.clone(),
		Ephemeral: p.ephemerals, Custom: p.custom,
	})
	if err != nil {
		return brokenBy("commit.policy", err, "refused by the application")
	}
	return nil
}

// newMembers lists the members whose leaves a commit adds or replaces.
func (p *plan) newMembers(withPath bool) (adds, updates []Member) {
	for _, j := range p.joiners {
		adds = append(adds, newMember(j.leaf, j.kp.leaf))
	}
	for _, l := range p.updates {
		updates = append(updates, newMember(l, p.tree.leaf(l)))
	}
	switch {
	case p.external:
		adds = append(adds, newMember(p.committer, p.tree.leaf(p.committer)))
	case withPath:
		updates = append(updates, newMember(p.committer, p.tree.leaf(p.committer)))
	}
	return adds, updates
}
