package relay

import (
	"errors"

	"github.com/sealpost/sealpost/internal/wire"
)

const closingVersion = 1

var errBadClosing = errors.New("relay: entry of kind CLOSED holds no statement of an admin key")

// Closing is what a CLOSED entry encloses: the statement of the DELETE that made it. So every reader
// can verify who closed the queue, and the relay that says so cannot make it up.
//
//	struct { uint8 version = 1; key; signature statement; }   then zeros
type Closing struct {
	Key       PublicKey
	Statement Signature
}

// ClosingOf is what d leaves in the log.
func ClosingOf(d *Delete) *Closing { return &Closing{Key: d.Key, Statement: d.Statement} }

// closingSigned is what the statement signs, like a LEAVE without a session.
func closingSigned(relayKey RelayKey, queue QueueID) []byte {
	var w wire.Writer
	w.Bytes([]byte("sealpost closed 1"))
	w.Raw(relayKey[:])
	w.Raw(queue[:])
	b, _ := w.Finish() // cannot fail: every field is short
	return b
}

// Envelope returns c as an entry's, of MinEnvelope bytes.
func (c *Closing) Envelope() []byte {
	out := make([]byte, MinEnvelope)
	var w wire.Writer
	c.MarshalWire(&w)
	b, _ := w.Finish() // cannot fail: every field is fixed
	copy(out, b)
	return out
}

// ParseClosing reads the envelope of a CLOSED entry. It verifies nothing.
func ParseClosing(envelope []byte) (*Closing, error) {
	c := new(Closing)
	if len(envelope) != MinEnvelope || wire.Unmarshal(envelope, c) != nil {
		return nil, errBadClosing
	}
	return c, nil
}

// Verify checks that c's key has closed that queue at the relay with this key. That it was one of
// the queue's admin keys only the relay knows. It fails with [ErrBadProof].
func (c *Closing) Verify(relayKey RelayKey, queue QueueID) error {
	return verify(c.Key, c.Statement, closingSigned(relayKey, queue))
}

// MarshalWire writes the statement without the zeros behind it.
func (c *Closing) MarshalWire(w *wire.Writer) {
	w.Uint8(closingVersion)
	w.Raw(c.Key[:])
	w.Raw(c.Statement[:])
}

// UnmarshalWire reads the statement and what is behind it, which is zero.
func (c *Closing) UnmarshalWire(r *wire.Reader) {
	if r.Uint8() != closingVersion {
		r.Fail(errBadClosing)
	}
	r.Copy(c.Key[:])
	r.Copy(c.Statement[:])
	for _, b := range r.Rest() {
		if b != 0 {
			r.Fail(errBadClosing)
		}
	}
}
