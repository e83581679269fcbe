package shard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"

	"github.com/sealpost/sealpost/internal/folder"
)

// Export calls fn for every record of the snapshot, in key order, as it is on disk: the key
// that tells nothing without the storage key, and the sealed value. Both are valid until fn
// returns; its error ends the walk and is returned, and so does the end of ctx. Every table is verified and each value is
// opened first: a copy of what is damaged would be trusted, so ErrCorrupt ends the walk as well.
// Of the evidence only what the next life needs is among the records (see [Import]).
func (n *Snapshot) Export(ctx context.Context, fn func(key, sealed []byte) error) error {
	if err := n.s.tablesWhole(); err != nil {
		return err
	}
	newest := ringKey(n.txn.ReadTs())
	return n.scan(nil, nil, func(item *badger.Item) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		key := item.Key()
		if bytes.HasPrefix(key, ringPrefix) && !bytes.Equal(key, newest) {
			return true, nil
		}
		if _, err := n.value(item); err != nil {
			return false, err
		}
		var ferr error
		verr := item.Value(func(sealed []byte) error {
			ferr = fn(key, sealed)
			return nil
		})
		if verr != nil {
			return false, fmt.Errorf("%w: %w", ErrCorrupt, verr)
		}
		return true, ferr
	})
}

// tablesWhole verifies every table that is in use, as the package's function of that name does
// at the start: Badger takes a damaged block for an empty one. One that is gone meanwhile was
// merged into others.
func (s *Store) tablesWhole() error {
	for _, info := range s.db.Tables() {
		name := table.NewFilename(info.ID, filepath.Join(s.dir, "badger"))
		if err := tableWhole(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("table %s: %w", filepath.Base(name), err)
		}
	}
	return nil
}

// importBytes is how much is given to Badger in one transaction.
const importBytes = 1 << 20

// Import makes a store in dir, which is empty or does not exist, of records that another one
// exported: next returns them in the same order, what it returns is its own, and a nil key is
// the end. The store begins a new incarnation above everything that the records tell of, and is
// on disk when Import returns; a crash before that leaves something that is no whole store, so
// the caller marks dir until then. ErrWrongKey: the records were sealed under another key.
func Import(dir string, storageKey Key, next func() (key, sealed []byte, err error)) error {
	badgerDir := filepath.Join(dir, "badger")
	if err := folder.Make(badgerDir); err != nil {
		return fmt.Errorf("shard: %w", err)
	}
	if err := importRecords(badgerDir, next); err != nil {
		return err
	}
	if err := syncFolder(badgerDir); err != nil {
		return fmt.Errorf("shard: %w", err)
	}
	s, err := Open(Config{Dir: dir, Key: storageKey, Machine: idle{}, Restored: true})
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return fmt.Errorf("shard: %w", err)
	}
	for _, folder := range []string{badgerDir, dir} {
		if err := syncFolder(folder); err != nil {
			return fmt.Errorf("shard: %w", err)
		}
	}
	return nil
}

// idle is the machine of a store that nothing is submitted to.
type idle struct{}

// Apply implements [Machine].
func (idle) Apply(*Tx, Env, Op) any { return nil }

// importRecords writes everything as of batch 1: what comes later is newer.
func importRecords(badgerDir string, next func() (key, sealed []byte, err error)) (err error) {
	db, err := badger.OpenManaged(Options(badgerDir).WithSyncWrites(false).WithLogger(nil))
	if err != nil {
		return fmt.Errorf("shard: opening Badger: %w", err)
	}
	defer func() {
		if cerr := db.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("shard: %w", cerr)
		}
	}()
	for more := true; more; {
		txn := db.NewTransactionAt(1, true)
		for size := 0; size < importBytes; {
			key, sealed, err := next()
			if err != nil {
				txn.Discard()
				return err
			}
			if more = key != nil; !more {
				break
			}
			if err := txn.Set(slices.Clone(key), slices.Clone(sealed)); err != nil {
				txn.Discard()
				return fmt.Errorf("shard: %w", err)
			}
			size += len(key) + len(sealed) + writeOverhead
		}
		if err := txn.CommitAt(1, nil); err != nil {
			return fmt.Errorf("shard: %w", err)
		}
	}
	return nil
}

// syncFolder syncs every file of a folder, and the folder.
func syncFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	paths := make([]string, 0, len(entries)+1)
	for _, e := range entries {
		if e.Type().IsRegular() {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	flag := os.O_RDWR // as in syncLogs
	if runtime.GOOS != "windows" {
		flag, paths = os.O_RDONLY, append(paths, dir)
	}
	for _, path := range paths {
		f, err := os.OpenFile(path, flag, 0)
		if err != nil {
			return err
		}
		err = f.Sync()
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
