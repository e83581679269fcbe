package relay

import (
	"github.com/sealpost/sealpost/internal/wire"
)

// ProofPurpose says what a proof is good for in its session.
type ProofPurpose uint8

// The purposes of PROVE.
const (
	ProveRead  ProofPurpose = 1 // ATTACH as this reader, and APPEND under named writing
	ProveWrite ProofPurpose = 2 // APPEND as this writer
)

// Prove shows, once for a session, that the client holds the private half of Key in Queue.
// Only the signature is checked, not whether the queue knows the key or exists, so the
// answer tells a stranger nothing. Answered by PROVED or REFUSED BAD_PROOF.
type Prove struct {
	Request   uint64
	Purpose   ProofPurpose
	Queue     QueueID
	Key       PublicKey
	Signature Signature
}

// Type returns TypeProve.
func (*Prove) Type() FrameType { return TypeProve }

// RequestNumber returns p.Request.
func (p *Prove) RequestNumber() uint64 { return p.Request }

// SetRequest sets p.Request.
func (p *Prove) SetRequest(n uint64) { p.Request = n }

func (p *Prove) purpose() string {
	if p.Purpose == ProveWrite {
		return purposeWrite
	}
	return purposeRead
}

func (p *Prove) digest() (Hash, error) {
	return digestOf(func(w *wire.Writer) { writeKey(w, p.Key) })
}

// Sign signs for the session of b.
func (p *Prove) Sign(b Binding, s Signer) error {
	d, err := p.digest()
	if err != nil {
		return err
	}
	p.Signature, err = b.sign(s, p.Key, p.purpose(), p.Queue, d)
	return err
}

// Verify returns [ErrBadProof] unless the signature holds in the session of b, and
// [ErrMalformed] for an unknown purpose.
func (p *Prove) Verify(b Binding) error {
	if p.Purpose != ProveRead && p.Purpose != ProveWrite {
		return ErrMalformed
	}
	d, err := p.digest()
	if err != nil {
		return err
	}
	return b.verify(p.Key, p.Signature, p.purpose(), p.Queue, d)
}

// MarshalWire writes the body.
func (p *Prove) MarshalWire(w *wire.Writer) {
	w.Uint64(p.Request)
	w.Uint8(uint8(p.Purpose))
	w.Raw(p.Queue[:])
	w.Raw(p.Key[:])
	w.Raw(p.Signature[:])
}

// UnmarshalWire reads the body.
func (p *Prove) UnmarshalWire(r *wire.Reader) {
	p.Request = r.Uint64()
	p.Purpose = ProofPurpose(r.Uint8())
	r.Copy(p.Queue[:])
	r.Copy(p.Key[:])
	r.Copy(p.Signature[:])
}
