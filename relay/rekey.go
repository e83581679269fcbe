package relay

import "github.com/sealpost/sealpost/internal/wire"

// Rekey replaces a one-time ticket by the joiner's own reader key. Both sign the same
// bytes: whoever holds only the invitation cannot name another's key, and whoever saw the
// ticket's public key cannot take the place.
type Rekey struct {
	Request         uint64
	ID              IdempotencyID
	Queue           QueueID
	Ticket          PublicKey
	Reader          PublicKey
	TicketSignature Signature
	ReaderSignature Signature
}

// Type returns TypeRekey.
func (*Rekey) Type() FrameType { return TypeRekey }

// RequestNumber returns k.Request.
func (k *Rekey) RequestNumber() uint64 { return k.Request }

// SetRequest sets k.Request.
func (k *Rekey) SetRequest(n uint64) { k.Request = n }

// Header implements [Mutation]; the key is the ticket.
func (k *Rekey) Header() (uint64, QueueID, PublicKey, IdempotencyID) {
	return k.Request, k.Queue, k.Ticket, k.ID
}

// Digest implements [Mutation].
func (k *Rekey) Digest() Hash { return idempotencyDigest(TypeRekey, k.fields) }

// Check implements [Mutation]. A ticket does not become a reader key itself: others know it.
func (k *Rekey) Check() error {
	if k.Ticket == k.Reader {
		return ErrMalformed
	}
	return nil
}

// Sign implements [Mutation]. It needs the keys of ticket and reader.
func (k *Rekey) Sign(b Binding, s Signer) error {
	d, err := digestOf(k.fields)
	if err != nil {
		return err
	}
	if k.TicketSignature, err = b.sign(s, k.Ticket, purposeRekey, k.Queue, d); err != nil {
		return err
	}
	k.ReaderSignature, err = b.sign(s, k.Reader, purposeRekey, k.Queue, d)
	return err
}

// Verify implements [Mutation].
func (k *Rekey) Verify(b Binding) error {
	d, err := digestOf(k.fields)
	if err != nil {
		return err
	}
	if err := b.verify(k.Ticket, k.TicketSignature, purposeRekey, k.Queue, d); err != nil {
		return err
	}
	return b.verify(k.Reader, k.ReaderSignature, purposeRekey, k.Queue, d)
}

func (k *Rekey) fields(w *wire.Writer) {
	writeHead(w, k.ID, k.Queue, k.Ticket)
	w.Raw(k.Reader[:])
}

// MarshalWire writes the body.
func (k *Rekey) MarshalWire(w *wire.Writer) {
	w.Uint64(k.Request)
	k.fields(w)
	w.Raw(k.TicketSignature[:])
	w.Raw(k.ReaderSignature[:])
}

// UnmarshalWire reads the body.
func (k *Rekey) UnmarshalWire(r *wire.Reader) {
	k.Request = r.Uint64()
	readHead(r, &k.ID, &k.Queue, &k.Ticket)
	r.Copy(k.Reader[:])
	r.Copy(k.TicketSignature[:])
	r.Copy(k.ReaderSignature[:])
}
