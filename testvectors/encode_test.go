package testvectors_test

import (
	"bytes"
	"encoding/binary"
)

// The TLS presentation language (RFC 8446 section 3, RFC 9420 section 2.1.2), as far as it
// is needed here.

func u16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// varint is the length of a vector, in its shortest form.
func varint(n int) []byte {
	switch {
	case n < 1<<6:
		return []byte{byte(n)}
	case n < 1<<14:
		return u16(1<<14 | uint16(n))
	}
	return u32(1<<31 | uint32(n))
}

// opaque is opaque<V>, or a vector whose elements are joined already.
func opaque(content []byte) []byte { return join(varint(len(content)), content) }

// A field has a name, its bytes on the wire, and its value in JSON.
type field struct {
	name  string
	wire  []byte
	value any
}

func number[T uint8 | uint16 | uint32 | uint64](name string, v T) field {
	var wire []byte
	switch v := any(v).(type) {
	case uint8:
		wire = []byte{v}
	case uint16:
		wire = u16(v)
	case uint32:
		wire = u32(v)
	case uint64:
		wire = u64(v)
	}
	return field{name, wire, v}
}

func fixed(name string, b []byte) field { return field{name, b, b} }

func vector(name string, b []byte) field { return field{name, opaque(b), b} }

func boolean(name string, v bool) field {
	if v {
		return field{name, []byte{1}, true}
	}
	return field{name, []byte{0}, false}
}

// absent and present are the two forms of an optional.
func absent(name string) field { return field{name, []byte{0}, nil} }

func present(f field) field { return field{f.name, join([]byte{1}, f.wire), f.value} }

// nested is a struct within a struct.
func nested(name string, fields ...field) field {
	return field{name, wireOf(fields), valuesOf(fields)}
}

// list is a vector of structs or of anything else.
func list(name string, elements ...field) field {
	values := make([]any, len(elements))
	var wire []byte
	for i, e := range elements {
		values[i] = plain(e.value)
		wire = append(wire, e.wire...)
	}
	return field{name, opaque(wire), values}
}

func keys(name string, keys ...[]byte) field {
	elements := make([]field, len(keys))
	for i, k := range keys {
		elements[i] = fixed("", k)
	}
	return list(name, elements...)
}

func wireOf(fields []field) []byte {
	var out []byte
	for _, f := range fields {
		out = append(out, f.wire...)
	}
	return out
}

func valuesOf(fields []field) object {
	out := object{}
	for _, f := range fields {
		out = append(out, member{f.name, f.value})
	}
	return out
}

// position is the relay's: incarnation, seq, chain.
type position struct {
	incarnation []byte
	seq         uint64
	chain       []byte
}

func (p position) bytes() []byte { return join(p.incarnation, u64(p.seq), p.chain) }

func (p position) field(name string) field {
	return nested(name, fixed("incarnation", p.incarnation), number("seq", p.seq), fixed("chain", p.chain))
}

var none = position{make([]byte, 16), 0, make([]byte, 32)}
