package relay

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// Leave removes a reader by its own signature. The signature is bound to relay, queue and
// reader but to no session, and is good for ever: a device deposits one with its siblings
// for the day it is lost. Replaying it does only what its reader wanted.
type Leave struct {
	Request   uint64
	ID        IdempotencyID
	Queue     QueueID
	Reader    PublicKey
	Signature Signature
}

// Type returns TypeLeave.
func (*Leave) Type() FrameType { return TypeLeave }

// RequestNumber returns l.Request.
func (l *Leave) RequestNumber() uint64 { return l.Request }

// SetRequest sets l.Request.
func (l *Leave) SetRequest(n uint64) { l.Request = n }

// Header implements [Mutation].
func (l *Leave) Header() (uint64, QueueID, PublicKey, IdempotencyID) {
	return l.Request, l.Queue, l.Reader, l.ID
}

// Digest implements [Mutation].
func (l *Leave) Digest() Hash { return idempotencyDigest(TypeLeave, l.fields) }

// Check implements [Mutation].
func (*Leave) Check() error { return nil }

func (l *Leave) signed(relayKey RelayKey) []byte {
	var w wire.Writer
	w.Bytes([]byte("sealpost leave 1"))
	w.Raw(relayKey[:])
	w.Raw(l.Queue[:])
	w.Raw(l.Reader[:])
	b, _ := w.Finish() // cannot fail: every field is short
	return b
}

// Sign implements [Mutation]. It needs b.RelayKey only. A leave that was signed by somebody
// else is sent as it is.
func (l *Leave) Sign(b Binding, s Signer) error {
	sig, err := s(l.Reader, l.signed(b.RelayKey))
	if err != nil {
		return fmt.Errorf("signing leave: %w", err)
	}
	l.Signature = sig
	return nil
}

// Verify implements [Mutation].
func (l *Leave) Verify(b Binding) error {
	return verify(l.Reader, l.Signature, l.signed(b.RelayKey))
}

func (l *Leave) fields(w *wire.Writer) { writeHead(w, l.ID, l.Queue, l.Reader) }

// MarshalWire writes the body.
func (l *Leave) MarshalWire(w *wire.Writer) {
	w.Uint64(l.Request)
	l.fields(w)
	w.Raw(l.Signature[:])
}

// UnmarshalWire reads the body.
func (l *Leave) UnmarshalWire(r *wire.Reader) {
	l.Request = r.Uint64()
	readHead(r, &l.ID, &l.Queue, &l.Reader)
	r.Copy(l.Signature[:])
}
