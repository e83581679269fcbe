package relay

import "github.com/sealpost/sealpost/internal/wire"

// Commit adds a COMMIT entry, if Expect is the queue's last one, and in the same step
// replaces the group's writer key and registers tickets. It is signed by a registered
// reader's key, which no epoch rotates: so a wrong NextWriter costs one slot and any
// member commits on top of it.
type Commit struct {
	Request    uint64
	ID         IdempotencyID
	Queue      QueueID
	Reader     PublicKey
	Expect     Position // of the last COMMIT entry the sender knows, valid or not; zero if none
	NextWriter PublicKey
	Tickets    []PublicKey // at most MaxTickets
	Admins     *AdminChange
	Blobs      []Hash // complete blobs of this queue that are kept while the entry is; at most MaxPins
	Envelope   []byte
	Signature  Signature
}

// AdminChange rides on a COMMIT and replaces the admin keys. Key is a current admin key.
type AdminChange struct {
	Admins    []PublicKey // 1 to MaxAdmins
	Key       PublicKey
	Signature Signature
}

// Type returns TypeCommit.
func (*Commit) Type() FrameType { return TypeCommit }

// RequestNumber returns c.Request.
func (c *Commit) RequestNumber() uint64 { return c.Request }

// SetRequest sets c.Request.
func (c *Commit) SetRequest(n uint64) { c.Request = n }

// Header implements [Mutation].
func (c *Commit) Header() (uint64, QueueID, PublicKey, IdempotencyID) {
	return c.Request, c.Queue, c.Reader, c.ID
}

// Digest implements [Mutation].
func (c *Commit) Digest() Hash { return idempotencyDigest(TypeCommit, c.fields) }

// Check implements [Mutation].
func (c *Commit) Check() error {
	if len(c.Tickets) > MaxTickets || repeats(c.Tickets) {
		return ErrMalformed
	}
	if c.Admins != nil && !validAdmins(c.Admins.Admins) {
		return ErrMalformed
	}
	if len(c.Blobs) > MaxPins || repeats(c.Blobs) {
		return ErrMalformed
	}
	return checkEnvelope(c.Envelope, MaxEnvelope)
}

// adminDigest hashes what the admin's signature covers: the new list and this COMMIT's id.
func (c *Commit) adminDigest() (Hash, error) {
	return digestOf(func(w *wire.Writer) {
		writeKeys(w, c.Admins.Admins)
		w.Raw(c.ID[:])
	})
}

// Sign implements [Mutation]. With an admin change it needs that admin's key as well.
func (c *Commit) Sign(b Binding, s Signer) error {
	if c.Admins != nil {
		d, err := c.adminDigest()
		if err != nil {
			return err
		}
		if c.Admins.Signature, err = b.sign(s, c.Admins.Key, purposeAdmins, c.Queue, d); err != nil {
			return err
		}
	}
	d, err := digestOf(c.fields)
	if err != nil {
		return err
	}
	c.Signature, err = b.sign(s, c.Reader, purposeCommit, c.Queue, d)
	return err
}

// Verify implements [Mutation].
func (c *Commit) Verify(b Binding) error {
	d, err := digestOf(c.fields)
	if err != nil {
		return err
	}
	if err := b.verify(c.Reader, c.Signature, purposeCommit, c.Queue, d); err != nil || c.Admins == nil {
		return err
	}
	if d, err = c.adminDigest(); err != nil {
		return err
	}
	return b.verify(c.Admins.Key, c.Admins.Signature, purposeAdmins, c.Queue, d)
}

// fields writes what is signed: the admin change without its own signature.
func (c *Commit) fields(w *wire.Writer) { c.write(w, false) }

func (c *Commit) write(w *wire.Writer, signatures bool) {
	writeHead(w, c.ID, c.Queue, c.Reader)
	c.Expect.MarshalWire(w)
	w.Raw(c.NextWriter[:])
	writeKeys(w, c.Tickets)
	w.Bool(c.Admins != nil)
	if c.Admins != nil {
		writeKeys(w, c.Admins.Admins)
		w.Raw(c.Admins.Key[:])
		if signatures {
			w.Raw(c.Admins.Signature[:])
		}
	}
	wire.WriteVector(w, c.Blobs, writeHash)
	w.Bytes(c.Envelope)
}

// MarshalWire writes the body.
func (c *Commit) MarshalWire(w *wire.Writer) {
	w.Uint64(c.Request)
	c.write(w, true)
	w.Raw(c.Signature[:])
}

// UnmarshalWire reads the body.
func (c *Commit) UnmarshalWire(r *wire.Reader) {
	c.Request = r.Uint64()
	readHead(r, &c.ID, &c.Queue, &c.Reader)
	c.Expect.UnmarshalWire(r)
	r.Copy(c.NextWriter[:])
	c.Tickets = readKeys(r, MaxTickets)
	c.Admins = wire.Optional(r, func(r *wire.Reader) (a AdminChange) {
		a.Admins = readKeys(r, MaxAdmins)
		r.Copy(a.Key[:])
		r.Copy(a.Signature[:])
		return a
	})
	c.Blobs = readVector(r, MaxPins, readHash)
	c.Envelope = r.Bytes()
	r.Copy(c.Signature[:])
}
