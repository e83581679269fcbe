package wire

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

// sample has one field of every shape.
type sample struct {
	a   uint8
	b   uint16
	c   uint32
	d   uint64
	e   []byte
	f   [4]byte
	g   []uint16
	opt *uint32
}

func (s *sample) MarshalWire(w *Writer) {
	w.Uint8(s.a)
	w.Uint16(s.b)
	w.Uint32(s.c)
	w.Uint64(s.d)
	w.Bytes(s.e)
	w.Raw(s.f[:])
	WriteVector(w, s.g, (*Writer).Uint16)
	WriteOptional(w, s.opt, (*Writer).Uint32)
}

func (s *sample) UnmarshalWire(r *Reader) {
	s.a, s.b, s.c, s.d = r.Uint8(), r.Uint16(), r.Uint32(), r.Uint64()
	s.e = r.Bytes()
	r.Copy(s.f[:])
	s.g = Vector(r, (*Reader).Uint16)
	s.opt = Optional(r, (*Reader).Uint32)
}

func draw(t *rapid.T) *sample {
	s := &sample{
		a: rapid.Uint8().Draw(t, "a"), b: rapid.Uint16().Draw(t, "b"),
		c: rapid.Uint32().Draw(t, "c"), d: rapid.Uint64().Draw(t, "d"),
		e: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "e"),
		g: rapid.SliceOf(rapid.Uint16()).Draw(t, "g"),
	}
	if rapid.Bool().Draw(t, "present") {
		s.opt = new(rapid.Uint32().Draw(t, "opt"))
	}
	return s
}

func TestRoundTripAndEveryPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		enc, err := Marshal(draw(t))
		if err != nil {
			t.Fatal(err)
		}
		var got sample
		if err := Unmarshal(enc, &got); err != nil {
			t.Fatal(err)
		}
		again, err := Marshal(&got)
		if err != nil || !bytes.Equal(again, enc) {
			t.Fatalf("encoded again: %x (%v), want %x", again, err, enc)
		}
		for n := range enc {
			if err := Unmarshal(enc[:n], new(sample)); !errors.Is(err, ErrTruncated) {
				t.Fatalf("prefix of %d of %d bytes: %v, want ErrTruncated", n, len(enc), err)
			}
		}
		if err := Unmarshal(append(enc, 0), new(sample)); !errors.Is(err, ErrTrailing) {
			t.Fatalf("a byte after the message: %v, want ErrTrailing", err)
		}
	})
}

func TestVarint(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		want uint32
		err  error
	}{
		{[]byte{0x00}, 0, nil},
		{[]byte{0x3f}, 63, nil},
		{[]byte{0x40, 0x40}, 64, nil},
		{[]byte{0x7f, 0xff}, 16383, nil},
		{[]byte{0x80, 0x00, 0x40, 0x00}, 16384, nil},
		{[]byte{0xbf, 0xff, 0xff, 0xff}, MaxVector, nil},
		{[]byte{0x40, 0x3f}, 0, ErrNonMinimal},
		{[]byte{0x80, 0x00, 0x3f, 0xff}, 0, ErrNonMinimal},
		{[]byte{0xc0}, 0, ErrVarint},
		{[]byte{0xff, 0xff, 0xff, 0xff}, 0, ErrVarint},
		{[]byte{}, 0, ErrTruncated},
		{[]byte{0x40}, 0, ErrTruncated},
		{[]byte{0x80, 0x00, 0x40}, 0, ErrTruncated},
	} {
		r := NewReader(c.in)
		got := r.Varint()
		if got != c.want || !errors.Is(r.Err(), c.err) {
			t.Errorf("varint of %x = %d, %v; want %d, %v", c.in, got, r.Err(), c.want, c.err)
		}
		if c.err == nil {
			var w Writer
			w.Varint(c.want)
			if enc, err := w.Finish(); err != nil || !bytes.Equal(enc, c.in) {
				t.Errorf("varint %d encodes to %x (%v), want %x", c.want, enc, err, c.in)
			}
		}
	}
	var w Writer
	w.Varint(MaxVector + 1)
	if _, err := w.Finish(); !errors.Is(err, ErrTooLong) {
		t.Errorf("2^30 encodes: %v, want ErrTooLong", err)
	}
}

func TestStrict(t *testing.T) {
	r := NewReader([]byte{2})
	if r.Bool(); !errors.Is(r.Err(), ErrOptional) {
		t.Errorf("presence byte 2: %v, want ErrOptional", r.Err())
	}
	r = NewReader([]byte{1, 7})
	Vector(r, func(*Reader) struct{} { return struct{}{} })
	if !errors.Is(r.Err(), ErrStuck) {
		t.Errorf("element of no bytes: %v, want ErrStuck", r.Err())
	}
	r = NewReader([]byte{3, 0, 1, 0})
	Vector(r, (*Reader).Uint16)
	if !errors.Is(r.Err(), ErrTruncated) {
		t.Errorf("half an element at a vector's end: %v, want ErrTruncated", r.Err())
	}
}

// TestR15_LengthBomb: four bytes that announce 1 GiB allocate nothing of that size.
func TestR15_LengthBomb(t *testing.T) {
	bomb := []byte{0xbf, 0xff, 0xff, 0xff}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		for _, read := range []func(*Reader){
			func(r *Reader) { r.Bytes() },
			func(r *Reader) { Vector(r, (*Reader).Uint8) },
			func(r *Reader) { r.Sub() },
		} {
			r := NewReader(bomb)
			if read(r); !errors.Is(r.Err(), ErrTruncated) {
				t.Fatalf("length bomb: %v, want ErrTruncated", r.Err())
			}
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("300 length bombs allocated %d bytes", grown)
	}
}

func FuzzSample(f *testing.F) {
	f.Add([]byte{})
	enc, _ := Marshal(&sample{e: []byte("x"), g: []uint16{1, 2}, opt: new(uint32(7))})
	f.Add(enc)
	f.Fuzz(func(t *testing.T, in []byte) {
		var s sample
		if Unmarshal(in, &s) != nil {
			return
		}
		if enc, err := Marshal(&s); err != nil || !bytes.Equal(enc, in) {
			t.Fatalf("%x decodes, and encodes again to %x (%v)", in, enc, err)
		}
	})
}

func TestSpan(t *testing.T) {
	r := NewReader([]byte{1, 2, 3, 4, 5})
	r.Uint8()
	if got := r.Span(func(r *Reader) { r.Uint16() }); !bytes.Equal(got, []byte{2, 3}) || cap(got) != 2 {
		t.Errorf("two bytes are %x", got)
	}
	if got := r.Span(func(r *Reader) { r.Uint32() }); got != nil || !errors.Is(r.Err(), ErrTruncated) {
		t.Errorf("past the end: %x, %v", got, r.Err())
	}
}

// A vector of any length is written as its content and its length apart would be, inside
// another one too.
func TestNested(t *testing.T) {
	for _, n := range []int{0, 1, 62, 63, 64, 65, 16381, 16382, 16383, 16384, 16385, 1 << 20} {
		content := bytes.Repeat([]byte{byte(n), 7}, n)[:n]
		var inner, want, got Writer
		inner.Uint8(1)
		inner.Bytes(content)
		inner.Uint8(2)
		want.Raw([]byte("before"))
		want.Bytes(inner.b)
		want.Raw([]byte("behind"))

		got.Raw([]byte("before"))
		got.Nested(func(w *Writer) {
			w.Uint8(1)
			w.Nested(func(w *Writer) { w.Raw(content) })
			w.Uint8(2)
		})
		got.Raw([]byte("behind"))
		a, err := got.Finish()
		b, _ := want.Finish()
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%d bytes: %x… (%v), want %x…", n, a[:min(len(a), 40)], err, b[:min(len(b), 40)])
		}
	}
	var w Writer
	w.Nested(func(w *Writer) { w.Nested(func(w *Writer) { w.Fail(ErrStuck) }) })
	if _, err := w.Finish(); !errors.Is(err, ErrStuck) {
		t.Errorf("an error inside: %v", err)
	}
}
