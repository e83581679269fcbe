package shard

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inspected returns what an inspection finds, and how many records it could walk.
func inspected(t *testing.T, dir string) (found []string, records int) {
	t.Helper()
	err := Inspect(dir, Key{1}, func(f Finding) {
		if f.Where == "" || f.Means == "" {
			t.Errorf("a finding without place or meaning: %+v", f)
		}
		found = append(found, f.What)
	}, func(s *Store) error {
		return s.View(func(v *Snapshot) error {
			return v.Records(nil, nil, func(_, _ []byte, err error) bool {
				if records++; err != nil {
					found = append(found, "a record does not open")
				}
				return true
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, records
}

func digest(t *testing.T, dir string) [32]byte {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n", path, len(b))
		sum.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(sum.Sum(nil))
}

// TestKilledInspectLeavesNothing: what a check leaves that is killed in the middle goes with the
// next start, and the links to tables with it.
func TestKilledInspectLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s, _ := openNotebook(t, dir)
	do(t, s, put{id: 1, size: 1000})
	_ = s.Close()
	left := filepath.Join(dir, inspectFolder)
	if err := copyBadger(filepath.Join(dir, "badger"), left); err != nil {
		t.Fatal(err)
	}
	s, _ = openNotebook(t, dir)
	if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if len(contents(t, s)) != 1 {
		t.Error("the store has lost something by it")
	}
}

// TestInspectChangesNothing: of a store that was closed and of one that was killed, and it sees
// all that is there.
func TestInspectChangesNothing(t *testing.T) {
	dir := t.TempDir()
	answered := make(map[uint64]uint64)
	killOnce(t, dir, 300, answered)
	for _, what := range []string{"killed", "closed"} {
		before := digest(t, dir)
		found, records := inspected(t, dir)
		if len(found) > 0 || records < len(answered) {
			t.Errorf("%s: %d records of at least %d, found %q", what, records, len(answered), found)
		}
		if digest(t, dir) != before {
			t.Errorf("%s: the inspection has changed the store", what)
		}
		s, _ := openNotebook(t, dir)
		life := s.Incarnation()
		if err := Inspect(dir, Key{1}, func(Finding) {}, nil); !errors.Is(err, ErrLocked) {
			t.Errorf("of an open store: %v", err)
		}
		_ = s.Close()
		if s, _ = openNotebook(t, dir); s.Incarnation() != life {
			t.Errorf("%s: after an inspection another life begins", what)
		}
		_ = s.Close()
	}
	if err := Inspect(dir, Key{2}, func(Finding) {}, nil); !errors.Is(err, ErrWrongKey) {
		t.Errorf("under another key: %v", err)
	}
}

// TestR28_InspectFindsFlippedBits: in whatever file a bit is flipped that says something, it is
// found, or the store is the same without it: then all records open, and as many as before.
func TestR28_InspectFindsFlippedBits(t *testing.T) {
	whole := t.TempDir()
	s, _ := openNotebook(t, whole)
	for id := range uint64(200) {
		do(t, s, put{id: id, size: 900})
	}
	_ = s.Close()
	_, records := inspected(t, whole)
	seen := make(map[string]int)
	for range 60 {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		files := []string{"mark", "badger/MANIFEST"}
		tables, _ := filepath.Glob(filepath.Join(dir, "badger", "*.sst"))
		for _, name := range tables {
			files = append(files, "badger/"+filepath.Base(name), "badger/"+filepath.Base(name))
		}
		file := files[rand.IntN(len(files))]
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		at := rand.IntN(len(b))
		if file == "mark" { // the rest is zeros that nobody reads
			at = rand.IntN(2)*slotStride + rand.IntN(slotSize)
		}
		b[at] ^= 1 << rand.IntN(8)
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
		found, n := inspected(t, dir)
		if len(found) == 0 && n != records {
			t.Errorf("byte %d of %s: %d of %d records, and nothing is wrong", at, file, n, records)
		}
		seen[strings.Join(found, "; ")]++
	}
	for what, n := range seen {
		t.Logf("%3d %s", n, what)
	}
}
