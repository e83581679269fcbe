package blob

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Sweep removes every file of which keep says that no record speaks: part tells whether it is
// an upload. keep is asked while nobody can begin an upload of the name. Files that are not
// the store's are left alone. Errors of single files are joined; the others go on. While files
// are held (see [Store.Hold]) it does nothing.
func (s *Store) Sweep(ctx context.Context, keep func(name Name, part bool) (bool, error)) error {
	if !s.held.TryRLock() {
		return nil
	}
	defer s.held.RUnlock()
	dir, err := s.root.Open(".")
	if err != nil {
		return fmt.Errorf("blob: %w", plain(err))
	}
	defer dir.Close()
	var failed error
	removed := false
	for {
		list, err := dir.ReadDir(listBatch)
		for _, e := range list {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			name, part, ok := parse(e.Name())
			if !ok {
				continue
			}
			gone, err := s.sweep(name, part, keep)
			removed = removed || gone
			if failed == nil {
				failed = err // one tells enough: a disk that fails would fill memory with them
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if removed {
				failed = errors.Join(failed, s.syncFolder())
			}
			return failed
		case err != nil:
			return errors.Join(failed, fmt.Errorf("blob: listing: %w", plain(err)))
		}
	}
}

func (s *Store) sweep(name Name, part bool, keep func(Name, bool) (bool, error)) (removed bool, err error) {
	defer s.names.lock(name)()
	kept, err := keep(name, part)
	if err != nil || kept {
		return false, err
	}
	if part { // whose upload finds it missing
		return true, s.remove(name.part())
	}
	return true, s.remove(name.file())
}

// parse takes a file's name apart; ok is false for what is not the store's.
func parse(file string) (name Name, part, ok bool) {
	file, part = strings.CutSuffix(file, partSuffix)
	b, err := hex.DecodeString(file)
	if err != nil || len(b) != len(name) || hex.EncodeToString(b) != file {
		return name, part, false
	}
	return Name(b), part, true
}
