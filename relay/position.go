package relay

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/sealpost/sealpost/internal/wire"
)

// Kind tells what an entry of a queue is.
type Kind uint8

// The kinds of version 1. A reader passes over an unknown kind, after hashing it.
const (
	KindMessage Kind = 1 // an APPEND
	KindCommit  Kind = 2 // a COMMIT
	KindKnock   Kind = 3 // a KNOCK
	KindClosed  Kind = 4 // a DELETE: a Closing, behind which there are votes alone
)

// Position is a place in a queue's log: the entry Seq, in the life Incarnation of its
// store, with the running hash Chain up to and including it. The zero Position is none;
// a position with Seq 0 and a nonzero Incarnation is the beginning of an empty queue.
type Position struct {
	Incarnation Incarnation
	Seq         uint64 // the first entry of a queue has 1, in the store's first incarnation
	Chain       Hash
}

// IsZero reports whether p is no position at all.
func (p Position) IsZero() bool { return p == Position{} }

// MarshalWire writes incarnation, seq, chain: 56 bytes.
func (p *Position) MarshalWire(w *wire.Writer) {
	w.Raw(p.Incarnation[:])
	w.Uint64(p.Seq)
	w.Raw(p.Chain[:])
}

// UnmarshalWire reads what MarshalWire wrote.
func (p *Position) UnmarshalWire(r *wire.Reader) {
	r.Copy(p.Incarnation[:])
	p.Seq = r.Uint64()
	r.Copy(p.Chain[:])
}

func writePosition(w *wire.Writer, p Position) { p.MarshalWire(w) }

func readPosition(r *wire.Reader) (p Position) {
	p.UnmarshalWire(r)
	return p
}

// ChainStart is h(0): SHA-256 over the label, the relay's key, the queue and the store's
// incarnation. It ties a chain to one relay, so that the log of one cannot be shown as
// another's.
func ChainStart(relayKey RelayKey, queue QueueID, incarnation Incarnation) Hash {
	var w wire.Writer
	w.Bytes([]byte("sealpost chain 1"))
	w.Raw(relayKey[:])
	w.Raw(queue[:])
	w.Raw(incarnation[:])
	b, _ := w.Finish() // cannot fail: every field is short
	return sha256.Sum256(b)
}

// ChainNext is h(n) = SHA-256(h(n-1) || uint64 seq || uint8 kind || SHA-256(envelope) || blobs),
// blobs being those of a COMMIT, one after the other: all members agree on what it brought.
func ChainNext(previous Hash, seq uint64, kind Kind, envelope []byte, blobs ...Hash) Hash {
	sum := sha256.Sum256(envelope)
	fixed := make([]byte, 0, len(previous)+8+1+len(sum)) // all there is without blobs: it stays on the stack
	b := append(fixed, previous[:]...)
	b = binary.BigEndian.AppendUint64(b, seq)
	b = append(append(b, uint8(kind)), sum[:]...)
	for _, h := range blobs {
		b = append(b, h[:]...)
	}
	return sha256.Sum256(b)
}

// ValidEnvelopeSize reports whether n is a power of two from MinEnvelope to MaxEnvelope.
// Other sizes are refused so that a length never tells more than ten classes.
func ValidEnvelopeSize(n int) bool {
	return n >= MinEnvelope && n <= MaxEnvelope && n&(n-1) == 0
}

// EnvelopeSize returns the smallest valid envelope size that holds n bytes, or 0 if none does.
func EnvelopeSize(n int) int {
	if n > MaxEnvelope {
		return 0
	}
	size := MinEnvelope
	for size < n {
		size *= 2
	}
	return size
}

// checkEnvelope is the size rule: TOO_LARGE above limit, MALFORMED for a size between.
func checkEnvelope(envelope []byte, limit int) error {
	switch {
	case len(envelope) > limit:
		return ErrTooLarge
	case !ValidEnvelopeSize(len(envelope)):
		return ErrMalformed
	}
	return nil
}
