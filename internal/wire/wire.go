// Package wire reads and writes the TLS presentation language as MLS uses it
// (RFC 8446 section 3, with the variable-size vectors of RFC 9420 section 2.1.2).
//
// Start with [Marshal] and [Unmarshal]; a message implements [Marshaler] and
// [Unmarshaler] by calling one method of [Writer] or [Reader] for each field, in order.
// Every Sealpost protocol (MLS, relay frames, key server bodies) is written in it.
//
// The reader is strict: a varint has its shortest form, an optional is 0 or 1, nothing
// may follow a message, and a length is compared with what is left before anything is
// allocated, so a message never costs more than a small multiple of its own size.
// The first error sticks; later reads return zero values, so decoders need no error
// check between fields.
//
// Out of scope: fixed-size length prefixes other than through [Reader.Uint16] and friends.
package wire

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
)

// Errors that decoding and encoding end in. All are final: the same bytes never parse.
var (
	ErrTruncated  = errors.New("wire: message is truncated")
	ErrTrailing   = errors.New("wire: bytes follow the message")
	ErrNonMinimal = errors.New("wire: varint is not in its shortest form")
	ErrVarint     = errors.New("wire: varint prefix 11 is reserved")
	ErrOptional   = errors.New("wire: optional is neither 0 nor 1")
	ErrTooLong    = errors.New("wire: vector is longer than 2^30-1 bytes")
	ErrStuck      = errors.New("wire: vector element consumed nothing")
)

// MaxVector is the longest vector that a varint can announce, in bytes (RFC 9420 section 2.1.2).
const MaxVector = 1<<30 - 1

// Marshaler writes itself to w. It reports what cannot be encoded through [Writer.Fail].
type Marshaler interface{ MarshalWire(w *Writer) }

// Unmarshaler reads itself from r, exactly what it needs and no more. It reports what it
// refuses through [Reader.Fail].
type Unmarshaler interface{ UnmarshalWire(r *Reader) }

// Marshal encodes m.
func Marshal(m Marshaler) ([]byte, error) {
	w := scratch.Get().(*Writer)
	m.MarshalWire(w)
	b, err := w.Finish()
	b = bytes.Clone(b) // of its exact size: growing one for each value cost more than copying
	w.giveBack()
	return b, err
}

// Use calls use with what fill writes, for as long as that takes and no longer: a hash, say,
// needs the bytes once. It is not called if fill fails.
func Use(fill func(*Writer), use func([]byte)) error {
	w := scratch.Get().(*Writer)
	fill(w)
	b, err := w.Finish()
	if err == nil {
		use(b)
	}
	w.giveBack()
	return err
}

// scratch lends Writers in whose buffers values grow.
var scratch = sync.Pool{New: func() any { return new(Writer) }}

// giveBack ends a loan. What was written is cleared: it may have held a secret.
func (w *Writer) giveBack() {
	if w.Reset(); cap(w.b) <= keptScratch {
		scratch.Put(w)
	}
}

// keptScratch is the largest buffer in bytes that is lent again.
const keptScratch = 64 << 10

// Unmarshal decodes all of b into u. Byte strings inside u may alias b, so the caller
// leaves b unchanged for as long as u lives.
func Unmarshal(b []byte, u Unmarshaler) error {
	r := NewReader(b)
	u.UnmarshalWire(r)
	if err := r.Finish(); err != nil {
		return fmt.Errorf("decoding %T: %w", u, err)
	}
	return nil
}
