package mls

import (
	"errors"
	"maps"
	"slices"
)

// A FollowError is [ErrCannotFollow], and says who made the commit: its signature was verified.
type FollowError struct {
	Committer LeafIndex
	cause     error
}

// Error says what this member could not open, without any of its secrets.
func (e *FollowError) Error() string { return ErrCannotFollow.Error() + ": " + e.cause.Error() }

// Is matches [ErrCannotFollow].
func (e *FollowError) Is(target error) bool { return target == ErrCannotFollow }

// Unwrap returns why this member cannot follow.
func (e *FollowError) Unwrap() error { return e.cause }

// processCommit checks a commit and follows it. An error that is not [ErrCannotFollow] is
// about the public checks, which come first and use nothing that is this member's alone.
func (g *Group) processCommit(a *authenticatedContent, msg []byte) (*StagedCommit, error) {
	pl, err := g.at.planCommit(a, g.queue, &g.app)
	if err != nil {
		return nil, err
	}
	c := pl.newStaged(a, msg)
	if pl.removesLeaf(g.at.own) {
		return c, nil // somebody else may have been given our place
	}
	if c.next, c.keys, err = g.at.follow(pl, a, g.findPSK); err != nil {
		return nil, &FollowError{Committer: pl.committer, cause: err}
	}
	return c, nil
}

// planCommit is all of the public checks of a commit whose signature was verified.
func (e *PublicView) planCommit(a *authenticatedContent, queue proposalQueue, app *Application) (*plan, error) {
	if len(a.auth.confirmationTag) != e.suite.nh {
		return nil, broken("commit.confirmation-tag", "tag of %d bytes", len(a.auth.confirmationTag))
	}
	list, err := queue.resolve(a)
	if err != nil {
		return nil, err
	}
	return e.checkCommit(a, list, app)
}

// checkCommit is the public part of processing a commit (RFC 9420 section 12.4.2): proposals,
// path, tree and parent hashes, policy. The message's signature was verified before.
func (e *PublicView) checkCommit(a *authenticatedContent, list []listed, app *Application) (*plan, error) {
	if err := e.checkOpen(); err != nil {
		return nil, err
	}
	path := a.content.commit.path
	pl, err := e.plan(a, list, app)
	if err != nil {
		return nil, err
	}
	if path == nil {
		if pl.needPath || len(list) == 0 {
			return nil, broken("commit.path", "path is missing")
		}
		return pl, pl.complete(false)
	}
	if path.leaf.source != sourceCommit {
		return nil, broken("path.source", "leaf node source %d", path.leaf.source)
	}
	if pl.external {
		err = pl.checkJoiner(path.leaf)
	} else {
		err = e.checkReplacement(path.leaf, pl.committer, app.Credentials, CredentialCommit)
	}
	if err != nil {
		return nil, err
	}
	pl.steps = pl.tree.filteredPath(pl.committer)
	if err := pl.tree.checkPath(path, pl.steps, pl.added); err != nil {
		return nil, err
	}
	if err := pl.tree.mergePath(pl.committer, path, pl.steps); err != nil {
		return nil, err
	}
	return pl, pl.complete(true)
}

// plan applies a commit's list, by the rules for who made it.
func (e *PublicView) plan(a *authenticatedContent, list []listed, app *Application) (*plan, error) {
	if a.content.sender.kind == senderNewMemberCommit {
		return e.applyExternal(list, app)
	}
	return e.apply(list, a.content.sender.leaf(), app)
}

// complete ends the public checks; the application's is the last of them.
func (p *plan) complete(withPath bool) error {
	if err := p.finish(); err != nil {
		return err
	}
	return p.judge(withPath)
}

var errConfirmation = errors.New("confirmation tag differs")

// follow computes the next epoch's secrets from this member's own.
func (e *EpochView) follow(pl *plan, a *authenticatedContent, find pskFinder) (*EpochView, *secretTree, error) {
	s := e.suite
	next := &EpochView{
		PublicView: pl.nextView(a),
		own:        e.own, signatureKey: e.signatureKey,
	}
	held := e.held
	if update, ok := pl.updateOf(e.own); ok {
		if update.queued == nil || update.queued.leafKey == nil {
			return nil, nil, errors.New("update of our leaf that we do not remember")
		}
		held = privateTree{e.own.node(): update.queued.leafKey}
		next.signatureKey = update.queued.signatureKey
	}
	next.held = held.prune(pl.tree)
	commitSecret := make(secret, s.nh)
	if path := a.content.commit.path; path != nil {
		_, fresh, secret, err := pl.tree.decryptPath(e.own, next.held, path, pl.steps, pl.ctx.bytes(), pl.added)
		if err != nil {
			return nil, nil, err
		}
		maps.Copy(next.held, fresh)
		commitSecret = secret
	}
	psk, err := findPSKs(s, find, pl.psks)
	if err != nil {
		return nil, nil, err
	}
	initSecret, err := e.initSecret(pl)
	if err != nil {
		return nil, nil, err
	}
	joinerSecret := s.joinerSecret(initSecret, commitSecret, next.ctx)
	keys := next.begin(s.epochSecret(joinerSecret, psk, next.ctx))
	if !s.verifyMAC(next.secrets.confirmationKey, next.ctx.confirmedTranscriptHash, a.auth.confirmationTag) {
		return nil, nil, errConfirmation
	}
	next.confirm(a.auth.confirmationTag)
	return next, keys, nil
}

// removesLeaf reports whether the commit removes the member at l.
func (p *plan) removesLeaf(l LeafIndex) bool {
	return slices.ContainsFunc(p.removes, func(m Member) bool { return m.Leaf == l })
}

// updateOf finds the Update of a member's own leaf.
func (p *plan) updateOf(l LeafIndex) (listed, bool) {
	for _, one := range p.list {
		if one.proposal.kind == proposalUpdate && one.from == fromMember(l) {
			return one, true
		}
	}
	return listed{}, false
}
