package blob

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Read fills p with the blob's bytes from off on. The blob has size bytes, and p ends within
// them. What it reads is not verified: whoever asked knows the hash.
func (s *Store) Read(name Name, size int64, p []byte, off int64) error {
	f, err := s.root.Open(name.file())
	if errors.Is(err, os.ErrNotExist) {
		return ErrMissing
	}
	if err != nil {
		return fmt.Errorf("blob: %w", plain(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("blob: %w", plain(err))
	}
	if info.Size() != size {
		return ErrMissing
	}
	if _, err := f.ReadAt(p, off); err != nil && (err != io.EOF || len(p) > 0) {
		return fmt.Errorf("blob: reading: %w", plain(err))
	}
	return nil
}

// Missing calls then if the blob is not there in its size. Nobody can complete it meanwhile.
func (s *Store) Missing(name Name, size int64, then func() error) error {
	defer s.names.lock(name)()
	n, ok, err := s.size(name.file())
	if err != nil || ok && n == size {
		return err
	}
	return then()
}
