package shard

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestReplayedLogIsSyncedFirst: what a dead process left in the page cache is on disk before
// Badger replays it and anybody reads it.
func TestReplayedLogIsSyncedFirst(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"00001.mem", "000001.vlog", "000001.sst"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var synced []string
	err := syncLogs(dir, func(f *os.File) error {
		synced = append(synced, filepath.Base(f.Name()))
		return nil
	})
	want := []string{"000001.vlog", "00001.mem", filepath.Base(dir)}
	if err != nil || !slices.Equal(synced, want) {
		t.Errorf("synced %q, want %q: %v", synced, want, err)
	}
	if err := syncLogs(dir, func(*os.File) error { return os.ErrInvalid }); err == nil {
		t.Error("a sync that fails is not told")
	}
}

// TestReplayedBatchIsMarked: a batch that is in Badger but was never marked, since the process
// died between, is shown at the next start; from then on its loss must be noticed.
func TestReplayedBatchIsMarked(t *testing.T) {
	dir := t.TempDir()
	s, _ := openNotebook(t, dir)
	_ = s.mark.f.Close() // the mark cannot be written: the batch is stored and not answered
	if _, err := s.Do(t.Context(), put{id: 7, size: 10}); err == nil {
		t.Fatal("answered without a mark")
	}
	_ = s.Close()
	s, _ = openNotebook(t, dir)
	defer s.Close()
	ev, _, err := readMark(filepath.Join(dir, "mark"))
	if err != nil || ev.newest == nil || ev.newest.Batch != s.batch || ev.newest.High != s.high {
		t.Errorf("shown up to batch %d, marked %+v: %v", s.batch, ev.newest, err)
	}
}
