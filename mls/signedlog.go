package mls

import (
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// signedDigest stands for content that this member has signed. It is short because nobody
// gains by a collision: what collides passes for known, and known content is no evidence.
type signedDigest [8]byte

// signedBlockSize is how many digests a block holds: an own message adds a block to what is
// stored with it.
const signedBlockSize = 32

// signedBlock is immutable.
type signedBlock struct{ digests []signedDigest }

// signedLog are the digests of what a member has signed in an epoch, in blocks of which all
// but the last are full. It is never written to.
type signedLog []*signedBlock

func (l signedLog) len() int {
	if len(l) == 0 {
		return 0
	}
	return (len(l)-1)*signedBlockSize + len(l[len(l)-1].digests)
}

// with is the log with one more digest.
func (l signedLog) with(d signedDigest) signedLog {
	if l.len()%signedBlockSize == 0 {
		return append(slices.Clip(l), &signedBlock{[]signedDigest{d}})
	}
	out := slices.Clone(l)
	last := &out[len(out)-1]
	*last = &signedBlock{append(slices.Clip((*last).digests), d)}
	return out
}

func (l signedLog) contains(d signedDigest) bool {
	return slices.ContainsFunc(l, func(b *signedBlock) bool { return slices.Contains(b.digests, d) })
}

func writeSignedBlock(w *wire.Writer, b *signedBlock) {
	for _, d := range b.digests {
		w.Raw(d[:])
	}
}

func readSignedBlock(r *wire.Reader) *signedBlock {
	b := new(signedBlock)
	for r.Len() > 0 {
		var d signedDigest
		r.Copy(d[:])
		b.digests = append(b.digests, d)
	}
	return b
}
