package relay

import "github.com/sealpost/sealpost/internal/wire"

// Append adds a message to a queue. It carries no signature: the session has proven Writer
// for writing in Queue and, where Reader is set (named writing), Reader for reading.
type Append struct {
	Request  uint64
	ID       IdempotencyID
	Queue    QueueID
	Writer   PublicKey
	Reader   *PublicKey
	Envelope []byte // a valid envelope size; a request writer's at most MaxKnock
}

// Type returns TypeAppend.
func (*Append) Type() FrameType { return TypeAppend }

// RequestNumber returns a.Request.
func (a *Append) RequestNumber() uint64 { return a.Request }

// SetRequest sets a.Request.
func (a *Append) SetRequest(n uint64) { a.Request = n }

// Header implements [Mutation].
func (a *Append) Header() (uint64, QueueID, PublicKey, IdempotencyID) {
	return a.Request, a.Queue, a.Writer, a.ID
}

// Digest implements [Mutation].
func (a *Append) Digest() Hash { return idempotencyDigest(TypeAppend, a.fields) }

// Check implements [Mutation]. The lower limit of request writers is the queue's to check.
func (a *Append) Check() error { return checkEnvelope(a.Envelope, MaxEnvelope) }

// Sign does nothing: the authority of an APPEND is the session's proofs.
func (*Append) Sign(Binding, Signer) error { return nil }

// Verify returns nil: the authority of an APPEND is the session's proofs.
func (*Append) Verify(Binding) error { return nil }

func (a *Append) fields(w *wire.Writer) {
	writeHead(w, a.ID, a.Queue, a.Writer)
	wire.WriteOptional(w, a.Reader, writeKey)
	w.Bytes(a.Envelope)
}

// MarshalWire writes the body.
func (a *Append) MarshalWire(w *wire.Writer) {
	w.Uint64(a.Request)
	a.fields(w)
}

// UnmarshalWire reads the body.
func (a *Append) UnmarshalWire(r *wire.Reader) {
	a.Request = r.Uint64()
	readHead(r, &a.ID, &a.Queue, &a.Writer)
	a.Reader = wire.Optional(r, readKey)
	a.Envelope = r.Bytes()
}
