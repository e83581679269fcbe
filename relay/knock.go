package relay

import "github.com/sealpost/sealpost/internal/wire"

// KnockClass separates the rate of knocks from that of announcements and votes.
type KnockClass uint8

// The classes of KNOCK.
const (
	ClassKnock KnockClass = 0 // a member who cannot follow asks to be replaced
	ClassVote  KnockClass = 1 // announces a successor group, or seconds one
)

// Knock adds a small sealed entry of kind KindKnock, signed by a reader's key.
type Knock struct {
	Request   uint64
	ID        IdempotencyID
	Queue     QueueID
	Reader    PublicKey
	Class     KnockClass
	Envelope  []byte // a valid envelope size, at most MaxKnock
	Signature Signature
}

// Type returns TypeKnock.
func (*Knock) Type() FrameType { return TypeKnock }

// RequestNumber returns k.Request.
func (k *Knock) RequestNumber() uint64 { return k.Request }

// SetRequest sets k.Request.
func (k *Knock) SetRequest(n uint64) { k.Request = n }

// Header implements [Mutation].
func (k *Knock) Header() (uint64, QueueID, PublicKey, IdempotencyID) {
	return k.Request, k.Queue, k.Reader, k.ID
}

// Digest implements [Mutation].
func (k *Knock) Digest() Hash { return idempotencyDigest(TypeKnock, k.fields) }

// Check implements [Mutation].
func (k *Knock) Check() error {
	if k.Class > ClassVote {
		return ErrMalformed
	}
	return checkEnvelope(k.Envelope, MaxKnock)
}

// Sign implements [Mutation].
func (k *Knock) Sign(b Binding, s Signer) error {
	d, err := digestOf(k.fields)
	if err != nil {
		return err
	}
	k.Signature, err = b.sign(s, k.Reader, purposeKnock, k.Queue, d)
	return err
}

// Verify implements [Mutation].
func (k *Knock) Verify(b Binding) error {
	d, err := digestOf(k.fields)
	if err != nil {
		return err
	}
	return b.verify(k.Reader, k.Signature, purposeKnock, k.Queue, d)
}

func (k *Knock) fields(w *wire.Writer) {
	writeHead(w, k.ID, k.Queue, k.Reader)
	w.Uint8(uint8(k.Class))
	w.Bytes(k.Envelope)
}

// MarshalWire writes the body.
func (k *Knock) MarshalWire(w *wire.Writer) {
	w.Uint64(k.Request)
	k.fields(w)
	w.Raw(k.Signature[:])
}

// UnmarshalWire reads the body.
func (k *Knock) UnmarshalWire(r *wire.Reader) {
	k.Request = r.Uint64()
	readHead(r, &k.ID, &k.Queue, &k.Reader)
	k.Class = KnockClass(r.Uint8())
	k.Envelope = r.Bytes()
	r.Copy(k.Signature[:])
}
