package transfer

import (
	"errors"
	"syscall"
	"testing"
)

// TestR27_DownloadFillsTheDisk: the beginning of a file that does not fit gives its room back. So
// does a file that is being sealed.
func TestR27_DownloadFillsTheDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("needs a small disk: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	loopback(t, func(t *testing.T, s *store) {
		ann, bob := folder(t, t.TempDir()), folder(t, dir)
		info := stage(t, ann, text(1<<20))
		if err := ann.Upload(t.Context(), s.upload(info)); err != nil {
			t.Fatal(err)
		}
		if err := bob.Download(t.Context(), s.download(info)); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("down: %v", err)
		}
		if _, err := bob.Stage(endless{}, 1<<30); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("sealing: %v", err)
		}
		names, err := bob.names()
		if err != nil || len(names) != 0 {
			t.Errorf("the folder holds %q: %v", names, err)
		}
		small := stage(t, bob, text(1000)) // there is room again
		if err := bob.Remove(small.Hash); err != nil {
			t.Error(err)
		}
	})
}

// endless is a source without an end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }
