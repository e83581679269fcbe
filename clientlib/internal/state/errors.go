package state

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/ncruces/go-sqlite3"
)

// Errors, by what the caller does next.
var (
	// The file is of another device or the key store lost the key: find the right key.
	ErrWrongKey = errors.New("state: wrong key for this database")
	// The file is damaged or was tampered with: restore or link anew. Errors are of type [*Corrupt].
	ErrCorrupt = errors.New("state: database is corrupt")
	// Another process, or another DB of this one, has the file open: try again later.
	ErrLocked = errors.New("state: database is open elsewhere")
	// A later version wrote the file: update the program.
	ErrNewerSchema = errors.New("state: database was written by a newer version")
	// No space left: nothing changed; free some and try again.
	ErrFull = errors.New("state: disk is full")
	// The disk failed in the middle: close and open again, which settles what was written.
	ErrFailed = errors.New("state: disk failed, open the database again")

	ErrClosed   = errors.New("state: database is closed")
	ErrTxDone   = errors.New("state: transaction has ended")
	ErrReadOnly = errors.New("state: write in a view")
)

// Corrupt says where damage was found. It names no key or value, so it may be logged.
type Corrupt struct {
	Where string
	Err   error // may be nil
}

// Error implements error.
func (c *Corrupt) Error() string {
	if c.Err == nil {
		return fmt.Sprintf("%v: %s", ErrCorrupt, c.Where)
	}
	return fmt.Sprintf("%v: %s: %v", ErrCorrupt, c.Where, c.Err)
}

// Is reports whether target is [ErrCorrupt].
func (c *Corrupt) Is(target error) bool { return target == ErrCorrupt }

// Unwrap returns the cause.
func (c *Corrupt) Unwrap() error { return c.Err }

// classify turns SQLite's errors into the package's.
func classify(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrCorrupt):
		return err
	case errors.Is(err, sqlite3.CORRUPT), errors.Is(err, sqlite3.NOTADB):
		return &Corrupt{Where: "database page", Err: err}
	case errors.Is(err, sqlite3.BUSY), errors.Is(err, sqlite3.LOCKED):
		return fmt.Errorf("%w: %w", ErrLocked, err)
	case errors.Is(err, sqlite3.FULL), errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, sqlite3.IOERR):
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return fmt.Errorf("state: %w", err)
}
