package queue

import (
	"errors"
	"testing"

	"github.com/sealpost/sealpost/relay/internal/blob"
)

// TestQ06_BackupOfBlobsPinsNothing: once the records are taken, copying blobs, however long it
// takes, keeps nothing on the disk that is written over meanwhile; while they are taken it does.
func TestQ06_BackupOfBlobsPinsNothing(t *testing.T) {
	r := newRig(t, withFiles(t))
	q := r.group("g", "alice")
	for _, name := range []string{"one", "two", "three"} {
		r.stored(q, "alice", name, 1000, 30)
	}
	records, files, between := 0, 0, 0
	err := r.Backup(t.Context(), func(_, _ []byte) error {
		if records++; records == 1 {
			r.must(r.append(q, "w0", "meanwhile"))
			if r.shard.Oldest() == r.shard.Visible() {
				t.Error("the records are not those of one batch")
			}
		}
		return nil
	}, func() error { between = records; return nil }, func(blob.Name, int64) error {
		if files++; between != records {
			t.Errorf("a blob is copied after %d records, and what is to come between at %d", records, between)
		}
		r.must(r.append(q, "w0", "meanwhile"))
		if oldest, newest := r.shard.Oldest(), r.shard.Visible(); oldest != newest {
			t.Errorf("a blob is copied, and everything since batch %d of %d stays", oldest, newest)
		}
		return nil
	})
	if err != nil || files != 3 {
		t.Errorf("%d blobs: %v", files, err)
	}
	enough := errors.New("enough")
	files = 0
	err = r.Backup(t.Context(), func(_, _ []byte) error { return nil }, func() error { return nil }, func(blob.Name, int64) error { files++; return enough })
	if !errors.Is(err, enough) || files != 1 {
		t.Errorf("after an error of a blob %d were given: %v", files, err)
	}
}
