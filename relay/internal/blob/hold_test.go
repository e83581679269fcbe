package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
)

// TestHoldKeepsFiles: while somebody copies files, no sweep removes any; afterwards one does. A
// file that is open stays readable, whatever happens to its name.
func TestHoldKeepsFiles(t *testing.T) {
	s := open(t, t.TempDir())
	b := content(3000)
	store(t, s, Name{1}, b)
	none := func(Name, bool) (bool, error) { return false, nil }
	release, err := s.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Hold(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("who is not there any more waits in line: %v", err)
	}
	if err := s.Sweep(context.Background(), none); err != nil {
		t.Fatal(err)
	}
	f, err := s.Open(Name{1}, int64(len(b)))
	if err != nil {
		t.Fatalf("swept while it was held: %v", err)
	}
	defer f.Close()
	store(t, s, Name{2}, b) // uploads go on
	release()
	if err := s.Sweep(context.Background(), none); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, b) {
		t.Errorf("%d bytes of an open file, %v", len(got), err)
	}
	for _, name := range []Name{{1}, {2}} {
		if _, err := s.Open(name, int64(len(b))); !errors.Is(err, ErrMissing) {
			t.Errorf("after the hold it is not swept: %v", err)
		}
	}
	store(t, s, Name{3}, b)
	if _, err := s.Open(Name{3}, 1); !errors.Is(err, ErrMissing) {
		t.Errorf("a blob of another size opens: %v", err)
	}
}
