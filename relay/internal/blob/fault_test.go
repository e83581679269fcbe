package blob

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestR25_EveryStateThatAKillLeaves: the table of the package's doc, each state made as the
// kill leaves it, opened by a new process, and put right.
func TestR25_EveryStateThatAKillLeaves(t *testing.T) {
	b, name := content(5000), Name{1}
	hash := sha256.Sum256(b)
	for state, files := range map[string]map[string][]byte{
		"nothing":           {},
		"an empty part":     {name.part(): {}},
		"half a part":       {name.part(): b[:2222]},
		"a whole part":      {name.part(): b},
		"a part too long":   {name.part(): append(content(5000), 1)},
		"the blob":          {name.file(): b},
		"the blob, cut":     {name.file(): b[:4999]},
		"the blob and part": {name.file(): b, name.part(): b[:10]},
	} {
		t.Run(state, func(t *testing.T) {
			dir := t.TempDir()
			for file, data := range files {
				if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := open(t, dir)
			u, complete, err := s.Begin(name, int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			if !complete {
				fill(t, u, b, 1000)
				if err := u.Finish(hash); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(read(t, s, name, len(b)), b) {
				t.Error("it reads other bytes")
			}
		})
	}
}

// TestR26_NothingStandsOnAFailedSync: a sync of the file or of its folder that fails leaves
// nothing that a later one could be believed about.
func TestR26_NothingStandsOnAFailedSync(t *testing.T) {
	b, name := content(5000), Name{1}
	for _, folder := range []bool{false, true} {
		dir := t.TempDir()
		s := open(t, dir)
		u := begin(t, s, name, len(b))
		fill(t, u, b, 1000)
		failed := 0
		s.sync = func(f *os.File) error {
			info, err := f.Stat()
			if err == nil && info.IsDir() == folder {
				failed++
				return &os.PathError{Op: "sync", Path: f.Name(), Err: syscall.EIO}
			}
			return f.Sync()
		}
		if err := u.Finish(sha256.Sum256(b)); err == nil || strings.Contains(err.Error(), name.file()) {
			t.Errorf("folder %v: finished: %v", folder, err)
		}
		if left := names(t, dir); failed != 1 || left != nil {
			t.Errorf("folder %v: %d syncs failed, left: %v", folder, failed, left)
		}
		s.sync = (*os.File).Sync
		store(t, s, name, b)
	}
}

// TestR27_FullDisk: a part that the disk has no room for, wholly or in part, is refused and
// not there; when there is room again the upload goes on.
func TestR27_FullDisk(t *testing.T) {
	s, b, name := open(t, t.TempDir()), content(5000), Name{1}
	u := begin(t, s, name, len(b))
	fill(t, u, b[:1000], 1000)
	s.write = func(f *os.File, p []byte, off int64) (int, error) {
		n, _ := f.WriteAt(p[:len(p)/2], off)
		return n, &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	if err := u.Write(b[1000:2000], 1000); !errors.Is(err, ErrFull) {
		t.Errorf("written: %v", err)
	}
	s.write = (*os.File).WriteAt
	u = begin(t, s, name, len(b))
	if u.Stored() != 1000 {
		t.Errorf("goes on at %d", u.Stored())
	}
	s.free = func() (uint64, error) { return 500, nil }
	if err := u.Write(b[1000:2000], 1000); !errors.Is(err, ErrFull) {
		t.Errorf("written below the watermark: %v", err)
	}
	if _, _, err := s.Begin(name, int64(len(b))); !errors.Is(err, ErrFull) {
		t.Errorf("begun below the watermark: %v", err)
	}
	s.free = func() (uint64, error) { return 1 << 40, nil }
	u = begin(t, s, name, len(b))
	fill(t, u, b, 1000)
	if err := u.Finish(sha256.Sum256(b)); err != nil {
		t.Error(err)
	}
}

// TestR28_FlippedBits: a bit that flips while the blob is on its way in is found before it
// counts as stored; a blob that is cut later is missing.
func TestR28_FlippedBits(t *testing.T) {
	dir := t.TempDir()
	s, b, name := open(t, dir), content(3000), Name{1}
	for i := 0; i < len(b)*8; i += 997 {
		u := begin(t, s, name, len(b))
		fill(t, u, b, 1000)
		bad := bytes.Clone(b)
		bad[i/8] ^= 1 << (i % 8)
		if err := os.WriteFile(filepath.Join(dir, name.part()), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := u.Finish(sha256.Sum256(b)); !errors.Is(err, ErrHash) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
	store(t, s, name, b)
	for _, n := range []int64{0, 1, 2999, 3001} {
		if err := os.Truncate(filepath.Join(dir, name.file()), n); err != nil {
			t.Fatal(err)
		}
		if err := s.Read(name, 3000, make([]byte, 1), 0); !errors.Is(err, ErrMissing) {
			t.Errorf("cut to %d: %v", n, err)
		}
		called := false
		if err := s.Missing(name, 3000, func() error { called = true; return nil }); err != nil || !called {
			t.Errorf("cut to %d: not missing: %v", n, err)
		}
	}
}
