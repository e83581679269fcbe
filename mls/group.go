package mls

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"
)

// Group is this member's state of one group: the current epoch, its message keys and the
// proposals that wait for a commit. It is not safe for concurrent use, and cannot be
// printed.
type Group struct {
	at      *EpochView // immutable, shared with clones
	app     Application
	keys    *secretTree
	past    []*pastEpoch // kept, the newest last
	queue   proposalQueue
	dropped signedLog           // proposals of this epoch that DropProposals has dropped
	sent    []*queuedProposal   // own, not back from the delivery service yet
	commits [][sha256.Size]byte // digests of the commits that this member made in this epoch
	signed  signedLog           // content that this member has signed in this epoch
	spoken  uint32              // first generation of the own handshake ratchet that it has not used
	ahead   ratchet             // that ratchet, where the last message took it; may be missing
	removed bool
	inviter LeafIndex // see Inviter

	saved  *snapshot // what the caller's store holds; nil: nothing
	saving *snapshot // of the last Save; nil: it is stored
	listed []Record  // by Save since the last Saved: what of it is stored is not known
}

// GroupConfig is what a group begins with.
type GroupConfig struct {
	Suite Suite
	// GroupID is any bytes, which no other group of the delivery service may have.
	GroupID      []byte
	Credential   Credential
	SignatureKey SignaturePrivateKey // of this suite
	Extensions   []Extension         // of the group context
	// The next four are as in [KeyPackageConfig].
	LeafExtensions      []Extension
	SupportedExtensions []ExtensionType
	SupportedProposals  []ProposalType
	Components          []ComponentID
	Application         Application
	// Now begins the lifetime of the creator's leaf, which is [MaxLifetime].
	Now time.Time
}

// creatorSkew is how long before Now the creator's leaf is valid already, for members whose
// clock is behind.
const creatorSkew = 24 * time.Hour

// NewGroup creates a group of one member (RFC 9420 section 11), in epoch 0. Errors:
// [ErrUnsupported] for the suite, [ErrInvalid] for extensions or a credential against the RFC,
// [ErrExpired] for a Now before 1970. A signature key of another suite is refused.
func NewGroup(cfg GroupConfig) (*Group, error) {
	s, err := cfg.Suite.lookup()
	if err != nil {
		return nil, err
	}
	leafKey, err := s.generateHPKE()
	if err != nil {
		return nil, err
	}
	begin := cfg.Now.Add(-creatorSkew).Unix()
	if begin < 0 {
		return nil, fmt.Errorf("%w: creation before 1970", ErrExpired)
	}
	leaf := &leafNode{
		encryptionKey: leafKey.pub, signatureKey: cfg.SignatureKey.Public(), credential: cfg.Credential.clone(),
		capabilities: newCapabilities(cfg.Suite, cfg.SupportedExtensions, cfg.SupportedProposals, cfg.Extensions, cfg.LeafExtensions),
		source:       sourceKeyPackage,
		lifetime:     lifetime{notBefore: uint64(begin), notAfter: uint64(begin) + uint64(MaxLifetime/time.Second)},
		extensions:   cloneExtensions(cfg.LeafExtensions),
	}
	if leaf.extensions, err = announceComponents(leaf.extensions, leaf.capabilities.extensions, cfg.Components); err != nil {
		return nil, err
	}
	if err := leaf.sign(s, cfg.SignatureKey, nil, 0); err != nil {
		return nil, err
	}
	if err := leaf.checkItself(s); err != nil {
		return nil, err
	}
	tree := newRatchetTree(s, leaf)
	e := &EpochView{
		PublicView: &PublicView{suite: s, tree: tree, ctx: &groupContext{
			suite: s.id, groupID: bytes.Clone(cfg.GroupID), treeHash: tree.rootHash(),
			confirmedTranscriptHash: []byte{}, extensions: cloneExtensions(cfg.Extensions),
		}},
		held: privateTree{0: leafKey}, signatureKey: cfg.SignatureKey,
	}
	if err := e.checkExtensions(e.ctx.extensions, cfg.Application.Credentials); err != nil {
		return nil, err
	}
	if err := tree.checkMembers(e.ctx.extensions); err != nil {
		return nil, err
	}
	epochSecret := make(secret, s.nh)
	_, _ = rand.Read(epochSecret) // never fails, by the documentation of crypto/rand
	keys := e.begin(epochSecret)
	e.confirm(s.mac(e.secrets.confirmationKey, e.ctx.confirmedTranscriptHash))
	return &Group{at: e, app: cfg.Application, keys: keys}, nil
}

// Format prints "redacted" for every verb.
func (*Group) Format(f fmt.State, _ rune) { printRedacted(f) }

// LogValue returns "redacted".
func (*Group) LogValue() slog.Value { return slog.StringValue(redacted) }

// View is the current epoch. It stays as it is when the group moves on.
func (g *Group) View() *EpochView { return g.at }

// ID is the group id.
func (g *Group) ID() []byte { return g.at.ID() }

// Epoch is the current epoch's number.
func (g *Group) Epoch() uint64 { return g.at.Epoch() }

// Suite is the group's cipher suite.
func (g *Group) Suite() Suite { return g.at.suite.id }

// OwnLeaf is this member's place.
func (g *Group) OwnLeaf() LeafIndex { return g.at.OwnLeaf() }

// Members lists the members in ascending order of their leaves.
func (g *Group) Members() []Member { return g.at.Members() }

// Member returns the member at a leaf; false if the leaf is blank.
func (g *Group) Member(l LeafIndex) (Member, bool) { return g.at.Member(l) }

// Extensions lists the group context's extensions.
func (g *Group) Extensions() []Extension { return g.at.Extensions() }

// GroupContextExtension returns one extension of the group context.
func (g *Group) GroupContextExtension(t ExtensionType) ([]byte, bool) {
	return g.at.GroupContextExtension(t)
}

// EpochAuthenticator is [EpochView.EpochAuthenticator] of the current epoch.
func (g *Group) EpochAuthenticator() []byte { return g.at.EpochAuthenticator() }

// TreeHash is [PublicView.TreeHash] of the current epoch.
func (g *Group) TreeHash() []byte { return g.at.TreeHash() }

// RatchetTree is [PublicView.RatchetTree] of the current epoch.
func (g *Group) RatchetTree() []byte { return g.at.RatchetTree() }

// Export is [EpochView.Export] of the current epoch; [ErrRemoved] for a former member.
func (g *Group) Export(label string, context []byte, length int) ([]byte, error) {
	if g.removed {
		return nil, ErrRemoved
	}
	return g.at.Export(label, context, length)
}

// Removed reports whether a merged commit removed this member. What is left then is the
// public state of the last epoch.
func (g *Group) Removed() bool { return g.removed }

// Sign signs with this member's leaf key, as [SignaturePrivateKey.Sign] does. A former member is
// [ErrRemoved].
func (g *Group) Sign(label string, content []byte) ([]byte, error) {
	if g.removed {
		return nil, ErrRemoved
	}
	return g.at.signatureKey.Sign(label, content)
}

// Clone is a copy that shares nothing that changes, so that a caller whose transaction fails
// can go back. Its cost does not depend on the group. Only one of the two may ever send: both
// would use the same keys.
func (g *Group) Clone() *Group {
	c := *g
	c.keys = g.keys.clone()
	return &c
}

// Encrypt makes an application message (RFC 9420 section 15: an MLSMessage with a PrivateMessage)
// and uses up one generation of the own ratchet: the caller stores what [Group.Save] lists
// together with the message before it sends it. The aad travels in the clear, signed. The message
// is longer than data, aad and group id by some 130 bytes, with ECDSA or Ed448 up to 210, with
// ML-DSA up to 4,700. Errors: [ErrPendingProposals] while proposals wait, [ErrLimit] for more than 2^28 bytes,
// [ErrInvalid] for an aad that is no SafeAAD in a group that demands one ([EncodeComponents]),
// [ErrRemoved], [ErrReInit].
func (g *Group) Encrypt(data, aad []byte) ([]byte, error) { return g.EncryptPadded(data, aad, 0) }

// EncryptPadded is [Group.Encrypt] with that many zero bytes of padding inside (section 6.3.1),
// which hide the length of data. They count for the limit.
func (g *Group) EncryptPadded(data, aad []byte, padding int) ([]byte, error) {
	if err := g.speaks(); err != nil {
		return nil, err
	}
	if len(g.queue) > 0 {
		return nil, ErrPendingProposals
	}
	if padding < 0 || padding > maxContent || len(data)+len(aad) > maxContent-padding {
		return nil, fmt.Errorf("%w: message of more than %d bytes", ErrLimit, maxContent)
	}
	aad, err := g.at.ctx.frameAAD(aad)
	if err != nil {
		return nil, err
	}
	c := g.content(contentApplication, aad)
	c.application = data
	a := &authenticatedContent{wireFormat: wireFormatPrivate, content: c}
	if err := a.sign(g.at.suite, g.at.signatureKey, g.at.ctx); err != nil {
		return nil, err
	}
	return g.protect(a, padding)
}

// maxContent keeps what is encoded well below the 1 GiB of a vector.
const maxContent = 1 << 28

// content begins a message of this member in this epoch.
func (g *Group) content(contentType uint8, aad []byte) *framedContent {
	return &framedContent{
		groupID: g.at.ctx.groupID, epoch: g.at.ctx.epoch,
		sender:            fromMember(g.at.own),
		authenticatedData: aad, contentType: contentType,
	}
}

// signHandshake signs a proposal or commit of our own for one of the two wire formats. Which of
// them it is, is part of what is signed.
func (g *Group) signHandshake(c *framedContent, public bool) (*authenticatedContent, error) {
	a := &authenticatedContent{wireFormat: wireFormatPrivate, content: c}
	if public {
		a.wireFormat = wireFormatPublic
	}
	return a, a.sign(g.at.suite, g.at.signatureKey, g.at.ctx)
}

// sendHandshake puts a signed proposal or commit of our own into its wire format.
func (g *Group) sendHandshake(a *authenticatedContent) ([]byte, error) {
	if a.wireFormat == wireFormatPrivate {
		return g.protect(a, 0)
	}
	m, err := protectPublic(g.at.suite, a, g.at.ctx, g.at.secrets.membershipKey)
	if err != nil {
		return nil, err
	}
	g.remember(a)
	return encode(&message{wireFormat: wireFormatPublic, public: m}, writeMessage), nil
}

// protect encrypts a signed message of our own and uses up a generation.
func (g *Group) protect(a *authenticatedContent, padding int) ([]byte, error) {
	key, used, err := g.nextKey(a.content.contentType)
	if err != nil {
		return nil, err
	}
	m, err := protectPrivate(g.at.suite, a, g.at.secrets.senderData, key, padding)
	if err != nil {
		return nil, err
	}
	used()
	g.remember(a)
	return encode(&message{wireFormat: wireFormatPrivate, private: m}, writeMessage), nil
}
