package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(Config{Dir: dir, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// content is n bytes that are not all the same.
func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func begin(t testing.TB, s *Store, name Name, size int) *Upload {
	t.Helper()
	u, complete, err := s.Begin(name, int64(size))
	if err != nil || complete {
		t.Fatalf("complete %v: %v", complete, err)
	}
	return u
}

// fill writes b from where the upload stands, in parts.
func fill(t testing.TB, u *Upload, b []byte, part int) {
	t.Helper()
	for at := int(u.Stored()); at < len(b); at += part {
		if err := u.Write(b[at:min(at+part, len(b))], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
}

// store puts a whole blob there.
func store(t testing.TB, s *Store, name Name, b []byte) {
	t.Helper()
	u := begin(t, s, name, len(b))
	fill(t, u, b, 1<<10)
	if err := u.Finish(sha256.Sum256(b)); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, s *Store, name Name, size int) []byte {
	t.Helper()
	p := make([]byte, size)
	if err := s.Read(name, int64(size), p, 0); err != nil {
		t.Fatal(err)
	}
	return p
}

func names(t testing.TB, dir string) (out []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

func TestStoreAndReadParts(t *testing.T) {
	dir := t.TempDir()
	s, b, name := open(t, filepath.Join(dir, "blobs")), content(10_000), Name{1}
	if err := s.Read(name, 10_000, make([]byte, 1), 0); !errors.Is(err, ErrMissing) {
		t.Errorf("reading what is not there: %v", err)
	}
	store(t, s, name, b)
	if !bytes.Equal(read(t, s, name, len(b)), b) {
		t.Error("it reads other bytes")
	}
	p := make([]byte, 77)
	if err := s.Read(name, 10_000, p, 9_923); err != nil || !bytes.Equal(p, b[9_923:]) {
		t.Errorf("the last bytes: %v", err)
	}
	if err := s.Read(name, 10_000, nil, 10_000); err != nil {
		t.Errorf("nothing, at the end: %v", err)
	}
	if _, complete, err := s.Begin(name, 10_000); err != nil || !complete {
		t.Errorf("begun again: complete %v, %v", complete, err)
	}
	info, err := os.Stat(filepath.Join(dir, "blobs", name.file()))
	if err != nil || info.Mode() != 0o600 || info.ModTime().Unix() != 0 {
		t.Errorf("the file: %v, mode %v, time %v", err, info.Mode(), info.ModTime())
	}
	if info, err := os.Stat(filepath.Join(dir, "blobs")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v %v", err, info.Mode())
	}
}

// TestPartsComeInOrder: whatever does not follow what is there changes nothing and ends the upload.
func TestPartsComeInOrder(t *testing.T) {
	s, b, name := open(t, t.TempDir()), content(1000), Name{1}
	for what, part := range map[string]struct {
		off  int64
		data []byte
	}{
		"a hole": {501, b[501:600]}, "a repetition": {499, b[499:600]}, "beyond the size": {500, append(b[500:], 0)}, "a negative offset": {-1, b[:1]},
	} {
		u := begin(t, s, name, len(b))
		if u.Stored() == 0 {
			fill(t, u, b[:500], 100)
		}
		if err := u.Write(part.data, part.off); !errors.Is(err, ErrOffset) {
			t.Errorf("%s: %v", what, err)
		}
		if err := u.Write(b[500:600], 500); !errors.Is(err, ErrOver) {
			t.Errorf("%s, and then the right part: %v", what, err)
		}
		if u := begin(t, s, name, len(b)); u.Stored() != 500 {
			t.Errorf("%s: %d bytes are there", what, u.Stored())
		}
	}
	u := begin(t, s, name, len(b))
	if err := u.Finish(sha256.Sum256(b)); !errors.Is(err, ErrOffset) {
		t.Errorf("finished with half of it: %v", err)
	}
}

func TestTheNewerUploadGoesOn(t *testing.T) {
	s, b, name := open(t, t.TempDir()), content(1000), Name{1}
	first := begin(t, s, name, len(b))
	fill(t, first, b[:400], 100)
	second := begin(t, s, name, len(b))
	if second.Stored() != 400 {
		t.Errorf("goes on at %d", second.Stored())
	}
	if err := first.Write(b[400:500], 400); !errors.Is(err, ErrOver) {
		t.Errorf("the first writes: %v", err)
	}
	if err := first.Finish(sha256.Sum256(b)); !errors.Is(err, ErrOver) {
		t.Errorf("the first finishes: %v", err)
	}
	first.Close() // ends nothing of the second's
	fill(t, second, b, 100)
	if err := second.Finish(sha256.Sum256(b)); err != nil {
		t.Error(err)
	}
}

func TestAnotherHashLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s, b, name := open(t, dir), content(100_000), Name{1}
	u := begin(t, s, name, len(b))
	fill(t, u, b, 4096)
	if err := u.Finish(sha256.Sum256(b[1:])); !errors.Is(err, ErrHash) {
		t.Errorf("finished: %v", err)
	}
	if left := names(t, dir); left != nil {
		t.Errorf("left: %v", left)
	}
}

func TestSweepRemovesWhatNoRecordSpeaksOf(t *testing.T) {
	dir := t.TempDir()
	s, b := open(t, dir), content(1000)
	store(t, s, Name{1}, b)
	store(t, s, Name{2}, b)
	kept, gone := begin(t, s, Name{3}, len(b)), begin(t, s, Name{4}, len(b))
	foreign := []string{"lost+found", "readme.part", strings.ToUpper(Name{0xab}.file()), Name{5}.file() + "00"}
	for _, f := range foreign {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	broken := errors.New("a record that cannot be read")
	store(t, s, Name{6}, b)
	err := s.Sweep(t.Context(), func(n Name, part bool) (bool, error) {
		if n == (Name{6}) {
			return false, broken
		}
		return n == Name{1} && !part || n == Name{3} && part, nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("swept: %v", err)
	}
	want := len(foreign) + 3
	if left := names(t, dir); len(left) != want {
		t.Errorf("left: %v", left)
	}
	fill(t, kept, b, 100)
	if err := gone.Write(b[:1], 0); !errors.Is(err, ErrOver) {
		t.Errorf("writing to what was swept: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Sweep(ctx, func(Name, bool) (bool, error) { return true, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("swept after the end: %v", err)
	}
}

// TestR09_MemoryIsOneBuffer: a large blob passes through without being held.
func TestR09_MemoryIsOneBuffer(t *testing.T) {
	s, part := open(t, t.TempDir()), content(256<<10)
	const parts = 64
	h := sha256.New()
	for range parts {
		h.Write(part)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	u := begin(t, s, Name{1}, parts*len(part))
	for i := range parts {
		if err := u.Write(part, int64(i*len(part))); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.Finish([32]byte(h.Sum(nil))); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated for %d MiB", n, parts*len(part)>>20)
	}
}

// TestOneAtATime: sessions that fight for one blob, with sweeps in between, never spoil it.
func TestOneAtATime(t *testing.T) {
	s, b, name := open(t, t.TempDir()), content(20_000), Name{1}
	hash := sha256.Sum256(b)
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			for range 50 {
				u, complete, err := s.Begin(name, int64(len(b)))
				if err != nil {
					t.Error(err)
					return
				}
				if complete {
					p := make([]byte, len(b))
					if err := s.Read(name, int64(len(b)), p, 0); err != nil && !errors.Is(err, ErrMissing) || err == nil && !bytes.Equal(p, b) {
						t.Errorf("it reads other bytes: %v", err)
					}
					continue
				}
				for at := int(u.Stored()); at < len(b) && err == nil; at += 5000 {
					err = u.Write(b[at:at+5000], int64(at))
				}
				if err == nil {
					err = u.Finish(hash)
				}
				if err != nil && !errors.Is(err, ErrOver) {
					t.Error(err)
				}
			}
		})
	}
	done.Go(func() {
		for i := range 50 {
			_ = s.Sweep(context.Background(), func(Name, bool) (bool, error) { return i%2 == 0, nil })
		}
	})
	done.Wait()
}

// TestR31_ErrorsNameNoFile: what goes into a log tells no name of a blob.
func TestR31_ErrorsNameNoFile(t *testing.T) {
	dir := t.TempDir()
	s, name := open(t, dir), Name{0xab, 0xcd}
	if err := os.Mkdir(filepath.Join(dir, name.part()), 0o700); err != nil {
		t.Fatal(err)
	}
	u := &Upload{store: s, name: name, size: 1 << 20, at: 0}
	s.uploads[name] = u
	for _, err := range []error{u.Write([]byte("x"), 0), s.Read(name, 1, make([]byte, 1), 0)} {
		if err == nil || strings.Contains(fmt.Sprint(err), name.file()) {
			t.Errorf("the error says %v", err)
		}
	}
}
