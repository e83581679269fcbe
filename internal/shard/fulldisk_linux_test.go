package shard

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestR27_NoRoomToOpen: on a disk that others have filled a store closes without a word to the
// disk, and one that was killed does not open; both say so. When there is room it opens, and
// nothing is missing.
func TestR27_NoRoomToOpen(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256m"); err != nil {
		t.Skip("no file system can be mounted here: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	dir, killed := filepath.Join(disk, "store"), filepath.Join(disk, "killed")
	s, _ := openNotebook(t, dir)
	for id := range uint64(5) {
		do(t, s, put{id: id})
	}
	restore(t, killed, files(t, dir)) // as SIGKILL leaves it
	ballast := filepath.Join(disk, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for chunk := make([]byte, 1<<20); err == nil; {
		_, err = f.Write(chunk)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := s.Close(); !errors.Is(err, ErrFull) {
		t.Errorf("closed on a full disk: %v", err)
	}
	if _, err := Open(Config{Dir: killed, Key: Key{1}, Machine: new(notebook), MinFree: 1}); !errors.Is(err, ErrFull) {
		t.Fatalf("on a full disk: %v", err)
	}
	if err := errors.Join(f.Close(), os.Remove(ballast)); err != nil {
		t.Fatal(err)
	}
	s, _ = openNotebook(t, killed)
	if got := contents(t, s); len(got) != 5 {
		t.Errorf("contents %v", got)
	}
}

// TestR27_MergingWaitsForRoom: nobody writes a merged table on a disk without room, but once there
// is, or when the store closes, which it does only with room.
func TestR27_MergingWaitsForRoom(t *testing.T) {
	merging := "[%d] LOG Compact. Added %d keys. Skipped %d keys. Iteration took: %v" // as Badger says it
	synctest.Test(t, func(t *testing.T) {
		dir, closing := t.TempDir(), make(chan struct{})
		least := uint64(1 << 62)
		wait := func() { awaitRoom(dir, least, closing) }
		merged := false
		go func() {
			badgerLog{slog.New(slog.DiscardHandler), wait}.Debugf(merging)
			merged = true
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		if merged {
			t.Error("a table was merged on a full disk")
		}
		close(closing)
		synctest.Wait()
		if !merged {
			t.Error("merging goes on waiting when the store closes")
		}
		least = 1
		badgerLog{slog.New(slog.DiscardHandler), wait}.Debugf(merging)
	})
}
