package relay

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// Delete closes a queue to writing, which its readers read in an entry of kind KindClosed, and
// erases it after 7 days, at once if it has a single reader. Key is an admin key.
//
// Statement is what that entry shows of it. It is bound to relay and queue but to no session: else
// two queues that were closed in one session would show it.
type Delete struct {
	Request   uint64
	ID        IdempotencyID
	Queue     QueueID
	Key       PublicKey
	Statement Signature
	Signature Signature
}

// Type returns TypeDelete.
func (*Delete) Type() FrameType { return TypeDelete }

// RequestNumber returns d.Request.
func (d *Delete) RequestNumber() uint64 { return d.Request }

// SetRequest sets d.Request.
func (d *Delete) SetRequest(n uint64) { d.Request = n }

// Header implements [Mutation].
func (d *Delete) Header() (uint64, QueueID, PublicKey, IdempotencyID) {
	return d.Request, d.Queue, d.Key, d.ID
}

// Digest implements [Mutation].
func (d *Delete) Digest() Hash { return idempotencyDigest(TypeDelete, d.fields) }

// Check implements [Mutation].
func (*Delete) Check() error { return nil }

// Sign implements [Mutation]. It makes both signatures, and needs b.RelayKey too.
func (d *Delete) Sign(b Binding, s Signer) error {
	digest, err := digestOf(d.fields)
	if err != nil {
		return err
	}
	if d.Statement, err = s(d.Key, closingSigned(b.RelayKey, d.Queue)); err != nil {
		return fmt.Errorf("signing %s: %w", purposeDelete, err)
	}
	d.Signature, err = b.sign(s, d.Key, purposeDelete, d.Queue, digest)
	return err
}

// Verify implements [Mutation].
func (d *Delete) Verify(b Binding) error {
	digest, err := digestOf(d.fields)
	if err != nil {
		return err
	}
	if err := verify(d.Key, d.Statement, closingSigned(b.RelayKey, d.Queue)); err != nil {
		return err
	}
	return b.verify(d.Key, d.Signature, purposeDelete, d.Queue, digest)
}

func (d *Delete) fields(w *wire.Writer) { writeHead(w, d.ID, d.Queue, d.Key) }

// MarshalWire writes the body.
func (d *Delete) MarshalWire(w *wire.Writer) {
	w.Uint64(d.Request)
	d.fields(w)
	w.Raw(d.Statement[:])
	w.Raw(d.Signature[:])
}

// UnmarshalWire reads the body.
func (d *Delete) UnmarshalWire(r *wire.Reader) {
	d.Request = r.Uint64()
	readHead(r, &d.ID, &d.Queue, &d.Key)
	r.Copy(d.Statement[:])
	r.Copy(d.Signature[:])
}
