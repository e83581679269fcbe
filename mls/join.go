package mls

import (
	"bytes"
	"fmt"
	"time"
)

// JoinParams is what one joins with besides the Welcome.
type JoinParams struct {
	// Tree is the ratchet tree as [PublicView.RatchetTree] gives it, from any source: it is
	// checked against the hash in the Welcome. It may be nil if the Welcome itself holds the
	// tree, which then goes first.
	Tree []byte
	// Application is asked about every member, and for pre-shared keys.
	Application Application
	// Parent is the group that the new one takes the place of, or branches off, in the epoch
	// that the Welcome names: without it that is [ErrUnknownPSK], and the error says which group
	// and epoch are asked for. With a parent, a Welcome to any other group is refused.
	Parent *Group
	// Now must lie in the lifetime of every member that has not updated its leaf since it was
	// added. With the zero time lifetimes are not looked at, and [Member.Lifetime] lets the
	// caller deal with those who are overdue.
	Now time.Time
}

// Join enters a group with a Welcome (an MLSMessage) that was made for the KeyPackage of
// secrets (RFC 9420 section 12.4.3.1).
//
// The caller makes sure that it is in no group of this id yet, and deletes secrets once the
// new group is stored. Errors: [ErrNotForUs], [ErrTreeMismatch], [ErrInvalid],
// [ErrMalformed], [ErrExpired], [ErrUnsupported], [ErrUnknownPSK].
func Join(welcomeMessage []byte, secrets *KeyPackageSecrets, p JoinParams) (*Group, error) {
	m, err := parse(bytes.Clone(welcomeMessage), readMessage)
	if err != nil {
		return nil, err
	}
	if m.welcome == nil {
		return nil, fmt.Errorf("%w: wire format %d is no Welcome", ErrMalformed, m.wireFormat)
	}
	if m.welcome.suite != secrets.kp.suite {
		return nil, fmt.Errorf("%w: suite %d", ErrNotForUs, m.welcome.suite)
	}
	s, err := m.welcome.suite.lookup()
	if err != nil {
		return nil, err
	}
	opened, info, err := openWelcome(s, m.welcome, secrets.kp.Ref(), secrets.initKey, p.find)
	if err != nil {
		return nil, err
	}
	if info.context.suite != s.id {
		return nil, broken("groupinfo.suite", "suite %d in a Welcome of suite %d", info.context.suite, s.id)
	}
	t, err := receivedTree(s, info, bytes.Clone(p.Tree))
	if err != nil {
		return nil, err
	}
	if err := checkJoin(t, info, p.Application.Credentials, p.Now); err != nil {
		return nil, err
	}
	if err := p.checkParent(opened.psks, info.context, t); err != nil {
		return nil, err
	}
	e := &EpochView{PublicView: &PublicView{suite: s, ctx: info.context, tree: t}, signatureKey: secrets.signatureKey}
	if e.own, err = findLeaf(t, secrets.kp.leaf); err != nil {
		return nil, err
	}
	if err := e.holdWelcome(opened, info.signer, secrets.leafKey); err != nil {
		return nil, err
	}
	keys := e.begin(s.epochSecret(opened.joinerSecret, opened.pskSecret, e.ctx))
	if !s.verifyMAC(e.secrets.confirmationKey, e.ctx.confirmedTranscriptHash, info.confirmationTag) {
		return nil, broken("groupinfo.confirmation-tag", "tag does not verify")
	}
	e.confirm(info.confirmationTag)
	return &Group{at: e, app: p.Application, keys: keys, inviter: info.signer}, nil
}

// Inviter is the leaf that signed the GroupInfo of the Welcome by which g was just joined. It could
// have invented the secrets of the epoch: that others are in it too, only what they say shows. It is
// not saved.
func (g *Group) Inviter() LeafIndex { return g.inviter }

// receivedTree decodes the tree and compares its hash with the Welcome's: whoever stores
// trees can then only withhold them (ATTACKS B14).
func receivedTree(s *suite, info *groupInfo, given []byte) (*ratchetTree, error) {
	if data, ok := findExtension(info.extensions, extensionRatchetTree); ok {
		given = data
	}
	if given == nil {
		return nil, fmt.Errorf("%w: no tree is given", ErrTreeMismatch)
	}
	t, err := parse(given, s.readGivenTree)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTreeMismatch, err)
	}
	if !bytes.Equal(t.rootHash(), info.context.treeHash) {
		return nil, fmt.Errorf("%w: another hash", ErrTreeMismatch)
	}
	return t, nil
}

// checkJoin verifies GroupInfo and tree.
func checkJoin(t *ratchetTree, info *groupInfo, v CredentialValidator, now time.Time) error {
	signer := t.leaf(info.signer)
	if signer == nil {
		return broken("groupinfo.signer", "leaf %d is not a member", info.signer)
	}
	if err := info.verifySignature(t.suite, signer.signatureKey); err != nil {
		return err
	}
	if err := checkExtensionList(info.extensions, inGroupInfo); err != nil {
		return err
	}
	if err := checkExtensionList(info.context.extensions, inGroupContext); err != nil {
		return err
	}
	if err := t.checkReceived(info.context, v); err != nil {
		return err
	}
	senders, err := listExternalSenders(info.context.extensions)
	if err != nil {
		return err
	}
	for _, s := range senders {
		if err := s.judge(v, t.suite, knownSenders{}); err != nil {
			return err
		}
	}
	if now.IsZero() {
		return nil
	}
	for l, leaf := range t.members {
		if leaf.source != sourceKeyPackage {
			continue
		}
		if err := leaf.lifetime.check(now); err != nil {
			return fmt.Errorf("leaf %d: %w", l, err)
		}
	}
	return nil
}

// findLeaf finds the leaf that is identical to the KeyPackage's.
func findLeaf(t *ratchetTree, own *leafNode) (LeafIndex, error) {
	want := encode(own, writeLeafNode)
	for l, leaf := range t.members {
		if bytes.Equal(leaf.encryptionKey, own.encryptionKey) && bytes.Equal(encode(leaf, writeLeafNode), want) {
			return l, nil
		}
	}
	return 0, broken("welcome.own-leaf", "the tree does not hold our leaf")
}

// holdWelcome takes the leaf's key, and from the path secret, if there is one, those of the
// nodes that we share with the committer.
func (e *EpochView) holdWelcome(opened *groupSecrets, signer LeafIndex, leafKey *hpkePrivate) error {
	if signer == e.own {
		return broken("groupinfo.signer", "signed by our own leaf")
	}
	e.held = privateTree{}
	if opened.pathSecret != nil {
		var shared []pathStep
		for _, step := range e.tree.filteredPath(signer) {
			if step.node.contains(e.own.node()) {
				shared = append(shared, step)
			}
		}
		// The lowest node above both is on the path: our leaf is below it and not blank.
		held, _, err := e.tree.holdPath(opened.pathSecret, shared)
		if err != nil {
			return brokenBy("welcome.path-secret", err, "path secret of leaf %d", signer)
		}
		e.held = held
	}
	e.held[e.own.node()] = leafKey
	return nil
}
