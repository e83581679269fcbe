package mls

import (
	"bytes"
	"errors"
	"slices"
)

// commitBuilder makes one commit.
type commitBuilder struct {
	group  *Group
	plan   *plan
	params *CommitParams
	commit *commit

	held         privateTree
	signatureKey SignaturePrivateKey
	path         *freshPath // nil without a path
}

func (b *commitBuilder) build() (*StagedCommit, error) {
	commitSecret, err := b.assemble()
	if err != nil {
		return nil, err
	}
	return b.seal(commitSecret)
}

// assemble fills the commit in and finishes the plan. It returns the commit secret.
func (b *commitBuilder) assemble() (secret, error) {
	g, pl := b.group, b.plan
	for _, l := range pl.list {
		if l.queued != nil {
			b.commit.proposals = append(b.commit.proposals, proposalOrRef{ref: l.queued.ref})
		} else {
			b.commit.proposals = append(b.commit.proposals, proposalOrRef{proposal: l.proposal})
		}
	}
	if err := b.commit.checkCounts(); err != nil {
		return nil, err
	}
	b.held, b.signatureKey = g.at.held.prune(pl.tree), g.at.signatureKey
	if b.params.withPath(pl) {
		if err := b.renew(); err != nil {
			return nil, err
		}
	}
	if err := pl.complete(b.path != nil); err != nil {
		return nil, err
	}
	if b.path == nil {
		return make(secret, g.at.suite.nh), nil
	}
	nodes, err := pl.tree.encryptPath(b.path, pl.ctx.bytes(), pl.added)
	b.commit.path.nodes = nodes
	return b.path.commitSecret, err
}

// renew puts a fresh leaf and fresh keys above it into the tree.
func (b *commitBuilder) renew() error {
	g, pl := b.group, b.plan
	leafKey, err := g.at.suite.generateHPKE()
	if err != nil {
		return err
	}
	if !b.params.NewSignatureKey.isZero() {
		b.signatureKey = b.params.NewSignatureKey
	}
	if b.path, err = pl.tree.newPath(g.at.own); err != nil {
		return err
	}
	leaf := g.renewedLeaf(leafKey, b.signatureKey, b.params.NewCredential, b.params.NewLeafExtensions,
		b.params.SupportedExtensions)
	leaf.source = sourceCommit
	leaf.parentHash = pl.tree.setPath(g.at.own, b.path.steps, b.path.publicKeys())
	if err := leaf.sign(g.at.suite, b.signatureKey, g.at.ctx.groupID, g.at.own); err != nil {
		return err
	}
	if err := g.at.checkReplacement(leaf, g.at.own, g.app.Credentials, CredentialCommit); err != nil {
		return err
	}
	pl.tree.set(g.at.own.node(), &node{leaf: leaf})
	b.held = b.held.prune(pl.tree)
	b.held[g.at.own.node()] = leafKey
	for i, step := range b.path.steps {
		b.held[step.node] = b.path.keys[i]
	}
	b.commit.path = &updatePath{leaf: leaf}
	return nil
}

// renewedLeaf is the own leaf with a new encryption key and the changes asked for; source,
// parent hash and signature are the caller's.
func (g *Group) renewedLeaf(leafKey *hpkePrivate, signatureKey SignaturePrivateKey, credential *Credential,
	extensions *[]Extension, supported []ExtensionType,
) *leafNode {
	leaf := *g.at.tree.leaf(g.at.own)
	leaf.encryptionKey, leaf.signatureKey = leafKey.pub, signatureKey.Public()
	leaf.lifetime, leaf.parentHash = lifetime{}, nil
	if credential != nil {
		leaf.credential = credential.clone()
	}
	if extensions != nil {
		leaf.extensions = cloneExtensions(*extensions)
	}
	if supported != nil {
		leaf.capabilities = newCapabilities(g.Suite(), supported, leaf.capabilities.proposals, leaf.extensions, g.at.ctx.extensions)
	} else if extensions != nil {
		// Keep what was announced before, and announce what is new.
		leaf.capabilities = newCapabilities(g.Suite(), leaf.capabilities.extensions, leaf.capabilities.proposals, leaf.extensions)
	}
	return &leaf
}

// findPSK finds a key that the commit names.
func (b *commitBuilder) findPSK(id preSharedKeyID) ([]byte, error) {
	if l := b.params.link; l != nil && id.links() {
		return l.psk, nil
	}
	return b.group.findPSK(id)
}

// seal signs the commit, advances the key schedule, tags and encrypts the commit, and writes
// the invitations.
func (b *commitBuilder) seal(commitSecret secret) (*StagedCommit, error) {
	g, pl, s := b.group, b.plan, b.group.at.suite
	content := g.content(contentCommit, bytes.Clone(b.params.AAD))
	content.commit = b.commit
	content.body = content.covered()
	a, err := g.signHandshake(content, b.params.Public)
	if err != nil {
		return nil, err
	}
	psk, err := findPSKs(s, b.findPSK, pl.psks)
	if err != nil {
		return nil, err
	}
	next := &EpochView{
		PublicView: pl.nextView(a),
		own:        g.at.own, held: b.held, signatureKey: b.signatureKey,
	}
	joinerSecret := s.joinerSecret(g.at.secrets.init, commitSecret, next.ctx)
	keys := next.begin(s.epochSecret(joinerSecret, psk, next.ctx))
	a.auth.confirmationTag = s.mac(next.secrets.confirmationKey, next.ctx.confirmedTranscriptHash)
	next.confirm(a.auth.confirmationTag)

	welcomes, err := b.invite(next, joinerSecret, s.groupInfoKey(s.welcomeSecret(joinerSecret, psk)))
	if err != nil {
		return nil, err
	}
	msg, err := g.sendHandshake(a)
	if err != nil {
		return nil, err
	}
	g.commits = append(slices.Clip(g.commits), a.whole(g.at.ctx))
	c := pl.newStaged(a, msg)
	c.welcomes, c.next, c.keys = welcomes, next, keys
	return c, nil
}

// invite writes one Welcome for each joiner. They share the encrypted GroupInfo.
func (b *commitBuilder) invite(next *EpochView, joinerSecret secret, k messageKey) ([]Welcome, error) {
	if len(b.plan.joiners) == 0 {
		return nil, nil
	}
	s := next.suite
	info, err := next.groupInfo(GroupInfoParams{Tree: b.params.TreeInWelcome})
	if err != nil {
		return nil, err
	}
	sealed, err := s.aeadSeal(k.key, k.nonce, nil, encode(info, writeGroupInfo))
	if err != nil {
		return nil, err
	}
	out := make([]Welcome, len(b.plan.joiners))
	return out, inParallel(len(out), func(i int) error {
		j := b.plan.joiners[i]
		secrets := &groupSecrets{joinerSecret: joinerSecret, psks: b.plan.psks}
		if b.path != nil {
			meet := commonAncestor(j.leaf.node(), next.own.node())
			if secrets.pathSecret = b.path.secretAt(meet); secrets.pathSecret == nil {
				return errors.New("mls: path passes a joiner by") // its leaf is occupied
			}
		}
		ct, err := s.encryptWithLabel(j.kp.initKey, "Welcome", sealed, encode(secrets, writeGroupSecrets))
		if err != nil {
			return err
		}
		w := Welcome{Leaf: j.leaf, KeyPackageRef: j.kp.Ref()}
		m := &welcome{
			suite: s.id, encryptedGroupInfo: sealed,
			secrets: []encryptedGroupSecrets{{newMember: w.KeyPackageRef, secrets: ct}},
		}
		w.Message = encode(&message{wireFormat: wireFormatWelcome, welcome: m}, writeMessage)
		out[i] = w
		return nil
	})
}
