package mls

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// privateTree are the private keys that a member holds: of its leaf and of nodes above it.
// Copies share the keys.
type privateTree map[nodeIndex]*hpkePrivate

// Format prints "redacted" for every verb.
func (privateTree) Format(f fmt.State, _ rune) { printRedacted(f) }

// nodeKey derives a parent node's key pair from its path secret (RFC 9420 section 7.4).
func (s *suite) nodeKey(pathSecret secret) (*hpkePrivate, error) {
	return s.deriveHPKE(s.deriveSecret(pathSecret, "node"))
}

// freshPath is an update path that we generated: a path secret and a key pair for each node
// of the filtered direct path.
type freshPath struct {
	steps        []pathStep
	secrets      []secret
	keys         []*hpkePrivate
	commitSecret secret
}

// Format prints "redacted" for every verb.
func (*freshPath) Format(f fmt.State, _ rune) { printRedacted(f) }

func (p *freshPath) publicKeys() [][]byte {
	keys := make([][]byte, len(p.keys))
	for i, k := range p.keys {
		keys[i] = k.pub
	}
	return keys
}

// secretAt is the path secret of a node on the path, nil if it is not on it.
func (p *freshPath) secretAt(x nodeIndex) secret {
	for i, step := range p.steps {
		if step.node == x {
			return p.secrets[i]
		}
	}
	return nil
}

// newPath generates fresh keys for a leaf's filtered direct path.
func (t *ratchetTree) newPath(l LeafIndex) (*freshPath, error) {
	first := make(secret, t.suite.nh)
	_, _ = rand.Read(first) // never fails, by the documentation of crypto/rand
	p := &freshPath{steps: t.filteredPath(l)}
	var err error
	p.secrets, p.keys, p.commitSecret, err = t.suite.climb(first, len(p.steps))
	return p, err
}

// climb derives n path secrets from the first on, their key pairs, and the commit secret
// above them.
func (s *suite) climb(first secret, n int) (secrets []secret, keys []*hpkePrivate, commitSecret secret, err error) {
	current := first
	for range n {
		key, err := s.nodeKey(current)
		if err != nil {
			return nil, nil, nil, err
		}
		secrets, keys = append(secrets, current), append(keys, key)
		current = s.deriveSecret(current, "path")
	}
	return secrets, keys, current, nil
}

// encryptPath encrypts each path secret to the resolution of the copath, without the leaves
// that the same commit adds: those get theirs in the Welcome.
func (t *ratchetTree) encryptPath(p *freshPath, ctx []byte, added map[LeafIndex]bool) ([]updatePathNode, error) {
	nodes := make([]updatePathNode, len(p.steps))
	type sealing struct {
		to     nodeIndex
		secret secret
		in     *hpkeCiphertext
	}
	var all []sealing
	for i, step := range p.steps {
		resolution := t.resolution(step.copath, added)
		nodes[i] = updatePathNode{encryptionKey: p.keys[i].pub, secrets: make([]hpkeCiphertext, len(resolution))}
		for j, x := range resolution {
			all = append(all, sealing{to: x, secret: p.secrets[i], in: &nodes[i].secrets[j]})
		}
	}
	info := labelled(labelPrefix+"UpdatePathNode", ctx)
	return nodes, inParallel(len(all), func(i int) (err error) {
		s := all[i]
		if *s.in, err = t.suite.hpke.seal(t.node(s.to).encryptionKey(), info, s.secret); err != nil {
			return fmt.Errorf("mls: encrypting to node %d: %w", s.to, err)
		}
		return nil
	})
}

// checkPath verifies a received path against the tree with the proposals applied, before it
// is merged (section 12.4.2): as many nodes and ciphertexts as the tree asks for, usable
// keys, none of which stands in the tree already or twice in the path.
func (t *ratchetTree) checkPath(p *updatePath, steps []pathStep, added map[LeafIndex]bool) error {
	if len(p.nodes) != len(steps) {
		return broken("path.length", "%d nodes, the filtered path has %d", len(p.nodes), len(steps))
	}
	inPath := make(map[string]bool, len(p.nodes)+1)
	fresh := func(key []byte) bool {
		known := inPath[string(key)] || t.encryption.holds(t, key)
		inPath[string(key)] = true
		return !known
	}
	if !fresh(p.leaf.encryptionKey) {
		return broken("path.unique-key", "the leaf's key stands in the tree")
	}
	for i, n := range p.nodes {
		if want := len(t.resolution(steps[i].copath, added)); len(n.secrets) != want {
			return broken("path.ciphertexts", "node %d has %d, its copath resolves to %d", i, len(n.secrets), want)
		}
		if !fresh(n.encryptionKey) {
			return broken("path.unique-key", "key of node %d stands in the tree", i)
		}
		if err := t.suite.checkPublicKey(n.encryptionKey); err != nil {
			return brokenBy("path.key", err, "node %d", i)
		}
	}
	return nil
}

// mergePath puts a checked path into the tree and verifies that the leaf's parent hash is
// the one that follows (section 7.5).
func (t *ratchetTree) mergePath(l LeafIndex, p *updatePath, steps []pathStep) error {
	keys := make([][]byte, len(p.nodes))
	for i, n := range p.nodes {
		keys[i] = n.encryptionKey
	}
	want := t.setPath(l, steps, keys)
	if !bytes.Equal(p.leaf.parentHash, want) {
		return broken("path.parent-hash", "leaf %d", l)
	}
	t.set(l.node(), &node{leaf: p.leaf})
	return nil
}

var errPath = errors.New("path secret does not fit")

// decryptPath opens the path secret meant for the member at own and derives all above it. It
// returns the private keys of the path's nodes that the member now holds.
func (t *ratchetTree) decryptPath(own LeafIndex, held privateTree, p *updatePath, steps []pathStep,
	ctx []byte, added map[LeafIndex]bool,
) (pathSecret secret, fresh privateTree, commitSecret secret, err error) {
	at := -1
	for i, step := range steps {
		if step.copath.contains(own.node()) {
			at = i
		}
	}
	if at < 0 {
		return nil, nil, nil, fmt.Errorf("%w: leaf %d is not below the path", errPath, own)
	}
	for i, x := range t.resolution(steps[at].copath, added) {
		key := held[x]
		if key == nil {
			continue
		}
		plain, err := t.suite.decryptWithLabel(key, "UpdatePathNode", ctx, p.nodes[at].secrets[i])
		if err != nil {
			return nil, nil, nil, fmt.Errorf("%w: %w", errPath, err)
		}
		fresh, commitSecret, err = t.holdPath(plain, steps[at:])
		return plain, fresh, commitSecret, err
	}
	return nil, nil, nil, fmt.Errorf("%w: no key for the copath of node %d", errPath, steps[at].node)
}

// holdPath derives the key pairs of steps from the first one's path secret and verifies that
// they are those of the tree.
func (t *ratchetTree) holdPath(pathSecret secret, steps []pathStep) (privateTree, secret, error) {
	if len(pathSecret) != t.suite.nh {
		return nil, nil, fmt.Errorf("%w: path secret of %d bytes", errPath, len(pathSecret))
	}
	_, keys, commitSecret, err := t.suite.climb(pathSecret, len(steps))
	if err != nil {
		return nil, nil, err
	}
	fresh := make(privateTree, len(steps))
	for i, step := range steps {
		n := t.node(step.node)
		if n == nil || !bytes.Equal(n.encryptionKey(), keys[i].pub) {
			return nil, nil, fmt.Errorf("%w: key of node %d", errPath, step.node)
		}
		fresh[step.node] = keys[i]
	}
	return fresh, commitSecret, nil
}

// prune drops the keys of nodes that are blank or hold another key than in the tree before.
func (p privateTree) prune(t *ratchetTree) privateTree {
	kept := make(privateTree, len(p))
	for x, key := range p {
		if x < t.width() && t.node(x) != nil && bytes.Equal(t.node(x).encryptionKey(), key.pub) {
			kept[x] = key
		}
	}
	return kept
}

// writePrivateTree writes the keys in ascending order of their nodes.
func writePrivateTree(w *wire.Writer, p privateTree) {
	for _, x := range slices.Sorted(maps.Keys(p)) {
		w.Uint32(uint32(x))
		w.Bytes(mustPrivate(p[x]))
	}
}

func (s *suite) parsePrivateTree(b []byte) (privateTree, error) {
	r := wire.NewReader(b)
	p := privateTree{}
	for r.Len() > 0 {
		x, raw := nodeIndex(r.Uint32()), r.Bytes()
		if r.Err() != nil {
			break
		}
		key, err := s.parseHPKE(raw)
		if err != nil {
			return nil, err
		}
		p[x] = key
	}
	return p, r.Finish()
}
