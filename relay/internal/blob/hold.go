package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Hold keeps every complete blob's file where it is until release is called: for a backup, whose
// records are those of one moment and whose files are copied afterwards. It waits for a sweep
// that is under way, and for another holder, which may take hours, or until ctx ends, whose error it
// returns then. Uploads go on.
func (s *Store) Hold(ctx context.Context) (release func(), err error) {
	select {
	case s.holder <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.held.Lock()
	return func() {
		s.held.Unlock()
		<-s.holder
	}, nil
}

// Open returns the bytes of a blob of this size, which its file keeps while it is open whatever
// happens to its name. ErrMissing: it is not there, or not in that size.
func (s *Store) Open(name Name, size int64) (io.ReadSeekCloser, error) {
	f, err := s.root.Open(name.file())
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("blob: %w", plain(err))
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = fmt.Errorf("blob: %w", plain(err))
	case info.Size() != size:
		err = ErrMissing
	default:
		return f, nil
	}
	_ = f.Close()
	return nil, err
}
