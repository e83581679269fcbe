package queue

import (
	"encoding/binary"

	"github.com/sealpost/sealpost/internal/shard"
)

// noted tells of most answers that were never remembered that they were not, without a search in
// the store: nearly every mutation is no retry, and each would search for its answer in vain. It
// notes what is remembered from the first answer of a period on; of a period that held something
// already, as the one in which a store was opened again, it knows nothing, and the store is
// searched. Used by the storing goroutine.
type noted struct{ periods map[answersOf]*sieve }

// answersOf is a kind of answers of one period.
type answersOf struct {
	kind   byte
	period uint32
}

// begin begins a period, unless it has begun: it is empty, or nothing is known of it. That an
// operation is undone later, or the period's own beginning, changes nothing: what was noted too
// much is searched for.
func (n *noted) begin(tx *shard.Tx, kind byte, period uint32) {
	of := answersOf{kind, period}
	if _, begun := n.periods[of]; begun {
		return
	}
	empty := true
	if tx.Keys(memoryKey(kind, period, nil), nil, func([]byte) bool { empty = false; return false }) != nil {
		return
	}
	if n.periods == nil {
		n.periods = make(map[answersOf]*sieve)
	}
	for old := range n.periods {
		if old.kind == kind && old.period+longMemory < period {
			delete(n.periods, old)
		}
	}
	n.periods[of] = &sieve{unknown: !empty}
}

// add notes an answer of a period that has begun.
func (n *noted) add(kind byte, period uint32, name []byte) {
	if s := n.periods[answersOf{kind, period}]; s != nil {
		s.add(name)
	}
}

// absent reports whether it is known that no such answer is remembered.
func (n *noted) absent(kind byte, period uint32, name []byte) bool {
	s := n.periods[answersOf{kind, period}]
	return s != nil && !s.may(name)
}

// sieve is a set of names that may take some for members which are none (a Bloom filter, whose
// bits for a name lie in one block). Names are HMACs, so their bytes are as good as any hash. It
// grows by parts, each four times the one before, and of more than its bound it knows nothing.
type sieve struct {
	unknown bool
	parts   [][]sieveBlock
	left    int // names that the last part has room for
	bytes   int
}

type sieveBlock [8]uint64 // a cache line

const (
	sieveBits  = 6   // that are set for a name
	sieveNames = 42  // for each block: twelve bits each, and some in two hundred are taken for members
	sieveFirst = 256 // blocks of the first part
)

func (s *sieve) add(name []byte) {
	if s.unknown {
		return
	}
	if s.left == 0 {
		blocks := sieveFirst << (2 * len(s.parts))
		if s.bytes += blocks * 64; s.bytes > maxSieve {
			*s = sieve{unknown: true}
			return
		}
		s.parts, s.left = append(s.parts, make([]sieveBlock, blocks)), blocks*sieveNames
	}
	s.left--
	block, bits := blockOf(s.parts[len(s.parts)-1], name)
	for range sieveBits {
		block[bits>>6&7] |= 1 << (bits & 63)
		bits >>= 9
	}
}

// may reports whether name may be a member.
func (s *sieve) may(name []byte) bool {
	if s.unknown {
		return true
	}
	for i := len(s.parts) - 1; i >= 0; i-- {
		block, bits := blockOf(s.parts[i], name)
		in := true
		for range sieveBits {
			in = in && block[bits>>6&7]&(1<<(bits&63)) != 0
			bits >>= 9
		}
		if in {
			return true
		}
	}
	return false
}

// blockOf returns a name's block, and the bits in it, nine for each.
func blockOf(part []sieveBlock, name []byte) (*sieveBlock, uint64) {
	return &part[binary.BigEndian.Uint64(name)&uint64(len(part)-1)], binary.BigEndian.Uint64(name[8:])
}
