package transfer

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/sealedfile"
)

// The names in a folder.
const (
	stagePrefix  = "stage-"
	partSuffix   = ".part"
	sealedSuffix = ".sealed"
)

// A Folder is a device's folder of sealed files.
type Folder struct {
	root *os.Root // no name leads out of the folder
	opt  Options
	turn chan struct{} // cap atOnce: sessions of transfers

	mu   sync.Mutex
	busy map[[32]byte]chan struct{} // closed when the file is free again
}

// File is one file of a folder.
type File struct {
	Hash     [32]byte
	Size     int64     // bytes that are there
	Whole    bool      // else the beginning of a download
	Modified time.Time // when its last byte came
}

// Open opens the folder at path, which it makes, readable by its owner alone, if there is none.
func Open(path string, opt Options) (*Folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("transfer: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("transfer: %w", err)
	}
	f := &Folder{root: root, opt: opt, turn: make(chan struct{}, atOnce), busy: make(map[[32]byte]chan struct{})}
	names, err := f.names()
	if err != nil {
		root.Close()
		return nil, err
	}
	for _, name := range names {
		if strings.HasPrefix(name, stagePrefix) {
			_ = root.Remove(name) // the next Open tries again
		}
	}
	return f, nil
}

// Close closes the folder. No transfer may be under way.
func (f *Folder) Close() error { return f.root.Close() }

func (f *Folder) names() ([]string, error) {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("transfer: %w", err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// Files lists what is in the folder, by hash. What has another name than the package gives is
// passed over.
func (f *Folder) Files() ([]File, error) {
	names, err := f.names()
	if err != nil {
		return nil, err
	}
	var files []File
	for _, name := range names {
		text, whole := strings.CutSuffix(name, sealedSuffix)
		if !whole {
			text = strings.TrimSuffix(name, partSuffix)
		}
		hash, err := hex.DecodeString(text)
		if err != nil || len(hash) != 32 || name != fileName([32]byte(hash), whole) {
			continue
		}
		info, err := f.root.Lstat(name)
		if err != nil || !info.Mode().IsRegular() {
			continue // it went away meanwhile
		}
		files = append(files, File{[32]byte(hash), info.Size(), whole, info.ModTime()})
	}
	return files, nil
}

func fileName(hash [32]byte, whole bool) string {
	if whole {
		return hex.EncodeToString(hash[:]) + sealedSuffix
	}
	return hex.EncodeToString(hash[:]) + partSuffix
}

// Remove removes a file, whole or in part. One that is not there is no error; one that is being
// moved is [ErrBusy].
func (f *Folder) Remove(hash [32]byte) error {
	free, _ := f.take(hash)
	if free == nil {
		return ErrBusy
	}
	defer free()
	for _, whole := range []bool{true, false} {
		if err := f.root.Remove(fileName(hash, whole)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("transfer: %w", err)
		}
	}
	return nil
}

// Stage seals what src yields into the folder, synced, and returns what opens it: nothing else
// does, so the caller keeps it before it begins to upload. A file of more than limit bytes
// sealed fails with [sealedfile.ErrTooLarge].
func (f *Folder) Stage(src io.Reader, limit int64) (sealedfile.Info, error) {
	name := stagePrefix + rand.Text()
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return sealedfile.Info{}, fmt.Errorf("transfer: %w", err)
	}
	info, err := sealedfile.Seal(file, src, limit)
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = f.settle(name, info.Hash)
	}
	if err != nil {
		_ = f.root.Remove(name) // else the next Open does
		return sealedfile.Info{}, fmt.Errorf("transfer: %w", err)
	}
	return info, nil
}

// settle gives a whole and synced file its name for good.
func (f *Folder) settle(name string, hash [32]byte) error {
	if err := f.root.Rename(name, fileName(hash, true)); err != nil {
		return err
	}
	return syncFolder(f.root)
}

// Unseal writes the content of a whole file to dst. Nothing is written before all of it was
// verified; what is written before a later error is to be thrown away. Errors: [ErrMissing],
// those of [sealedfile.Open], and dst's.
func (f *Folder) Unseal(dst io.Writer, info sealedfile.Info) error {
	file, err := f.whole(info.Hash)
	if err != nil {
		return err
	}
	defer file.Close()
	return sealedfile.Open(dst, file, info)
}

// whole opens a whole file for reading.
func (f *Folder) whole(hash [32]byte) (*os.File, error) {
	file, err := f.root.Open(fileName(hash, true))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("transfer: %w", err)
	}
	return file, nil
}

// take makes the caller the only one to move a file, until it calls free. If somebody else
// does, free is nil, and wait is closed when that one has ended.
func (f *Folder) take(hash [32]byte) (free func(), wait <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.busy[hash]; c != nil {
		return nil, c
	}
	c := make(chan struct{})
	f.busy[hash] = c
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.busy, hash)
		close(c)
	}, nil
}

// begin waits until nobody else moves the file.
func (f *Folder) begin(ctx context.Context, hash [32]byte) (end func(), err error) {
	for {
		free, wait := f.take(hash)
		if free != nil {
			return free, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fmt.Errorf("transfer: %w", context.Cause(ctx))
		}
	}
}
