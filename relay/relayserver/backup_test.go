package relayserver

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sealpost/sealpost/relay/internal/blob"
)

// TestBackupHoldsBlobs: a sweep for which nothing is worth keeping comes while a backup is taken, and
// the blob that the records of the backup speak of is in it all the same. Afterwards its file goes.
func TestBackupHoldsBlobs(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	c, _, _ := dialPipe(t, s)
	q := queueID(1)
	c.must(create(q))
	c.must(proveRead(q, alice))
	b, _ := c.stored(q, alice, 5000, 1)
	sweep := func() {
		if err := s.blobs.Sweep(t.Context(), func(blob.Name, bool) (bool, error) { return false, nil }); err != nil {
			t.Error(err)
		}
	}
	nothing := func() error { return nil }
	records, files := 0, 0
	leftOut, err := s.Backup(t.Context(), func(_, _ []byte) error {
		if records++; records == 1 {
			sweep()
		}
		return nil
	}, nothing, func(_ string, size int64, body io.Reader) error {
		got, err := io.ReadAll(body)
		if files++; size != 5000 || string(got) != string(b) {
			t.Errorf("a blob of %d bytes, %d read", size, len(got))
		}
		return err
	})
	if err != nil || leftOut != 0 || files != 1 {
		t.Errorf("%d blobs, %d left out: %v", files, leftOut, err)
	}
	sweep()
	none := func(string, int64, io.Reader) error { t.Error("a blob without a file"); return nil }
	if leftOut, err = s.Backup(t.Context(), func(_, _ []byte) error { return nil }, nothing, none); err != nil || leftOut != 1 {
		t.Errorf("%d blobs left out: %v", leftOut, err)
	}
}

// broken breaks off after half a file.
type broken struct{ io.Reader }

func (broken) Seek(int64, int) (int64, error) { return 0, nil }

// TestReadable: a file that breaks off is noticed before anything of it is in a backup, and one that
// does not is read from its beginning afterwards.
func TestReadable(t *testing.T) {
	failed := errors.New("input/output error")
	if err := readable(t.Context(), broken{io.MultiReader(strings.NewReader("half"), iotest.ErrReader(failed))}); !errors.Is(err, failed) {
		t.Errorf("a file that breaks off: %v", err)
	}
	whole := strings.NewReader("whole")
	if err := readable(t.Context(), whole); err != nil || whole.Len() != 5 {
		t.Errorf("%d bytes of 5 are left: %v", whole.Len(), err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := readable(gone, whole); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits for it: %v", err)
	}
}
