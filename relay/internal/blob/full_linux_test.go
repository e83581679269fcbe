package blob

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestR27_SmallDisk: on a real file system that fills up, where the watermark does not help,
// the part that does not fit is refused and taken back; with room again the upload goes on.
func TestR27_SmallDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("no file system can be mounted here: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 600<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Dir: filepath.Join(dir, "blobs"), MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.free = func() (uint64, error) { return 1 << 40, nil }
	b, name := content(700<<10), Name{1}
	u := begin(t, s, name, len(b))
	const part = 100 << 10
	for err == nil && u.Stored() < int64(len(b)) {
		err = u.Write(b[u.Stored():u.Stored()+part], u.Stored())
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("written beyond the disk: %v", err)
	}
	stored := u.Stored()
	if u := begin(t, s, name, len(b)); u.Stored() != stored || stored == 0 || stored%part != 0 {
		t.Errorf("it goes on at %d, written were %d", u.Stored(), stored)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	u = begin(t, s, name, len(b))
	fill(t, u, b, part)
	if err := u.Finish(sha256.Sum256(b)); err != nil {
		t.Error(err)
	}
}
