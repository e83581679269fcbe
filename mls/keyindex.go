package mls

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
)

// keyIndex finds the places of a tree that hold a public key, and counts keys that stand
// twice, so that a commit is checked by what it changes. Copies share what none of them has
// written since.
type keyIndex struct {
	keyAt  func(*ratchetTree, nodeIndex) []byte // of a place that is in the index
	shards chunked[[]keyPlace]                  // their number is a power of two; never written to
	places int
	twice  int // places whose key stands at another place too, but for one of them each
}

// keyPlace is a place in the index.
type keyPlace struct {
	sum  uint64 // of the key
	node nodeIndex
}

// keySeed makes sums differ in every process: nobody can choose keys that share a shard.
var keySeed = maphash.MakeSeed()

const (
	shardFill = 16  // places of a shard when an index is made
	shardFull = 128 // and at most, on average
)

// indexKeys is the index of every step-th place of a tree, as far as those are not blank.
func indexKeys(t *ratchetTree, step nodeIndex, keyAt func(*ratchetTree, nodeIndex) []byte) keyIndex {
	x := keyIndex{keyAt: keyAt}
	all := make([]keyPlace, 0, t.width()/step+1)
	for node := nodeIndex(0); node < t.width(); node += step {
		if t.node(node) != nil {
			all = append(all, keyPlace{maphash.Bytes(keySeed, keyAt(t, node)), node})
		}
	}
	x.spread(all)
	for i := range x.shards.n {
		shard := x.shards.at(i)
		for j, p := range shard {
			if x.among(t, shard[:j], p.sum, keyAt(t, p.node)) {
				x.twice++
			}
		}
	}
	return x
}

// spread fills the shards, as many as there should be.
func (x *keyIndex) spread(all []keyPlace) {
	x.shards, x.places = chunked[[]keyPlace]{}, len(all)
	x.shards.resize(int(powerOfTwo(uint32(len(all) / shardFill))))
	slices.SortFunc(all, func(a, b keyPlace) int { return cmp.Compare(x.shard(a.sum), x.shard(b.sum)) })
	for len(all) > 0 {
		i, n := x.shard(all[0].sum), 1
		for n < len(all) && x.shard(all[n].sum) == i {
			n++
		}
		*x.shards.place(i) = all[:n:n]
		all = all[n:]
	}
}

func (x *keyIndex) clone() keyIndex {
	c := *x
	c.shards = x.shards.clone()
	return c
}

func (x *keyIndex) shard(sum uint64) int { return int(sum & uint64(x.shards.n-1)) }

// holds reports whether the key stands anywhere.
func (x *keyIndex) holds(t *ratchetTree, key []byte) bool {
	sum := maphash.Bytes(keySeed, key)
	return x.among(t, x.shards.at(x.shard(sum)), sum, key)
}

// among reports whether one of some places has the key.
func (x *keyIndex) among(t *ratchetTree, places []keyPlace, sum uint64, key []byte) bool {
	for _, p := range places {
		if p.sum == sum && bytes.Equal(x.keyAt(t, p.node), key) {
			return true
		}
	}
	return false
}

// insert adds a place. The tree need not hold the key there yet.
func (x *keyIndex) insert(t *ratchetTree, node nodeIndex, key []byte) {
	if x.places >= shardFull*x.shards.n {
		var all []keyPlace
		for i := range x.shards.n {
			all = append(all, x.shards.at(i)...)
		}
		x.spread(all)
	}
	sum := maphash.Bytes(keySeed, key)
	shard := x.shards.place(x.shard(sum))
	if x.among(t, *shard, sum, key) {
		x.twice++
	}
	*shard = append(slices.Clip(*shard), keyPlace{sum, node})
	x.places++
}

// remove takes a place out. The tree need not hold the key there any more.
func (x *keyIndex) remove(t *ratchetTree, node nodeIndex, key []byte) {
	sum := maphash.Bytes(keySeed, key)
	shard := x.shards.place(x.shard(sum))
	*shard = slices.DeleteFunc(slices.Clone(*shard), func(p keyPlace) bool { return p.node == node })
	if x.among(t, *shard, sum, key) {
		x.twice--
	}
	x.places--
}
