package sealedfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/chacha20poly1305"
)

// text returns n bytes that repeat nowhere near.
func text(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

func sealed(t testing.TB, plain []byte) ([]byte, Info) {
	t.Helper()
	var out bytes.Buffer
	info, err := Seal(&out, bytes.NewReader(plain), 0)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), info
}

func opened(b []byte, info Info) ([]byte, error) {
	var out bytes.Buffer
	err := Open(&out, bytes.NewReader(b), info)
	return out.Bytes(), err
}

// The sizes around every boundary: of the smallest file, of a segment with and without room for
// the length, of several segments, of the padding.
func TestSealedOpensAgain(t *testing.T) {
	sizes := []int{0, 1, 7, 8, 511, 999, 1000, 1001, 1024, 4096, 65_000, 1 << 20, 1<<20 + 1}
	for _, at := range []int{content - trailer, content, segment, 2*content - trailer, 2 * content, 5 * content} {
		sizes = append(sizes, at-1, at, at+1)
	}
	for _, n := range sizes {
		plain := text(n)
		b, info := sealed(t, plain)
		if int64(len(b)) != info.Size() || info.Plain != int64(n) || info.Hash != sha256.Sum256(b) {
			t.Errorf("%d bytes: %d sealed, info says %d of %d", n, len(b), info.Size(), info.Plain)
		}
		if got, err := opened(b, info); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %d came back, %v", n, len(got), err)
		}
	}
}

// However the source gives its bytes, and whatever it says with the last ones.
func TestSourcesInPieces(t *testing.T) {
	plain := text(3*content + 5)
	var key Key
	var whole bytes.Buffer
	if _, err := seal(&whole, bytes.NewReader(plain), key, MaxSize); err != nil {
		t.Fatal(err)
	}
	for name, src := range map[string]io.Reader{
		"one byte": iotest.OneByteReader(bytes.NewReader(plain)), "halves": iotest.HalfReader(bytes.NewReader(plain)),
		"data with EOF": iotest.DataErrReader(bytes.NewReader(plain)),
	} {
		var out bytes.Buffer
		if _, err := seal(&out, src, key, MaxSize); err != nil || !bytes.Equal(out.Bytes(), whole.Bytes()) {
			t.Errorf("%s: other bytes, or %v", name, err)
		}
	}
	for _, cause := range []error{errors.New("broken"), io.ErrUnexpectedEOF} {
		src := io.MultiReader(bytes.NewReader(plain), iotest.ErrReader(cause))
		if info, err := Seal(io.Discard, src, 0); !errors.Is(err, cause) || info != (Info{}) {
			t.Errorf("a source that ended with %q: %v", cause, err)
		}
	}
	full := errors.New("full")
	if _, err := Seal(failing{full}, bytes.NewReader(plain), 0); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
	b, info := sealed(t, plain)
	if err := Open(failing{full}, bytes.NewReader(b), info); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestLimit(t *testing.T) {
	plain := text(100_000)
	size, err := SealedSize(int64(len(plain)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Seal(io.Discard, bytes.NewReader(plain), size); err != nil {
		t.Errorf("exactly the limit: %v", err)
	}
	if _, err := Seal(io.Discard, bytes.NewReader(plain), size-1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a byte over the limit: %v", err)
	}
	read := &counter{}
	if _, err := Seal(io.Discard, read, 1<<20); !errors.Is(err, ErrTooLarge) || read.n > 2<<20 {
		t.Errorf("an endless source: %v after %d bytes", err, read.n)
	}
	for _, n := range []int64{-1, MaxSize, MaxSize + 1, math.MaxInt64, math.MinInt64} {
		if _, err := SealedSize(n); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if err := Open(io.Discard, bytes.NewReader(nil), Info{Plain: n}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("opening %d bytes: %v", n, err)
		}
	}
}

type counter struct{ n int }

func (c *counter) Read(b []byte) (int, error) { c.n += len(b); return len(b), nil }

// What sizes tell is a class; the class costs little, and never cuts a segment so short that
// no tag or length fits.
func TestC11_SizesTellLittle(t *testing.T) {
	classes, last := map[int64]bool{}, int64(0)
	check := func(n int64) {
		size, err := SealedSize(n)
		if err != nil {
			t.Fatal(n, err)
		}
		least := max(n+trailer+(n+trailer+content-1)/content*tag, minSize)
		if size < least || size-least > least*12/100 || size < last {
			t.Errorf("%d bytes: sealed %d, least %d, before %d", n, size, least, last)
		}
		if rest := size % segment; size >= segment && rest != 0 && rest < 2048 || streamSize(size) < n+trailer {
			t.Errorf("%d bytes: sealed %d ends in a segment of %d", n, size, rest)
		}
		classes[size], last = true, size
	}
	for n := range int64(1 << 20) {
		check(n)
	}
	if len(classes) > 230 {
		t.Errorf("%d classes for files of up to 1 MiB", len(classes))
	}
	last = 0
	for n := int64(1); n < MaxSize/2; n += 1 + n/97 {
		check(n)
	}
	same, _ := sealed(t, bytes.Repeat([]byte{0}, 50_000))
	other, _ := sealed(t, text(50_000))
	if len(same) != len(other) {
		t.Error("what compresses well has another size")
	}
}

// The bytes of the format: a change of any constant shows here.
func TestVector(t *testing.T) {
	var key Key
	for i := range key {
		key[i] = byte(i)
	}
	var out bytes.Buffer
	info, err := seal(&out, strings.NewReader("hello, file"), key, MaxSize)
	if err != nil {
		t.Fatal(err)
	}
	const hash, begin = "402fe2283db3f79b0bb0cf47c3666f172f49d5f5e0d8efb5a24cf6be17852a03", "013910b55e26981c441d1b2fb3141712"
	if got := hex.EncodeToString(info.Hash[:]); got != hash || out.Len() != 1024 || info.Plain != 11 {
		t.Errorf("hash %s of %d bytes", got, out.Len())
	}
	if got := hex.EncodeToString(out.Bytes()[:16]); got != begin {
		t.Errorf("begins with %s", got)
	}
	// The same again, by hand.
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		t.Fatal(err)
	}
	stream := make([]byte, 1008)
	copy(stream, "hello, file")
	stream[1007] = 11
	aad := append([]byte("\x0fsealpost file 1"), 0, 1, 0, 0)
	if got := aead.Seal(nil, []byte{11: 1}, stream, aad); !bytes.Equal(got, out.Bytes()) {
		t.Error("not what clientlib/PROTOCOL.md says")
	}
	big := text(200_000)
	out.Reset()
	if info, err = seal(&out, bytes.NewReader(big), key, MaxSize); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(info.Hash[:]); got != "59e00dfc37e060f46b53ee0a7945fc7b8f653ef6da6e7b6a320dd1d7ba5598e8" {
		t.Errorf("four segments: hash %s of %d bytes", got, out.Len())
	}
}

func TestMemoryIsConstant(t *testing.T) {
	var before, after runtime.MemStats
	cost := func(n int64) uint64 {
		runtime.ReadMemStats(&before)
		if _, err := Seal(io.Discard, io.LimitReader(&counter{}, n), 0); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	cost(1) // what is made once
	small, large := cost(1<<10), cost(64<<20)
	// A nonce and an associated data a segment, no buffer.
	if large > small+1<<20 {
		t.Errorf("64 MiB cost %d bytes, 1 KiB %d", large, small)
	}
}
