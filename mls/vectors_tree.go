package mls

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

type treeMathVector struct {
	Leaves  uint32       `json:"n_leaves"`
	Nodes   uint32       `json:"n_nodes"`
	Root    nodeIndex    `json:"root"`
	Left    []*nodeIndex `json:"left"`
	Right   []*nodeIndex `json:"right"`
	Parent  []*nodeIndex `json:"parent"`
	Sibling []*nodeIndex `json:"sibling"`
}

func checkTreeMath(_ *suite, v *treeMathVector) error {
	if treeWidth(v.Leaves) != v.Nodes || treeRoot(v.Leaves) != v.Root {
		return fmt.Errorf("width %d root %d", treeWidth(v.Leaves), treeRoot(v.Leaves))
	}
	for _, list := range [][]*nodeIndex{v.Left, v.Right, v.Parent, v.Sibling} {
		if uint32(len(list)) != v.Nodes {
			return fmt.Errorf("a list of %d nodes, want %d", len(list), v.Nodes)
		}
	}
	for x := range nodeIndex(v.Nodes) {
		for _, c := range []struct {
			name   string
			want   *nodeIndex
			exists bool
			get    func(nodeIndex) nodeIndex
		}{
			{"left", v.Left[x], !x.isLeaf(), nodeIndex.left},
			{"right", v.Right[x], !x.isLeaf(), nodeIndex.right},
			{"parent", v.Parent[x], x != v.Root, nodeIndex.parent},
			{"sibling", v.Sibling[x], x != v.Root, nodeIndex.sibling},
		} {
			if c.exists != (c.want != nil) {
				return fmt.Errorf("%s of %d exists: %v", c.name, x, c.exists)
			}
			if c.exists && c.get(x) != *c.want {
				return fmt.Errorf("%s of %d is %d, want %d", c.name, x, c.get(x), *c.want)
			}
		}
	}
	return nil
}

type treeOperationsVector struct {
	TreeBefore     hexBytes  `json:"tree_before"`
	Proposal       hexBytes  `json:"proposal"`
	ProposalSender LeafIndex `json:"proposal_sender"`
	HashBefore     hexBytes  `json:"tree_hash_before"`
	TreeAfter      hexBytes  `json:"tree_after"`
	HashAfter      hexBytes  `json:"tree_hash_after"`
}

func checkTreeOperations(s *suite, v *treeOperationsVector) error {
	t, err := s.parseRatchetTree(v.TreeBefore)
	if err != nil {
		return err
	}
	if err := expect("tree_hash_before", t.rootHash(), v.HashBefore); err != nil {
		return err
	}
	p, err := parse(v.Proposal, readProposal)
	if err != nil {
		return err
	}
	switch {
	case p.kind == proposalAdd:
		if err := s.verifyWithLabel(p.add.leaf.signatureKey, "KeyPackageTBS", p.add.tbs(), p.add.signature); err != nil {
			return err
		}
		if _, err := t.add(p.add.leaf); err != nil {
			return err
		}
	case p.kind == proposalUpdate && t.leaf(v.ProposalSender) != nil:
		t.update(v.ProposalSender, p.update)
	case p.kind == proposalRemove && t.leaf(p.remove) != nil:
		t.remove(p.remove)
		t.truncate()
	default:
		return fmt.Errorf("proposal of type %d, by or about nobody", p.kind)
	}
	return firstError(
		expect("tree_after", encode(t, writeRatchetTree), v.TreeAfter),
		expect("tree_hash_after", t.rootHash(), v.HashAfter),
	)
}

type treeValidationVector struct {
	Tree        hexBytes
	GroupID     hexBytes `json:"group_id"`
	Resolutions [][]nodeIndex
	TreeHashes  []hexBytes `json:"tree_hashes"`
}

func checkTreeValidation(s *suite, v *treeValidationVector) error {
	t, err := s.parseRatchetTree(v.Tree)
	if err != nil {
		return err
	}
	if int(t.width()) != len(v.Resolutions) || int(t.width()) != len(v.TreeHashes) {
		return fmt.Errorf("tree has %d nodes, the vector %d", t.width(), len(v.Resolutions))
	}
	for x := range t.width() {
		if got := t.resolution(x, nil); !slices.Equal(got, v.Resolutions[x]) {
			return fmt.Errorf("resolution of %d is %v, want %v", x, got, v.Resolutions[x])
		}
		if err := expect(fmt.Sprintf("tree hash of %d", x), t.hash(x), v.TreeHashes[x]); err != nil {
			return err
		}
	}
	return t.checkReceived(&groupContext{suite: s.id, groupID: v.GroupID}, nil)
}

type treeKEMVector struct {
	GroupID                 hexBytes `json:"group_id"`
	Epoch                   uint64
	ConfirmedTranscriptHash hexBytes `json:"confirmed_transcript_hash"`
	RatchetTree             hexBytes `json:"ratchet_tree"`
	LeavesPrivate           []struct {
		Index          LeafIndex
		EncryptionPriv hexBytes `json:"encryption_priv"`
		SignaturePriv  hexBytes `json:"signature_priv"`
		PathSecrets    []struct {
			Node       nodeIndex
			PathSecret hexBytes `json:"path_secret"`
		} `json:"path_secrets"`
	} `json:"leaves_private"`
	UpdatePaths []struct {
		Sender        LeafIndex
		UpdatePath    hexBytes    `json:"update_path"`
		PathSecrets   []*hexBytes `json:"path_secrets"`
		CommitSecret  hexBytes    `json:"commit_secret"`
		TreeHashAfter hexBytes    `json:"tree_hash_after"`
	} `json:"update_paths"`
}

// treeKEMRun is the vector's group with the private state of every member.
type treeKEMRun struct {
	*treeKEMVector
	suite *suite
	tree  *ratchetTree
	held  map[LeafIndex]privateTree
	keys  map[LeafIndex]SignaturePrivateKey
}

func checkTreeKEM(s *suite, v *treeKEMVector) error {
	t, err := s.parseRatchetTree(v.RatchetTree)
	if err != nil {
		return err
	}
	for l, leaf := range t.members {
		if err := leaf.verifySignature(s, v.GroupID, l); err != nil {
			return err
		}
	}
	run := &treeKEMRun{
		treeKEMVector: v, suite: s, tree: t,
		held: map[LeafIndex]privateTree{}, keys: map[LeafIndex]SignaturePrivateKey{},
	}
	if err := run.loadPrivate(); err != nil {
		return err
	}
	if len(v.UpdatePaths) == 0 {
		return errNothing
	}
	for i := range v.UpdatePaths {
		if err := run.checkReceived(i); err != nil {
			return fmt.Errorf("update path %d: %w", i, err)
		}
		if err := run.checkGenerated(v.UpdatePaths[i].Sender); err != nil {
			return fmt.Errorf("new update path of leaf %d: %w", v.UpdatePaths[i].Sender, err)
		}
	}
	return nil
}

// loadPrivate builds each member's private keys and verifies that they fit the tree.
func (run *treeKEMRun) loadPrivate() error {
	for _, p := range run.LeavesPrivate {
		key, err := run.suite.parseHPKE(run.suite.vectorKey(p.EncryptionPriv))
		if err != nil {
			return err
		}
		held := privateTree{p.Index.node(): key}
		for _, ps := range p.PathSecrets {
			if held[ps.Node], err = run.suite.nodeKey(secret(ps.PathSecret)); err != nil {
				return err
			}
		}
		if len(held.prune(run.tree)) != len(held) {
			return fmt.Errorf("private keys of leaf %d do not fit the tree", p.Index)
		}
		run.held[p.Index] = held
		if run.keys[p.Index], err = run.suite.id.ParseSignatureKey(run.suite.vectorKey(p.SignaturePriv)); err != nil {
			return err
		}
		leaf := run.tree.leaf(p.Index)
		if leaf == nil || !bytes.Equal(leaf.signatureKey, run.keys[p.Index].pub) {
			return fmt.Errorf("signature key of leaf %d does not fit the tree", p.Index)
		}
	}
	return nil
}

// context is the provisional group context for a tree.
func (run *treeKEMRun) context(t *ratchetTree) []byte {
	ctx := &groupContext{
		suite: run.suite.id, groupID: run.GroupID, epoch: run.Epoch, treeHash: t.rootHash(),
		confirmedTranscriptHash: run.ConfirmedTranscriptHash,
	}
	return ctx.bytes()
}

func (run *treeKEMRun) checkReceived(i int) error {
	v := run.UpdatePaths[i]
	p, err := parse(v.UpdatePath, readUpdatePath)
	if err != nil {
		return err
	}
	if err := p.leaf.verifySignature(run.suite, run.GroupID, v.Sender); err != nil {
		return err
	}
	t := run.tree.clone()
	steps := t.filteredPath(v.Sender)
	if err := t.checkPath(p, steps, nil); err != nil {
		return err
	}
	if err := t.mergePath(v.Sender, p, steps); err != nil {
		return err
	}
	if err := expect("tree_hash_after", t.rootHash(), v.TreeHashAfter); err != nil {
		return err
	}
	for l := range run.tree.members {
		if l == v.Sender {
			continue
		}
		pathSecret, _, commitSecret, err := t.decryptPath(l, run.held[l], p, steps, run.context(t), nil)
		if err != nil {
			return fmt.Errorf("leaf %d: %w", l, err)
		}
		if int(l) >= len(v.PathSecrets) || v.PathSecrets[l] == nil {
			return errors.New("vector has no path secret")
		}
		err = firstError(
			expect("path secret", pathSecret, *v.PathSecrets[l]),
			expect("commit_secret", commitSecret, v.CommitSecret),
		)
		if err != nil {
			return fmt.Errorf("leaf %d: %w", l, err)
		}
	}
	for i, pathSecret := range v.PathSecrets {
		if l := LeafIndex(i); pathSecret != nil && (l == v.Sender || run.tree.leaf(l) == nil) {
			return fmt.Errorf("leaf %d has a path secret", l)
		}
	}
	return nil
}

// checkGenerated makes a path of our own and has every other member follow it.
func (run *treeKEMRun) checkGenerated(l LeafIndex) error {
	t := run.tree.clone()
	fresh, err := t.newPath(l)
	if err != nil {
		return err
	}
	leafKey, err := run.suite.generateHPKE()
	if err != nil {
		return err
	}
	leaf := *t.leaf(l)
	leaf.source, leaf.encryptionKey = sourceCommit, leafKey.pub
	leaf.parentHash = t.setPath(l, fresh.steps, fresh.publicKeys())
	if err := leaf.sign(run.suite, run.keys[l], run.GroupID, l); err != nil {
		return err
	}
	t.set(l.node(), &node{leaf: &leaf})
	nodes, err := t.encryptPath(fresh, run.context(t), nil)
	if err != nil {
		return err
	}
	p := &updatePath{leaf: &leaf, nodes: nodes}
	received := run.tree.clone()
	if err := received.checkPath(p, fresh.steps, nil); err != nil {
		return err
	}
	if err := received.mergePath(l, p, fresh.steps); err != nil {
		return err
	}
	for m := range run.tree.members {
		if m == l {
			continue
		}
		_, _, commitSecret, err := received.decryptPath(m, run.held[m], p, fresh.steps, run.context(received), nil)
		if err != nil {
			return fmt.Errorf("leaf %d: %w", m, err)
		}
		if err := expect("commit secret", commitSecret, fresh.commitSecret); err != nil {
			return err
		}
	}
	return received.verifyParentHashes()
}
