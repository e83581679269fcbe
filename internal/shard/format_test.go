package shard

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

var golden = flag.Bool("golden", false, "write testdata/golden.tar.gz anew, after the format was changed on purpose")

// goldenPath is a store of this format, made by `go test ./internal/shard -run Golden -golden`.
var goldenPath = filepath.Join("testdata", "golden.tar.gz")

// goldenStore has 20 entries of which one was dropped, in two lives, the second after a restore.
func goldenStore(t *testing.T, dir string) {
	t.Helper()
	for life := range 2 {
		s, _ := openNotebook(t, dir, func(c *Config) { c.Restored = life == 1 })
		for id := range uint64(10) {
			do(t, s, put{id: 100*uint64(life) + id, size: 50})
		}
		do(t, s, drop{id: 3})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestR36_GoldenStore: a store that an earlier build of this format made opens with all that is in
// it, goes on, and is found sound.
func TestR36_GoldenStore(t *testing.T) {
	if *golden {
		dir := t.TempDir()
		goldenStore(t, dir)
		pack(t, dir, goldenPath)
	}
	dir := t.TempDir()
	unpack(t, goldenPath, dir)
	if found, _ := inspected(t, dir); len(found) > 0 {
		t.Errorf("found %q", found)
	}
	s, _ := openNotebook(t, dir)
	if n := len(s.lives); n != 2 {
		t.Fatalf("%d lives, want 2", n)
	}
	got := contents(t, s)
	floor := s.Floor()
	if floor <= 10 || len(got) != 19 {
		t.Fatalf("%d entries above %d", len(got), floor)
	}
	for id := range uint64(10) {
		if want := id + 1; want != 3 && got[want] != id {
			t.Errorf("entry %d is of %d", want, got[want])
		}
		if got[floor+1+id] != 100+id {
			t.Errorf("entry %d of the second life is of %d", id, got[floor+1+id])
		}
	}
	if n := do(t, s, put{}).(uint64); n != floor+11 {
		t.Errorf("it goes on with %d", n-floor)
	}
}

// TestR36_AnotherFormat: a store of a newer version is refused and not a byte of it changes, also
// when only the database is left to tell; one flipped bit in the mark's version is damage as any
// other.
func TestR36_AnotherFormat(t *testing.T) {
	whole := t.TempDir()
	goldenStore(t, whole)
	mark, err := os.ReadFile(filepath.Join(whole, "mark"))
	if err != nil {
		t.Fatal(err)
	}
	const body = 8 + 1 + 16 + 16 + 8 + 8
	newer := bytes.Clone(mark)
	for slot := range 2 {
		b := newer[slot*slotStride:]
		b[8] = Format + 1
		sum := sha256.Sum256(b[:body])
		copy(b[body:], sum[:])
	}
	another := bytes.Clone(newer) // laid out in another way: we cannot verify it
	for slot := range 2 {
		for i := range 40 {
			another[slot*slotStride+30+i] ^= 0x55
		}
	}
	for name, b := range map[string][]byte{"newer": newer, "newer and laid out otherwise": another} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "mark"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		before := digest(t, dir)
		for _, restored := range []bool{false, true} {
			if _, err := Open(Config{Dir: dir, Key: Key{1}, Machine: new(notebook), Restored: restored}); !errors.Is(err, ErrFormat) {
				t.Errorf("%s: %v, want ErrFormat", name, err)
			}
		}
		if err := Inspect(dir, Key{1}, func(Finding) {}, nil); !errors.Is(err, ErrFormat) {
			t.Errorf("%s is inspected: %v", name, err)
		}
		if digest(t, dir) != before {
			t.Errorf("%s: files have changed", name)
		}
	}

	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(mark)
	flipped[8] ^= 2
	if err := os.WriteFile(filepath.Join(dir, "mark"), flipped, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := openNotebook(t, dir)
	if n := len(contents(t, s)); n != 19 {
		t.Errorf("after a flipped bit in a version: %d entries", n)
	}
	// The mark is gone, and the database says that it is newer.
	later := append([]byte(keyCheckPrefix), '2')
	tx := s.newTx(nil, nil, 1)
	tx.writes[string(keyCheckKey)] = write{value: later}
	if err := s.persist(tx); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "mark")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir, Key: Key{1}, Machine: new(notebook)}); !errors.Is(err, ErrFormat) {
		t.Errorf("a newer database without its mark: %v, want ErrFormat", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "mark")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a refused store has a new mark")
	}
}

// pack writes a folder's files as a compressed archive.
func pack(t *testing.T, dir, path string) {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Mode: 0o600, Size: int64(len(b))}); err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	})
	if err := errors.Join(err, w.Close(), z.Close(), os.WriteFile(path, out.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func unpack(t *testing.T, path, dir string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil || !filepath.IsLocal(h.Name) {
			t.Fatal(h, err)
		}
		file := filepath.Join(dir, h.Name)
		b, err := io.ReadAll(r)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}
