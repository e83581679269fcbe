//go:build unix

package shard

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// dirLock holds the folder for one Store. The kernel drops it with the process, however
// that ends.
type dirLock struct{ f *os.File }

func lockDir(path string) (*dirLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("shard: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("shard: locking the folder: %w", err)
	}
	return &dirLock{f}, nil
}

func (l *dirLock) release() error { return l.f.Close() }

// FreeSpace returns how many bytes an ordinary user can still write to the file system of dir.
func FreeSpace(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return noFree, err
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil
}
