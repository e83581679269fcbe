package wire

import "encoding/binary"

// A Reader reads fields from the front of a byte slice. The zero Reader is empty.
// It is not safe for concurrent use.
type Reader struct {
	b   []byte
	err error
}

// NewReader returns a Reader of b, which it aliases.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Fail makes err the reader's error unless it has one already, and drops what is left.
func (r *Reader) Fail(err error) {
	if r.err == nil && err != nil {
		r.err, r.b = err, nil
	}
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Len returns how many bytes are left; 0 after an error.
func (r *Reader) Len() int { return len(r.b) }

// Finish returns the first error, or [ErrTrailing] if bytes are left.
func (r *Reader) Finish() error {
	if r.err == nil && len(r.b) > 0 {
		r.Fail(ErrTrailing)
	}
	return r.err
}

// Raw returns the next n bytes, aliasing the input, or nil after an error.
func (r *Reader) Raw(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.b) {
		r.Fail(ErrTruncated)
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

// Rest returns everything that is left, aliasing the input.
func (r *Reader) Rest() []byte { return r.Raw(len(r.b)) }

// Copy fills dst from the next len(dst) bytes: fixed-size opaque fields.
func (r *Reader) Copy(dst []byte) { copy(dst, r.Raw(len(dst))) }

// Uint8 reads a uint8.
func (r *Reader) Uint8() uint8 {
	if b := r.Raw(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint16 reads a big-endian uint16.
func (r *Reader) Uint16() uint16 {
	if b := r.Raw(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// Uint32 reads a big-endian uint32.
func (r *Reader) Uint32() uint32 {
	if b := r.Raw(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Uint64 reads a big-endian uint64.
func (r *Reader) Uint64() uint64 {
	if b := r.Raw(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Bool reads the presence byte of an optional: 0 or 1, all else is [ErrOptional].
func (r *Reader) Bool() bool {
	switch r.Uint8() {
	case 0:
		return false
	case 1:
		return true
	}
	r.Fail(ErrOptional)
	return false
}

// Varint reads a variable-size integer (RFC 9420 section 2.1.2), shortest form only.
func (r *Reader) Varint() uint32 {
	first := r.Uint8()
	v, min := uint32(first&0x3f), uint32(0)
	switch first >> 6 {
	case 1:
		v, min = v<<8|uint32(r.Uint8()), 1<<6
	case 2:
		v = v<<8 | uint32(r.Uint8())
		v, min = v<<16|uint32(r.Uint16()), 1<<14
	case 3:
		r.Fail(ErrVarint)
	}
	if r.err == nil && v < min {
		r.Fail(ErrNonMinimal)
	}
	if r.err != nil {
		return 0
	}
	return v
}

// Bytes reads opaque<V>, aliasing the input. An empty vector is an empty, non-nil slice.
func (r *Reader) Bytes() []byte { return r.Raw(int(r.Varint())) }

// Sub reads a vector and returns a Reader of its content; the caller calls its Finish
// and reports the error here. [Vector] does so by itself.
func (r *Reader) Sub() *Reader {
	b := r.Bytes()
	return &Reader{b: b, err: r.err}
}

// Span returns the bytes that read takes, aliasing the input; nil after an error.
func (r *Reader) Span(read func(*Reader)) []byte {
	before := r.b
	if read(r); r.err != nil {
		return nil
	}
	n := len(before) - len(r.b)
	return before[:n:n]
}

// evenElement is the least size in bytes of an encoded element for which a vector's number of
// elements is guessed from the first: then a wrong guess costs a small multiple of the input.
const evenElement = 32

// fewElements is how many elements append alone makes room for.
const fewElements = 64

// Vector reads a vector<V> whose elements elem reads one by one. An empty vector is nil.
func Vector[T any](r *Reader, elem func(*Reader) T) []T {
	b := r.Bytes()
	if len(b) == 0 {
		return nil // most vectors of the records of a busy queue are empty: they cost no Reader
	}
	sub, total := NewReader(b), len(b)
	var out []T
	for sub.Len() > 0 {
		before := sub.Len()
		v := elem(sub)
		if sub.err == nil && sub.Len() == before {
			sub.Fail(ErrStuck) // an element of no bytes would loop for ever
		}
		if sub.err != nil {
			break
		}
		if size := before - sub.Len(); out == nil && size >= evenElement {
			out = make([]T, 0, 1+sub.Len()/size)
		}
		if n := len(out); n == cap(out) && n >= fewElements {
			// Like those before, but for no more than twice as many: append takes smaller steps.
			more := 1 + sub.Len()/max(1, (total-sub.Len())/(n+1))
			out = append(make([]T, 0, n+min(n, more)), out...)
		}
		out = append(out, v)
	}
	if sub.err != nil {
		r.Fail(sub.err)
		return nil
	}
	return out
}

// Optional reads optional<T>: nil when the presence byte is 0.
func Optional[T any](r *Reader, value func(*Reader) T) *T {
	if !r.Bool() {
		return nil
	}
	v := value(r)
	if r.err != nil {
		return nil
	}
	return &v
}
