// Package folder makes folders, and the names in them, durable: a file that was synced is lost all
// the same in a power cut if nobody synced the folder that its name stands in. Most file systems
// hide that; POSIX promises no more.
//
// Start with [Make] and [Sync].
package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Make makes a folder, mode 0700, and those above it that are missing, and returns when the names of
// all that it made are on disk, but for one in a folder that may be written and not read, which nobody can
// sync. A folder that is there stays as it is. Errors are the file system's.
func Make(dir string) error {
	parents, err := missing(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, parent := range parents {
		if err := Sync(parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

// missing returns the folders in which a name is made for dir to be there, the innermost first.
func missing(dir string) (parents []string, err error) {
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		_, err := os.Stat(dir)
		if err == nil {
			return parents, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(dir) == dir {
			return nil, err
		}
		parents = append(parents, filepath.Dir(dir))
	}
}

// Sync returns when the names in a folder are on disk. Windows syncs no folders, and its file system
// journals names by itself.
func Sync(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
