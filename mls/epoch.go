package mls

import (
	"bytes"
	"fmt"
	"log/slog"

	"github.com/sealpost/sealpost/internal/wire"
)

// EpochView is one epoch as one member sees it: the public state and this member's secrets,
// without the message keys. It never changes, and does not become another epoch when the
// group moves on. It cannot be printed.
type EpochView struct {
	*PublicView

	own          LeafIndex
	held         privateTree
	signatureKey SignaturePrivateKey
	secrets      *epochSecrets
}

// Format prints "redacted" for every verb.
func (*EpochView) Format(f fmt.State, _ rune) { printRedacted(f) }

// LogValue returns "redacted".
func (*EpochView) LogValue() slog.Value { return slog.StringValue(redacted) }

// OwnLeaf is this member's place.
func (e *EpochView) OwnLeaf() LeafIndex { return e.own }

// EpochAuthenticator is equal for two members exactly when they are in the same epoch of the
// same history (RFC 9420 section 8.7). It may be shown to others. After the own removal it is nil.
func (e *EpochView) EpochAuthenticator() []byte { return bytes.Clone(e.secrets.authenticator) }

// Export derives a secret of length bytes for the application from the epoch (section 8.5).
// Labels should be unique to their purpose. Longer than 255 hashes is [ErrLimit]; the view of a
// member that was removed has no secrets left: [ErrRemoved].
func (e *EpochView) Export(label string, context []byte, length int) ([]byte, error) {
	if length < 0 || length > maxExportHashes*e.suite.nh {
		return nil, fmt.Errorf("%w: export of %d bytes", ErrLimit, length)
	}
	if len(e.secrets.exporter) == 0 {
		return nil, ErrRemoved // what comes from an empty secret, everybody can compute
	}
	return e.suite.export(e.secrets.exporter, label, context, length), nil
}

// begin completes a view whose public half, keys and key-schedule inputs are known: it
// derives the epoch's secrets and returns the new secret tree.
func (e *EpochView) begin(epochSecret secret) *secretTree {
	kept, encryption, applicationExport := e.suite.deriveEpoch(epochSecret)
	e.secrets = kept
	keys := newSecretTree(e.suite, e.tree.leaves(), encryption)
	keys.exports = newExporterTree(applicationExport)
	return keys
}

// writeEpochRecord writes what belongs to an epoch as a whole: neither tree nor held keys.
func writeEpochRecord(w *wire.Writer, e *EpochView) {
	writeGroupContext(w, e.ctx)
	w.Bytes(e.confirmationTag)
	w.Uint32(uint32(e.own))
	w.Bytes(e.signatureKey.key())
	writeEpochSecrets(w, e.secrets)
	wire.WriteOptional(w, e.reInit, writeReInit)
}

// readEpochRecord is the inverse of writeEpochRecord. The view lacks what complete adds.
func readEpochRecord(r *wire.Reader) (*EpochView, error) {
	e := &EpochView{PublicView: &PublicView{ctx: readGroupContext(r)}}
	tag := r.Bytes()
	e.own = LeafIndex(r.Uint32())
	signatureKey := r.Bytes()
	e.secrets, e.reInit = readEpochSecrets(r), wire.Optional(r, readReInit)
	if err := r.Err(); err != nil {
		return nil, err
	}
	var err error
	if e.suite, err = e.ctx.suite.lookup(); err != nil {
		return nil, err
	}
	if e.signatureKey, err = e.ctx.suite.ParseSignatureKey(signatureKey); err != nil {
		return nil, err
	}
	e.confirm(tag)
	return e, nil
}

// complete adds tree and held keys, and verifies that all parts belong together.
func (e *EpochView) complete(tree *ratchetTree, held privateTree) error {
	if !bytes.Equal(tree.rootHash(), e.ctx.treeHash) {
		return ErrTreeMismatch
	}
	if err := tree.checkUnmerged(); err != nil {
		return err
	}
	leaf := tree.leaf(e.own)
	if leaf == nil || !bytes.Equal(leaf.signatureKey, e.signatureKey.pub) ||
		held[e.own.node()] == nil || len(held.prune(tree)) != len(held) {
		return fmt.Errorf("%w: keys do not fit the tree", ErrCorrupt)
	}
	e.tree, e.held = tree, held
	return nil
}
