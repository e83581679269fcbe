// Package blob keeps the relay's blobs as files: sealed bytes under a name that tells nothing.
//
// Start with [Open]. An upload ([Store.Begin], [Upload.Write], [Upload.Finish]) goes on where
// another session or process left it; [Store.Read] reads parts; [Store.Sweep] removes what no
// record speaks of. Records, quotas and who may do what are relay/internal/queue's: a blob
// exists when its record says so, and its file comes before the record and goes after it.
//
// A name is an HMAC that the caller derives under the storage key; nothing that a peer sends
// becomes part of a path, and everything happens below one folder ([os.Root]). Modification
// times are set to 1970; the file system's own change times cannot be.
//
// What a kill leaves, by record and file (PART.part is the upload, the bare name the blob),
// and who puts it right:
//
//	record      files       what happened                     what follows
//	none        any         erased, or lost with its record   Sweep removes the files
//	uploading   none        nothing written, or taken back    Begin makes the part anew
//	uploading   part        under way                         Begin goes on at its length
//	uploading   whole part  killed before or while verifying  Begin, then Finish at once
//	uploading   blob        killed before the record          Begin syncs it; the record follows
//	complete    blob        as it should be
//	complete    none        the disk lost it                  Missing: the record is taken back
//
// A file is synced, then verified by reading it back, then renamed, then its folder synced:
// so a blob's name never stands for bytes that are not on disk. Bytes of which a sync failed
// are removed, since a second sync would prove nothing about them.
//
// No file is open between two parts, and memory is one buffer of 64 KiB for each blob that is
// being verified, whatever its size. Out of scope: encryption, which clients do.
package blob

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/sealpost/sealpost/internal/folder"
	"github.com/sealpost/sealpost/internal/shard"
)

// Errors of a store, by what the caller does next. Others are the file system's: try again
// later.
var (
	// ErrMissing: there is no such blob, or not in the size that it should have.
	ErrMissing = errors.New("blob: missing")
	// ErrOver: another goes on with the upload, it was removed, or a part of it failed. Begin again.
	ErrOver = errors.New("blob: the upload is over")
	// ErrOffset: a part does not follow what is stored, or goes beyond the size.
	ErrOffset = errors.New("blob: a part at the wrong place")
	// ErrHash: the bytes are others than the name says. They are removed.
	ErrHash = errors.New("blob: the hash is another")
	// ErrFull: the disk is nearly full. Try again later.
	ErrFull = errors.New("blob: not enough free disk space")
)

// Our own limits, each with its reason.
const (
	// Twice what the queues' store stops at: blobs are refused before messages are.
	defaultMinFree = 512 << 20

	verifyBuffer = 64 << 10 // bytes in memory while a blob is read back
	listBatch    = 256      // names of the folder in memory at once
)

const partSuffix = ".part"

// A Name is what a blob is called on disk: an HMAC over queue and hash.
type Name [20]byte

func (n Name) file() string { return hex.EncodeToString(n[:]) }

func (n Name) part() string { return n.file() + partSuffix }

// Config says where blobs live. Dir is required.
type Config struct {
	Dir     string // folder of the blobs alone; created with mode 0700
	MinFree uint64 // free space in bytes below which nothing is written; 0 means 512 MiB
}

// A Store is one folder of blobs. All methods are safe for concurrent use.
type Store struct {
	root    *os.Root
	minFree uint64
	names   locks
	held    sync.RWMutex  // write-locked while a backup copies files; sweeps leave it then
	holder  chan struct{} // cap 1: full while somebody holds, or waits for a sweep

	mu      sync.Mutex
	uploads map[Name]*Upload // guarded by mu: who may write to a part

	// What the file system does; tests put failing ones in their place.
	sync  func(*os.File) error
	write func(f *os.File, p []byte, off int64) (int, error)
	free  func() (uint64, error)
}

// Open opens the folder, or makes it. Nothing in it is read.
func Open(cfg Config) (*Store, error) {
	if err := folder.Make(cfg.Dir); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return &Store{
		root: root, minFree: cmp.Or(cfg.MinFree, defaultMinFree), uploads: make(map[Name]*Upload), holder: make(chan struct{}, 1),
		sync:  (*os.File).Sync,
		write: (*os.File).WriteAt,
		free:  func() (uint64, error) { return shard.FreeSpace(cfg.Dir) },
	}, nil
}

// Close gives up the folder. Nothing else is called then or later.
func (s *Store) Close() error { return s.root.Close() }

// size returns the length of a file; ok is false if there is none.
func (s *Store) size(file string) (n int64, ok bool, err error) {
	info, err := s.root.Lstat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("blob: %w", plain(err))
	}
	return info.Size(), true, nil
}

// remove removes a file; that it is absent is no error.
func (s *Store) remove(file string) error {
	if err := s.root.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("blob: %w", plain(err))
	}
	return nil
}

// syncFolder makes renames and removals durable.
func (s *Store) syncFolder() error {
	if runtime.GOOS == "windows" {
		return nil // it syncs no folders
	}
	d, err := s.root.Open(".")
	if err != nil {
		return fmt.Errorf("blob: %w", plain(err))
	}
	err = s.sync(d)
	_ = d.Close()
	if err != nil {
		return fmt.Errorf("blob: syncing the folder: %w", plain(err))
	}
	return nil
}

// room tells whether n more bytes leave the disk its reserve.
func (s *Store) room(n int64) error {
	free, err := s.free()
	if err == nil && free < s.minFree+uint64(n) {
		return ErrFull
	}
	return nil
}

// forget hides when a file was written. A file system that cannot do it fails nothing.
func (s *Store) forget(file string) { _ = s.root.Chtimes(file, time.Unix(0, 0), time.Unix(0, 0)) }

// plain drops the path from an error: names of blobs are in no log. A full disk is ErrFull.
func plain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return ErrFull
	}
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	if l, ok := errors.AsType[*os.LinkError](err); ok {
		return l.Err
	}
	return err
}
