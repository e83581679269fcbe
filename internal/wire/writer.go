package wire

import (
	"encoding/binary"
	"slices"
)

// A Writer appends fields to a byte slice. The zero Writer is ready for use.
// It is not safe for concurrent use.
type Writer struct {
	b   []byte
	err error
}

// NewWriter returns a Writer that appends to b[:len(b)].
func NewWriter(b []byte) *Writer { return &Writer{b: b} }

// Fail makes err the writer's error unless it has one already.
func (w *Writer) Fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// Finish returns what was written, or the first error.
func (w *Writer) Finish() ([]byte, error) {
	if w.err != nil {
		return nil, w.err
	}
	return w.b, nil
}

// Grow makes room for n more bytes.
func (w *Writer) Grow(n int) { w.b = slices.Grow(w.b, n) }

// Reset drops what was written and keeps the buffer, which it clears: it may have held a
// secret.
func (w *Writer) Reset() {
	clear(w.b)
	w.b, w.err = w.b[:0], nil
}

// Len returns how many bytes were written.
func (w *Writer) Len() int { return len(w.b) }

// Raw appends b as it is: fixed-size opaque fields.
func (w *Writer) Raw(b []byte) { w.b = append(w.b, b...) }

// Uint8 appends a uint8.
func (w *Writer) Uint8(v uint8) { w.b = append(w.b, v) }

// Uint16 appends a big-endian uint16.
func (w *Writer) Uint16(v uint16) { w.b = binary.BigEndian.AppendUint16(w.b, v) }

// Uint32 appends a big-endian uint32.
func (w *Writer) Uint32(v uint32) { w.b = binary.BigEndian.AppendUint32(w.b, v) }

// Uint64 appends a big-endian uint64.
func (w *Writer) Uint64(v uint64) { w.b = binary.BigEndian.AppendUint64(w.b, v) }

// Bool appends the presence byte of an optional.
func (w *Writer) Bool(v bool) {
	if v {
		w.Uint8(1)
	} else {
		w.Uint8(0)
	}
}

// Varint appends v in its shortest form; above 2^30-1 it fails with [ErrTooLong].
func (w *Writer) Varint(v uint32) {
	switch {
	case v < 1<<6:
		w.Uint8(uint8(v))
	case v < 1<<14:
		w.Uint16(uint16(v) | 1<<14)
	case v <= MaxVector:
		w.Uint32(v | 2<<30)
	default:
		w.Fail(ErrTooLong)
	}
}

// Bytes appends opaque<V>.
func (w *Writer) Bytes(b []byte) {
	if len(b) > MaxVector {
		w.Fail(ErrTooLong)
		return
	}
	w.Varint(uint32(len(b)))
	w.Raw(b)
}

// Nested appends a vector<V> whose content fill writes, to the same w.
func (w *Writer) Nested(fill func(*Writer)) {
	start := len(w.b)
	w.b = append(w.b, 0) // the length of most vectors takes one byte
	fill(w)
	if w.err != nil {
		return
	}
	n := len(w.b) - start - 1
	if n < 1<<6 {
		w.b[start] = uint8(n)
		return
	}
	var length [4]byte
	lw := Writer{b: length[:0]}
	if lw.Varint(uint32(min(n, MaxVector+1))); lw.err != nil {
		w.Fail(lw.err)
		return
	}
	w.b = append(w.b, lw.b[1:]...)
	copy(w.b[start+len(lw.b):], w.b[start+1:start+1+n])
	copy(w.b[start:], lw.b)
}

// WriteVector appends vector<V> of elements, each written by elem.
func WriteVector[T any](w *Writer, vs []T, elem func(*Writer, T)) {
	w.Nested(func(sub *Writer) {
		for _, v := range vs {
			elem(sub, v)
		}
	})
}

// WriteOptional appends optional<T>: a zero byte for nil.
func WriteOptional[T any](w *Writer, v *T, value func(*Writer, T)) {
	w.Bool(v != nil)
	if v != nil {
		value(w, *v)
	}
}
