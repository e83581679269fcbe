package mls

import (
	"bytes"
	"slices"
	"testing"
)

// heldTree is a tree with all that its members know of it.
type heldTree struct {
	t       *testing.T
	suite   *suite
	groupID []byte
	tree    *ratchetTree
	keys    map[LeafIndex]*hpkePrivate
	signers map[LeafIndex]SignaturePrivateKey
	secrets map[LeafIndex]map[nodeIndex]secret // path secrets, also of keys that are gone
}

// newHeldTree is a tree of n leaves and nothing above them.
func newHeldTree(t *testing.T, s *suite, n int) *heldTree {
	t.Helper()
	h := &heldTree{
		t: t, suite: s, groupID: drawn(16),
		keys: map[LeafIndex]*hpkePrivate{}, signers: map[LeafIndex]SignaturePrivateKey{},
		secrets: map[LeafIndex]map[nodeIndex]secret{},
	}
	for range n {
		h.add()
	}
	return h
}

func (h *heldTree) add() {
	h.t.Helper()
	kp, secrets := vectorKeyPackage(h.t, h.suite, string(rune('a'+len(h.keys))))
	l := LeafIndex(0)
	if h.tree == nil {
		h.tree = newRatchetTree(h.suite, kp.leaf)
	} else {
		l = must(h.tree.add(kp.leaf))(h.t)
	}
	h.keys[l], h.signers[l], h.secrets[l] = secrets.leafKey, secrets.signatureKey, map[nodeIndex]secret{}
}

func (h *heldTree) remove(l LeafIndex) {
	h.tree.remove(l)
	h.tree.truncate()
}

// path renews the keys of a leaf and above it in a tree.
func (h *heldTree) path(tree *ratchetTree, l LeafIndex) (*freshPath, *leafNode, *hpkePrivate) {
	h.t.Helper()
	fresh, key := must(tree.newPath(l))(h.t), must(h.suite.generateHPKE())(h.t)
	leaf := *tree.leaf(l)
	leaf.source, leaf.lifetime, leaf.encryptionKey = sourceCommit, lifetime{}, key.pub
	leaf.parentHash = tree.setPath(l, fresh.steps, fresh.publicKeys())
	if err := leaf.sign(h.suite, h.signers[l], h.groupID, l); err != nil {
		h.t.Fatal(err)
	}
	tree.set(l.node(), &node{leaf: &leaf})
	return fresh, &leaf, key
}

// received is where the path of another leaf begins for a member.
func (p *freshPath) received(by LeafIndex) int {
	return slices.IndexFunc(p.steps, func(s pathStep) bool { return s.copath.contains(by.node()) })
}

// renew has a leaf commit, and everybody learn what it tells.
func (h *heldTree) renew(l LeafIndex) {
	h.t.Helper()
	fresh, _, key := h.path(h.tree, l)
	h.keys[l] = key
	for m := range h.tree.members {
		from := 0
		if m != l {
			from = fresh.received(m)
		}
		for i := from; i < len(fresh.steps); i++ {
			h.secrets[m][fresh.steps[i].node] = fresh.secrets[i]
		}
	}
}

// private is what the members know that still is in the tree.
func (h *heldTree) private() []jsonObject {
	h.t.Helper()
	var out []jsonObject
	for l := range h.tree.members {
		known := []jsonObject{}
		for _, x := range l.node().directPath(h.tree.leaves()) {
			pathSecret, n := h.secrets[l][x], h.tree.node(x)
			if pathSecret != nil && n != nil && bytes.Equal(must(h.suite.nodeKey(pathSecret))(h.t).pub, n.encryptionKey()) {
				known = append(known, jsonObject{{"node", x}, {"path_secret", pathSecret}})
			}
		}
		out = append(out, jsonObject{
			{"index", l}, {"encryption_priv", mustPrivate(h.keys[l])}, {"signature_priv", h.signers[l].key()},
			{"path_secrets", known},
		})
	}
	return out
}

// vector has each of the senders make a path, all from the same tree.
func (h *heldTree) vector(senders ...LeafIndex) jsonObject {
	h.t.Helper()
	const epoch = 3
	confirmed := drawn(h.suite.nh)
	var paths []jsonObject
	for _, l := range senders {
		tree := h.tree.clone()
		fresh, leaf, _ := h.path(tree, l)
		ctx := &groupContext{
			suite: h.suite.id, groupID: h.groupID, epoch: epoch, treeHash: tree.rootHash(), confirmedTranscriptHash: confirmed,
		}
		nodes := must(tree.encryptPath(fresh, ctx.bytes(), nil))(h.t)
		told := make([][]byte, h.tree.leaves())
		for m := range h.tree.members {
			if m != l {
				told[m] = fresh.secrets[fresh.received(m)]
			}
		}
		paths = append(paths, jsonObject{
			{"sender", l}, {"update_path", encode(&updatePath{leaf: leaf, nodes: nodes}, writeUpdatePath)},
			{"path_secrets", told}, {"commit_secret", fresh.commitSecret}, {"tree_hash_after", ctx.treeHash},
		})
	}
	return jsonObject{
		{"cipher_suite", h.suite.id},
		{"group_id", h.groupID}, {"epoch", epoch}, {"confirmed_transcript_hash", confirmed},
		{"ratchet_tree", encode(h.tree, writeRatchetTree)},
		{"leaves_private", h.private()}, {"update_paths", paths},
	}
}

// treeKEMVectors are a small tree for every suite, and for those of the RFC one with a blank
// leaf, blank nodes and an unmerged leaf.
func treeKEMVectors(t *testing.T, s *suite) []jsonObject {
	t.Helper()
	h := newHeldTree(t, s, 2)
	h.renew(0)
	out := []jsonObject{h.vector(1)}
	if s.postQuantum() {
		return out
	}
	h = newHeldTree(t, s, 5)
	for l := range LeafIndex(5) {
		h.renew(l)
	}
	h.add()
	h.remove(2)
	return append(out, h.vector(0, 3, 5))
}
