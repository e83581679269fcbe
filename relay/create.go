package relay

import (
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// Create makes a queue. Key is one of Admins and signs. The answer's position is the
// beginning of the new log (seq 0).
type Create struct {
	Request       uint64
	ID            IdempotencyID
	Queue         QueueID
	Key           PublicKey
	Admins        []PublicKey // 1 to MaxAdmins
	Writer        *PublicKey  // the group's writer, replaced by every COMMIT; nil for an inbox
	RequestWriter *PublicKey  // strangers' writer: 64 entries of 16 KiB, oldest dropped first
	Readers       []PublicKey // 1 to MaxReaders
	RetentionDays uint16      // 1 to MaxRetention; 0 is DefaultDays
	Signature     Signature
}

// Type returns TypeCreate.
func (*Create) Type() FrameType { return TypeCreate }

// RequestNumber returns c.Request.
func (c *Create) RequestNumber() uint64 { return c.Request }

// SetRequest sets c.Request.
func (c *Create) SetRequest(n uint64) { c.Request = n }

// Header implements [Mutation].
func (c *Create) Header() (uint64, QueueID, PublicKey, IdempotencyID) {
	return c.Request, c.Queue, c.Key, c.ID
}

// Digest implements [Mutation].
func (c *Create) Digest() Hash { return idempotencyDigest(TypeCreate, c.fields) }

// Check implements [Mutation].
func (c *Create) Check() error {
	if !validAdmins(c.Admins) || !slices.Contains(c.Admins, c.Key) {
		return ErrMalformed
	}
	if len(c.Readers) == 0 || len(c.Readers) > MaxReaders || repeats(c.Readers) {
		return ErrMalformed
	}
	if c.RetentionDays > MaxRetention {
		return ErrMalformed
	}
	return nil
}

func validAdmins(keys []PublicKey) bool {
	return len(keys) > 0 && len(keys) <= MaxAdmins && !repeats(keys)
}

// repeats reports whether a key stands in the list twice. The lists are short.
func repeats[T comparable](all []T) bool {
	for i, v := range all {
		if slices.Contains(all[:i], v) {
			return true
		}
	}
	return false
}

// Sign implements [Mutation].
func (c *Create) Sign(b Binding, s Signer) error {
	d, err := digestOf(c.fields)
	if err != nil {
		return err
	}
	c.Signature, err = b.sign(s, c.Key, purposeCreate, c.Queue, d)
	return err
}

// Verify implements [Mutation].
func (c *Create) Verify(b Binding) error {
	d, err := digestOf(c.fields)
	if err != nil {
		return err
	}
	return b.verify(c.Key, c.Signature, purposeCreate, c.Queue, d)
}

func (c *Create) fields(w *wire.Writer) {
	writeHead(w, c.ID, c.Queue, c.Key)
	writeKeys(w, c.Admins)
	wire.WriteOptional(w, c.Writer, writeKey)
	wire.WriteOptional(w, c.RequestWriter, writeKey)
	writeKeys(w, c.Readers)
	w.Uint16(c.RetentionDays)
}

// MarshalWire writes the body.
func (c *Create) MarshalWire(w *wire.Writer) {
	w.Uint64(c.Request)
	c.fields(w)
	w.Raw(c.Signature[:])
}

// UnmarshalWire reads the body.
func (c *Create) UnmarshalWire(r *wire.Reader) {
	c.Request = r.Uint64()
	readHead(r, &c.ID, &c.Queue, &c.Key)
	c.Admins = readKeys(r, MaxAdmins)
	c.Writer = wire.Optional(r, readKey)
	c.RequestWriter = wire.Optional(r, readKey)
	c.Readers = readKeys(r, MaxReaders)
	c.RetentionDays = r.Uint16()
	r.Copy(c.Signature[:])
}
