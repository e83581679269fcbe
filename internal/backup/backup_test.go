package backup

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"testing"
)

// listing is Contents as text.
type listing struct{ strings.Builder }

func (l *listing) Store(name string, next func() (key, sealed []byte, err error)) error {
	fmt.Fprintf(l, "store %s\n", name)
	for {
		key, sealed, err := next()
		if key == nil || err != nil {
			return err
		}
		fmt.Fprintf(l, "record %x %x\n", key, sha256.Sum256(sealed))
	}
}

func (l *listing) File(name string, size int64, body io.Reader) error {
	sum := sha256.New()
	n, err := io.Copy(sum, body)
	fmt.Fprintf(l, "file %s %d %d %x\n", name, size, n, sum.Sum(nil))
	return err
}

// sample writes a backup and says what is in it.
func sample(t *testing.T, key [32]byte, size int) (file []byte, want string) {
	t.Helper()
	var out bytes.Buffer
	var l listing
	w, err := NewWriter(&out, key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, store := range []string{"first", "empty", "second"} {
		write(w.Store(store))
		fmt.Fprintf(&l, "store %s\n", store)
		for i := range 5 * len(store[5:]) {
			value := make([]byte, i*size)
			_, _ = rand.Read(value)
			write(w.Record([]byte{1, byte(i)}, value))
			fmt.Fprintf(&l, "record 01%02x %x\n", i, sha256.Sum256(value))
		}
	}
	for i, n := range []int{0, 1, size, chunkSize + 7*size} {
		b := bytes.Repeat([]byte{byte(i)}, n)
		write(w.File(fmt.Sprintf("file %d", i), int64(n), bytes.NewReader(b)))
		fmt.Fprintf(&l, "file file %d %d %d %x\n", i, n, n, sha256.Sum256(b))
	}
	done, err := w.Close()
	write(err)
	if done.Bytes != uint64(out.Len()) || done.Files != 4 {
		t.Errorf("the summary is %+v of %d bytes", done, out.Len())
	}
	return out.Bytes(), l.String()
}

func TestReadsWhatWasWritten(t *testing.T) {
	key := [32]byte{1}
	for _, size := range []int{0, 10, 5000, 70000} {
		file, want := sample(t, key, size)
		var got listing
		done, err := Read(bytes.NewReader(file), key, &got)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != want {
			t.Errorf("size %d: read\n%s\nwrote\n%s", size, got.String(), want)
		}
		again, err := Read(bytes.NewReader(file), key, Nothing)
		if err != nil || again != done {
			t.Errorf("passing over it all: %+v and %v, want %+v", again, err, done)
		}
		whole, err := Whole(bytes.NewReader(file))
		if err != nil || whole.Sum != done.Sum || whole.Bytes != done.Bytes {
			t.Errorf("without a key: %+v and %v, want %+v", whole, err, done)
		}
		if sum := sha256.Sum256(file[:len(file)-32]); sum != done.Sum {
			t.Error("the sum is not SHA-256 of what is before it")
		}
	}
}

// TestR28_CutOrChangedBackup: no prefix is whole, and no flipped bit goes unnoticed, with the
// key or without.
func TestR28_CutOrChangedBackup(t *testing.T) {
	key := [32]byte{1}
	file, _ := sample(t, key, 900)
	refused := func(what string, b []byte) {
		t.Helper()
		for name, err := range map[string]error{"with": second(Read(bytes.NewReader(b), key, Nothing)), "without": second(Whole(bytes.NewReader(b)))} {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrKey) {
				t.Fatalf("%s, %s the key: %v", what, name, err)
			}
		}
	}
	for n := range len(file) {
		if n < 200 || n > len(file)-200 || n%97 == 0 {
			refused(fmt.Sprintf("cut at %d of %d", n, len(file)), file[:n])
		}
	}
	refused("a byte more", append(bytes.Clone(file), 0))
	refused("twice", append(bytes.Clone(file), file...))
	for range 2000 {
		b := bytes.Clone(file)
		bit := mathrand.IntN(8 * len(b))
		b[bit/8] ^= 1 << (bit % 8)
		refused(fmt.Sprintf("bit %d flipped", bit), b)
	}
}

func second(_ Summary, err error) error { return err }

// TestJoinedBackup: whoever has no key makes nothing of the parts of two backups, even with a
// hash that is right.
func TestJoinedBackup(t *testing.T) {
	key := [32]byte{1}
	one, _ := sample(t, key, 9000)
	two, _ := sample(t, key, 9000)
	cut := len(magic) + saltSize + checkSize
	joined := append(bytes.Clone(one[:cut]), two[cut:len(two)-32]...)
	// The first chunk left out, the second in its place.
	chunk := 4 + chunkSize + 16
	shorter := append(bytes.Clone(one[:cut]), one[cut+chunk:len(one)-32]...)
	for name, b := range map[string][]byte{"joined": joined, "without a chunk": shorter} {
		sum := sha256.Sum256(b)
		b = append(b, sum[:]...)
		if _, err := Whole(bytes.NewReader(b)); err != nil {
			t.Errorf("%s: the hash is right, and %v", name, err)
		}
		if _, err := Read(bytes.NewReader(b), key, Nothing); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnotherKeyAndOtherFiles(t *testing.T) {
	file, _ := sample(t, [32]byte{1}, 10)
	if _, err := Read(bytes.NewReader(file), [32]byte{2}, Nothing); !errors.Is(err, ErrKey) {
		t.Errorf("another key: %v", err)
	}
	newer := append([]byte("sealpost backup 2\n"), file[len(magic):]...)
	for name, b := range map[string][]byte{"empty": nil, "text": []byte("#!/bin/sh\nexit 1; # and so on and on"), "a newer one": newer} {
		if _, err := Read(bytes.NewReader(b), [32]byte{1}, Nothing); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNothingStandsInTheClear: neither names nor records can be seen.
func TestNothingStandsInTheClear(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("the private key of the relay")
	_ = w.Store("store-name")
	_ = w.Record([]byte("key-of-a-record"), secret)
	_ = w.File("relay.key", int64(len(secret)), bytes.NewReader(secret))
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"store-name", "key-of-a-record", "relay.key", string(secret), hex.EncodeToString(secret)} {
		if bytes.Contains(out.Bytes(), []byte(s)) {
			t.Errorf("%q stands in it", s)
		}
	}
}

// TestFailureIsNoBackup: what a full disk or a shorter file leaves is refused.
func TestFailureIsNoBackup(t *testing.T) {
	var out bytes.Buffer
	w, _ := NewWriter(&out, [32]byte{1})
	if err := w.File("short", 10, strings.NewReader("nine byte")); err == nil {
		t.Error("a file that is shorter than it says is in it")
	}
	if _, err := w.Close(); err == nil {
		t.Error("a failed backup closes without an error")
	}
	if _, err := Read(&out, [32]byte{1}, Nothing); err == nil {
		t.Error("a failed backup is read")
	}
}

// FuzzRead: whatever stands in the chunks, it is read or refused, within bounds.
func FuzzRead(f *testing.F) {
	f.Add([]byte{itemStore, 1, 'a', itemRecord, 0, 1, 7, 0, 0, 0, 1, 8, itemFile, 1, 'b', 0, 0, 0, 0, 0, 0, 0, 1, 9})
	f.Fuzz(func(t *testing.T, plain []byte) {
		var out bytes.Buffer
		w, err := NewWriter(&out, [32]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		w.put(plain)
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var l listing
		_, first := Read(bytes.NewReader(out.Bytes()), [32]byte{1}, &l)
		_, again := Read(bytes.NewReader(out.Bytes()), [32]byte{1}, Nothing)
		if (first == nil) != (again == nil) {
			t.Errorf("read: %v, passed over: %v", first, again)
		}
	})
}
