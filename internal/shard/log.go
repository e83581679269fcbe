package shard

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/sealpost/sealpost/internal/crashpoint"
	"github.com/sealpost/sealpost/internal/folder"
)

// A Log syncs Badger's write-ahead log. Badger would do it itself (SyncWrites), and each time
// sync its value log too, in which nothing ever stands: a flush of the disk that a lone message
// waits for, 87 of 340 µs where it was measured. The logs are mapped files; where mapped pages
// are known to reach the disk by a sync of the file (syncsMapped) this is done instead.
//
// It relies on two things. Transactions come one after the other, each wholly in the log that
// is the newest when its commit returns, since Badger begins a log only ahead of a write. And
// logs are numbered without gaps, which a test watches.
type Log struct {
	dir    string
	number int
	file   *os.File // nil where Badger syncs by itself
	named  bool     // its name is on disk
	names  func(dir string) error
}

// OpenLog finds the log of the open database in dir.
func OpenLog(dir string) (*Log, error) {
	l := &Log{dir: dir, names: folder.Sync}
	if !syncsMapped {
		return l, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".mem"); ok {
			if n, err := strconv.Atoi(name); err == nil {
				l.number = max(l.number, n)
			}
		}
	}
	if l.file, err = os.Open(l.path(l.number)); err != nil {
		return nil, fmt.Errorf("opening Badger's log: %w", err)
	}
	return l, nil
}

func (l *Log) path(number int) string { return filepath.Join(l.dir, fmt.Sprintf("%05d.mem", number)) }

// Commit commits txn at version, and returns when it is on disk.
func (l *Log) Commit(txn *badger.Txn, version uint64) error {
	if err := txn.CommitAt(version, nil); err != nil {
		return err
	}
	crashpoint.At(crashpoint.Committed)
	if l.file == nil {
		return nil
	}
	if err := l.follow(); err != nil {
		return err
	}
	if !l.named {
		if err := l.names(l.dir); err != nil {
			return err
		}
		l.named = true
	}
	if err := syncData(l.file); err != nil {
		return err
	}
	crashpoint.At(crashpoint.Synced)
	return nil
}

// follow moves on to the newest log. The ones before it were synced after their last batch. Its
// name has to be on disk as well before what is in it counts, which Commit sees to; Badger syncs
// the folder too, but behind the back of whoever commits.
func (l *Log) follow() error {
	for {
		next, err := os.Open(l.path(l.number + 1))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("opening Badger's log: %w", err)
		}
		_ = l.file.Close()
		l.file, l.number, l.named = next, l.number+1, false
		crashpoint.At(crashpoint.LogBegun)
	}
}

// Close closes the file; the log stays.
func (l *Log) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
