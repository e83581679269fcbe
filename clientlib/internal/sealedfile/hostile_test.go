package sealedfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// C17: a relay or a disk that gives other bytes than those of the hash. Not one byte of
// plaintext leaves, wherever the change is.
func TestC17_NothingOfADamagedFileIsShown(t *testing.T) {
	plain := text(2*content + 1000)
	b, info := sealed(t, plain)
	refused := func(what string, b []byte) {
		t.Helper()
		if got, err := opened(b, info); !errors.Is(err, ErrDamaged) || len(got) > 0 {
			t.Fatalf("%s: %v, and %d bytes were shown", what, err, len(got))
		}
	}
	for _, at := range []int{0, 1, segment - 1, segment, segment + 1, 2*segment - 1, 2 * segment, len(b) - 1} {
		for bit := range 8 {
			damaged := bytes.Clone(b)
			damaged[at] ^= 1 << bit
			refused(fmt.Sprintf("bit %d of byte %d", bit, at), damaged)
		}
	}
	for _, n := range []int{0, 1, 15, 16, segment - 1, segment, segment + 1, 2 * segment, len(b) - 1} {
		refused(fmt.Sprintf("the first %d bytes", n), b[:n])
	}
	refused("a byte more", append(bytes.Clone(b), 0))
	refused("a segment more", append(bytes.Clone(b), b[:segment]...))
	refused("swapped segments", bytes.Join([][]byte{b[segment : 2*segment], b[:segment], b[2*segment:]}, nil))
	other, _ := sealed(t, plain)
	refused("the same file sealed again", other)
}

// Small enough to try every prefix and every flipped bit.
func TestC17_EveryPrefixAndBit(t *testing.T) {
	b, info := sealed(t, text(900))
	for n := range b {
		if got, err := opened(b[:n], info); !errors.Is(err, ErrDamaged) || len(got) > 0 {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
		damaged := bytes.Clone(b)
		damaged[n] ^= 1 << (n % 8)
		if got, err := opened(damaged, info); !errors.Is(err, ErrDamaged) || len(got) > 0 {
			t.Fatalf("byte %d flipped: %v", n, err)
		}
		// With the hash of the damaged bytes, as their sealer would give it, the segment fails.
		info := info
		info.Hash = sha256.Sum256(damaged)
		if got, err := opened(damaged, info); !errors.Is(err, ErrSegment) || len(got) > 0 {
			t.Fatalf("byte %d flipped, hash too: %v", n, err)
		}
	}
}

// The segments hold together by themselves: even under a hash that fits, none can be moved,
// repeated, left out, or taken for the last one.
func TestSegmentsHoldTogether(t *testing.T) {
	plain := text(4 * content) // five segments
	b, info := sealed(t, plain)
	s := func(i int) []byte { return b[i*segment : min((i+1)*segment, len(b))] }
	for name, parts := range map[string][][]byte{
		"swapped":           {s(1), s(0), s(2), s(3), s(4)},
		"repeated":          {s(0), s(1), s(1), s(3), s(4)},
		"the last repeated": {s(0), s(1), s(2), s(4), s(4)},
		"a first one only":  {s(0), s(0), s(0), s(0), s(4)},
	} {
		made := bytes.Join(parts, nil)
		info := info
		info.Hash = sha256.Sum256(made)
		if _, err := opened(made, info); !errors.Is(err, ErrSegment) && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Cut after whole segments, with a length that such a file would have.
	for n := 1; n < 5; n++ {
		short := Info{Key: info.Key, Hash: sha256.Sum256(b[:n*segment]), Plain: int64(n*content - trailer)}
		if _, err := opened(b[:n*segment], short); !errors.Is(err, ErrSegment) {
			t.Errorf("cut after segment %d: %v", n, err)
		}
	}
	wrong := info
	wrong.Key[31] ^= 1
	if got, err := opened(b, wrong); !errors.Is(err, ErrSegment) || len(got) > 0 {
		t.Errorf("another key: %v", err)
	}
}

// A member seals what no honest client would.
func TestWhatASenderMayGetWrong(t *testing.T) {
	made := func(plain int64, key Key, aad string, change func(stream []byte)) ([]byte, Info) {
		size, err := SealedSize(plain)
		if err != nil {
			t.Fatal(err)
		}
		stream := make([]byte, streamSize(size))
		stream[len(stream)-1], stream[len(stream)-2] = byte(plain), byte(plain>>8)
		change(stream)
		aead, err := chacha20poly1305.New(key[:])
		if err != nil {
			t.Fatal(err)
		}
		b := aead.Seal(nil, nonce(0, true), stream, []byte(aad))
		return b, Info{Key: key, Hash: sha256.Sum256(b), Plain: plain}
	}
	for name, c := range map[string]struct {
		aad    string
		change func([]byte)
		want   error
	}{
		"honest":                  {bound, func([]byte) {}, nil},
		"no zero after the end":   {bound, func(s []byte) { s[300] = 1 }, ErrPadding},
		"no zero before length":   {bound, func(s []byte) { s[len(s)-9] = 1 }, ErrPadding},
		"another length inside":   {bound, func(s []byte) { s[len(s)-1]++ }, ErrLength},
		"a length beyond sense":   {bound, func(s []byte) { s[len(s)-8] = 0xff }, ErrLength},
		"another format's name":   {"\x0fsealpost fole 1\x00\x01\x00\x00", func([]byte) {}, ErrSegment},
		"a later version":         {"\x0fsealpost file 2\x00\x01\x00\x00", func([]byte) {}, ErrSegment},
		"segments of other sizes": {"\x0fsealpost file 1\x00\x02\x00\x00", func([]byte) {}, ErrSegment},
	} {
		b, info := made(300, Key{1}, c.aad, c.change)
		if _, err := opened(b, info); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// The message tells another length of the same class.
	b, info := sealed(t, text(300))
	for _, plain := range []int64{0, 299, 301, 900} {
		info.Plain = plain
		if _, err := opened(b, info); !errors.Is(err, ErrLength) && !errors.Is(err, ErrPadding) {
			t.Errorf("300 bytes told as %d: %v", plain, err)
		}
	}
	info.Plain = 5000
	if _, err := opened(b, info); !errors.Is(err, ErrDamaged) {
		t.Errorf("300 bytes told as 5000: %v", err)
	}
}

// C13: keys do not print, wherever they stand.
func TestC13_KeysDoNotPrint(t *testing.T) {
	_, info := sealed(t, []byte("x"))
	for i := range info.Key {
		info.Key[i] = 0xfa
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	logger.Info("x", "key", info.Key, "info", info)
	var shown strings.Builder
	shown.WriteString(log.String())
	for _, v := range []any{info.Key, &info.Key, info, &info, []Key{info.Key}, []Info{info}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%c"} {
			shown.WriteString(fmt.Sprintf(verb, v))
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		shown.WriteString(string(j))
	}
	for _, form := range []string{"fafa", "FAFA", "0xfa", "250", "11111010", "\xfa", "+vr6", "ú"} {
		if strings.Contains(shown.String(), form) {
			t.Errorf("a key was shown as %q", form)
		}
	}
}

// FuzzOpen: whatever is sealed opens to itself; whatever else comes under a hash that fits ends
// in one of the package's errors.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("plain"), uint16(3))
	f.Add(text(70_000), uint16(65_530))
	f.Fuzz(func(t *testing.T, in []byte, at uint16) {
		b, info := sealed(t, in)
		if got, err := opened(b, info); err != nil || !bytes.Equal(got, in) {
			t.Fatal(err)
		}
		b[int(at)%len(b)] ^= 1 + byte(at>>8)&0x7f
		info.Hash = sha256.Sum256(b)
		if _, err := opened(b, info); !errors.Is(err, ErrSegment) {
			t.Fatalf("altered: %v", err)
		}
		raw := Info{Hash: sha256.Sum256(in), Plain: int64(at)}
		if _, err := opened(in, raw); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrSegment) {
			t.Fatalf("any bytes: %v", err)
		}
	})
}
