//go:build !unix

package shard

import (
	"errors"
	"os"
)

// dirLock is held through an exclusive file; where the system has no advisory locks, Badger
// keeps one of its own inside its folder as well.
type dirLock struct {
	f    *os.File
	path string
}

func lockDir(path string) (*dirLock, error) {
	// A file left by a killed process can be removed; one that is open cannot (Windows).
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, ErrLocked
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, ErrLocked
	}
	return &dirLock{f, path}, nil
}

func (l *dirLock) release() error {
	err := l.f.Close()
	_ = os.Remove(l.path)
	return err
}

// FreeSpace cannot tell here: no disk ever counts as full.
func FreeSpace(string) (uint64, error) { return noFree, nil }
