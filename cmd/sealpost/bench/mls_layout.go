package bench

import (
	"crypto/rand"
	"fmt"
	"math/bits"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
)

// layout is a ratchet tree in the making, in the array of RFC 9420 appendix C. Its first
// leaf was added by a commit without a path, its second and last are blank, all others have
// committed.
type layout struct {
	suite   mls.Suite
	p       primitives
	members int
	keys    [][]byte                  // encryption keys, by node
	people  []mls.SignaturePrivateKey // by leaf
	nodes   [][]byte                  // encoded, nil where blank
	hash    []byte                    // of the tree
}

// groupID is that of every group here.
var groupID = []byte("bench")

// layOut lays out a tree with first at the first leaf.
func layOut(s mls.Suite, members int, first *mls.KeyPackage) (*layout, error) {
	p, err := primitivesOf(s)
	if err != nil {
		return nil, err
	}
	width := 2<<pathLength(members-1) - 1 // the last leaf is blank, and a tree ends before one where it can
	l := &layout{
		suite: s, p: p, members: members,
		keys: make([][]byte, width), people: make([]mls.SignaturePrivateKey, members), nodes: make([][]byte, width),
	}
	if err := inParallel(width, func(i int) error {
		key, err := p.kem.GenerateKey()
		if err == nil {
			l.keys[i] = key.PublicKey().Bytes()
		}
		return err
	}); err != nil {
		return nil, err
	}
	if err := inParallel(members, func(i int) (err error) {
		l.people[i], err = s.GenerateSignatureKey()
		return err
	}); err != nil {
		return nil, err
	}
	l.nodes[0] = leafOf(first)
	l.hash, err = l.build(width/2, nil)
	return l, err
}

// leafOf cuts the leaf node out of a KeyPackage, where it stands between the init key and
// the extensions.
func leafOf(kp *mls.KeyPackage) []byte {
	r := wire.NewReader(kp.Bytes())
	r.Raw(4) // version, suite
	r.Bytes()
	leaf := r.Rest()
	r = wire.NewReader(leaf)
	for range 2 {
		r.Bytes() // keys
	}
	r.Uint16() // basic credential
	for range 1 + 5 {
		r.Bytes() // identity, capabilities
	}
	r.Raw(1 + 16) // source, lifetime
	for range 2 {
		r.Bytes() // extensions, signature
	}
	return leaf[:len(leaf)-r.Len()]
}

// committed reports whether there is somebody at a node or below who has committed.
func (l *layout) committed(x int) bool {
	reach := 1<<bits.TrailingZeros(^uint(x)) - 1 // from x to its outermost leaves
	return x+reach > 2 && x-reach < 2*(l.members-1)
}

// build lays out the subtree of node x, whose top is to carry parentHash, and returns its
// tree hash. Whoever of two halves committed last has linked its half to their parent: it
// is always the left one here, and the other hangs on a parent that was replaced since.
func (l *layout) build(x int, parentHash []byte) (hash []byte, err error) {
	if x%2 == 0 {
		return l.buildLeaf(x, parentHash)
	}
	half := 1 << (bits.TrailingZeros(^uint(x)) - 1)
	left, right := x-half, x+half
	below, replaced := parentHash, make([]byte, l.p.secret)
	full := l.committed(left) && l.committed(right)
	switch {
	case full:
		_, _ = rand.Read(replaced)
	case l.committed(right):
		replaced = parentHash
	}
	rightHash, err := l.build(right, replaced)
	if err != nil {
		return nil, err
	}
	if full {
		below = l.sum(func(w *wire.Writer) {
			w.Bytes(l.keys[x])
			w.Bytes(parentHash)
			w.Bytes(rightHash)
		})
		l.nodes[x] = written(func(w *wire.Writer) {
			w.Bytes(l.keys[x])
			w.Bytes(parentHash)
			w.Nested(func(w *wire.Writer) {
				if x&(x+1) == 0 { // above the first leaf, which was added later
					w.Uint32(0)
				}
			})
		})
	}
	leftHash, err := l.build(left, below)
	if err != nil {
		return nil, err
	}
	return l.sum(func(w *wire.Writer) {
		w.Uint8(2)
		writeOptional(w, l.nodes[x])
		w.Bytes(leftHash)
		w.Bytes(rightHash)
	}), nil
}

func (l *layout) buildLeaf(x int, parentHash []byte) ([]byte, error) {
	leaf := x / 2
	if l.committed(x) {
		key := l.people[leaf]
		unsigned := written(func(w *wire.Writer) {
			w.Bytes(l.keys[x])
			w.Bytes(key.Public())
			w.Uint16(uint16(mls.CredentialBasic))
			w.Bytes(fmt.Appendf(nil, "member %d", leaf))
			writeCapabilities(w)
			w.Uint8(3) // commit
			w.Bytes(parentHash)
			w.Bytes(nil) // extensions
		})
		signature, err := key.Sign("LeafNodeTBS", written(func(w *wire.Writer) {
			w.Raw(unsigned)
			w.Bytes(groupID)
			w.Uint32(uint32(leaf))
		}))
		if err != nil {
			return nil, err
		}
		l.nodes[x] = written(func(w *wire.Writer) {
			w.Raw(unsigned)
			w.Bytes(signature)
		})
	}
	return l.sum(func(w *wire.Writer) {
		w.Uint8(1)
		w.Uint32(uint32(leaf))
		writeOptional(w, l.nodes[x])
	}), nil
}

// writeCapabilities writes what a member of mls announces, so that a leaf has its size.
func writeCapabilities(w *wire.Writer) {
	const grease = 0x0a0a
	points := func(w *wire.Writer, v uint16) { w.Uint16(v) }
	wire.WriteVector(w, []uint16{1}, points) // versions
	wire.WriteVector(w, append(mls.Suites(), grease), func(w *wire.Writer, s mls.Suite) { w.Uint16(uint16(s)) })
	wire.WriteVector(w, []uint16{grease}, points)       // extensions
	wire.WriteVector(w, []uint16{grease}, points)       // proposals
	wire.WriteVector(w, []uint16{1, 2, grease}, points) // credentials
}

// tree is the ratchet_tree extension.
func (l *layout) tree() []byte {
	end := len(l.nodes)
	for l.nodes[end-1] == nil {
		end--
	}
	return written(func(w *wire.Writer) {
		w.Nested(func(w *wire.Writer) {
			for x, n := range l.nodes[:end] {
				w.Bool(n != nil)
				if n != nil {
					w.Uint8(uint8(1 + x%2))
					w.Raw(n)
				}
			}
		})
	})
}

func (l *layout) random() []byte {
	b := make([]byte, l.p.secret)
	_, _ = rand.Read(b)
	return b
}

func (l *layout) sum(write func(*wire.Writer)) []byte {
	h := l.p.hash()
	h.Write(written(write))
	return h.Sum(nil)
}

func writeOptional(w *wire.Writer, b []byte) {
	w.Bool(b != nil)
	w.Raw(b)
}

// written is what write writes. Nothing here is as long as a vector may not be.
func written(write func(*wire.Writer)) []byte {
	var w wire.Writer
	write(&w)
	b, _ := w.Finish()
	return b
}
