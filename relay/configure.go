package relay

import "github.com/sealpost/sealpost/internal/wire"

// Configure changes fields of a queue, all or none. Key signs, and must own every field
// that is changed: an admin key, except that a wake handle belongs to its reader.
type Configure struct {
	Request   uint64
	ID        IdempotencyID
	Queue     QueueID
	Key       PublicKey
	Changes   []Change // 1 to MaxChanges, applied in order
	Signature Signature
}

// Type returns TypeConfigure.
func (*Configure) Type() FrameType { return TypeConfigure }

// RequestNumber returns c.Request.
func (c *Configure) RequestNumber() uint64 { return c.Request }

// SetRequest sets c.Request.
func (c *Configure) SetRequest(n uint64) { c.Request = n }

// Header implements [Mutation].
func (c *Configure) Header() (uint64, QueueID, PublicKey, IdempotencyID) {
	return c.Request, c.Queue, c.Key, c.ID
}

// Digest implements [Mutation].
func (c *Configure) Digest() Hash { return idempotencyDigest(TypeConfigure, c.fields) }

// Check implements [Mutation]. A change of an unknown type makes the whole request MALFORMED.
func (c *Configure) Check() error {
	if len(c.Changes) == 0 || len(c.Changes) > MaxChanges {
		return ErrMalformed
	}
	for _, change := range c.Changes {
		if err := change.check(); err != nil {
			return err
		}
	}
	return nil
}

// Sign implements [Mutation].
func (c *Configure) Sign(b Binding, s Signer) error {
	d, err := digestOf(c.fields)
	if err != nil {
		return err
	}
	c.Signature, err = b.sign(s, c.Key, purposeConfigure, c.Queue, d)
	return err
}

// Verify implements [Mutation].
func (c *Configure) Verify(b Binding) error {
	d, err := digestOf(c.fields)
	if err != nil {
		return err
	}
	return b.verify(c.Key, c.Signature, purposeConfigure, c.Queue, d)
}

func (c *Configure) fields(w *wire.Writer) {
	writeHead(w, c.ID, c.Queue, c.Key)
	wire.WriteVector(w, c.Changes, writeChange)
}

// MarshalWire writes the body.
func (c *Configure) MarshalWire(w *wire.Writer) {
	w.Uint64(c.Request)
	c.fields(w)
	w.Raw(c.Signature[:])
}

// UnmarshalWire reads the body.
func (c *Configure) UnmarshalWire(r *wire.Reader) {
	c.Request = r.Uint64()
	readHead(r, &c.ID, &c.Queue, &c.Key)
	c.Changes = readVector(r, MaxChanges, readChange)
	r.Copy(c.Signature[:])
}
