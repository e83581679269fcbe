package mls

import (
	"iter"
	"maps"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// checkReceived verifies a whole tree that came from outside (RFC 9420 section 12.4.3.1):
// its shape, every leaf by itself and among the others, and the parent hashes. The tree hash
// is the caller's to compare.
func (t *ratchetTree) checkReceived(ctx *groupContext, v CredentialValidator) error {
	if err := t.checkUnmerged(); err != nil {
		return err
	}
	if err := t.checkMembers(ctx.extensions); err != nil {
		return err
	}
	for x, p := range t.parents {
		if err := t.suite.checkPublicKey(p.encryptionKey); err != nil {
			return brokenBy("tree.parent-key", err, "node %d", x)
		}
	}
	if err := t.checkLeaves(ctx.groupID); err != nil {
		return err
	}
	if err := t.verifyParentHashes(); err != nil {
		return err
	}
	for _, leaf := range t.members {
		if err := leaf.judge(v, CredentialJoin, t.suite, nil); err != nil {
			return err
		}
	}
	return nil
}

// checkLeaves verifies each leaf by itself, several at a time.
func (t *ratchetTree) checkLeaves(groupID []byte) error {
	var all []LeafIndex
	for l := range t.members {
		all = append(all, l)
	}
	return inParallel(len(all), func(i int) error {
		leaf := t.leaf(all[i])
		if err := leaf.verifySignature(t.suite, groupID, all[i]); err != nil {
			return err
		}
		return leaf.checkItself(t.suite)
	})
}

// checkUnmerged verifies every unmerged_leaves list: ascending, of members below the node,
// and repeated by every parent in between. Everything that walks resolutions relies on it.
func (t *ratchetTree) checkUnmerged() error {
	for x, p := range t.parents {
		for j, l := range p.unmerged {
			if j > 0 && l <= p.unmerged[j-1] {
				return broken("tree.unmerged", "list of node %d does not ascend", x)
			}
			if t.leaf(l) == nil || !x.contains(l.node()) {
				return broken("tree.unmerged", "node %d lists %d, no member below it", x, l)
			}
			for y := l.node().parent(); y != x; y = y.parent() {
				if between := t.node(y); between != nil {
					if _, ok := slices.BinarySearch(between.parent.unmerged, l); !ok {
						return broken("tree.unmerged", "node %d lists %d, node %d does not", x, l, y)
					}
				}
			}
		}
	}
	return nil
}

// checkMembers verifies what must hold among the members of a group whose context has these
// extensions: unique keys, and everybody able to do what is in use (sections 7.3 and 11.1).
func (t *ratchetTree) checkMembers(extensions []Extension) error {
	return t.checkAmong(t.members, extensions)
}

// checkChanges is checkMembers of a tree that was copied from one in which all was well. Unless
// more is asked for than then, it looks only at the leaves that are new.
func (t *ratchetTree) checkChanges(extensions []Extension, from *ratchetTree, before []Extension) error {
	more := !slices.EqualFunc(extensions, before, Extension.equal)
	for c := range t.credentials {
		more = more || from.credentials[c] == 0
	}
	if more {
		return t.checkMembers(extensions)
	}
	return t.checkAmong(t.freshMembers, extensions)
}

// checkAmong is checkMembers where only some of the members are in doubt.
func (t *ratchetTree) checkAmong(doubtful iter.Seq2[LeafIndex, *leafNode], extensions []Extension) error {
	if err := t.checkUnique(); err != nil {
		return err
	}
	need := requiredCapabilities{}
	if data, ok := findExtension(extensions, ExtensionRequiredCapabilities); ok {
		var err error
		if need, err = parseRequiredCapabilities(data); err != nil {
			return err
		}
	}
	for _, e := range extensions {
		need.extensions = append(need.extensions, e.Type)
	}
	need.credentials = slices.AppendSeq(need.credentials, maps.Keys(t.credentials))
	need = need.beyondDefault()
	for l, leaf := range doubtful {
		if err := need.metBy(leaf.capabilities, l); err != nil {
			return err
		}
	}
	if err := checkWireFormats(doubtful, extensions); err != nil {
		return err
	}
	return checkComponents(doubtful, extensions)
}

// beyondDefault leaves out what RFC 9420 demands of everybody, and repetitions.
func (rc requiredCapabilities) beyondDefault() requiredCapabilities {
	return requiredCapabilities{
		extensions:  distinct(slices.DeleteFunc(rc.extensions, ExtensionType.isDefault)),
		proposals:   distinct(slices.DeleteFunc(rc.proposals, ProposalType.isDefault)),
		credentials: distinct(rc.credentials),
	}
}

// metBy verifies that capabilities are enough for the leaf's group, which asks for what
// beyondDefault has left.
func (rc requiredCapabilities) metBy(c capabilities, l LeafIndex) error {
	if e, ok := unannounced(rc.extensions, c.extensions); ok {
		return broken("group.extension-support", "leaf %d lacks extension %#04x", l, uint16(e))
	}
	if p, ok := unannounced(rc.proposals, c.proposals); ok {
		return broken("group.proposal-support", "leaf %d lacks proposal %#04x", l, uint16(p))
	}
	if t, ok := unannounced(rc.credentials, c.credentials); ok {
		return broken("group.credential-support", "leaf %d lacks credential type %d", l, t)
	}
	return nil
}

// checkUnique: no encryption key stands twice in the tree, no signature key twice among the
// leaves.
func (t *ratchetTree) checkUnique() error {
	if t.encryption.twice > 0 {
		return broken("tree.unique-encryption-key", "%d nodes repeat a key", t.encryption.twice)
	}
	if t.signature.twice > 0 {
		return broken("tree.unique-signature-key", "%d leaves repeat a key", t.signature.twice)
	}
	return nil
}

// parseRatchetTree decodes a ratchet tree of the suite; it aliases b.
func (s *suite) parseRatchetTree(b []byte) (*ratchetTree, error) {
	return parse(b, func(r *wire.Reader) *ratchetTree { return s.readRatchetTree(r) })
}
