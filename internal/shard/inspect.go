package shard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// inspectFolder is where [Inspect] opens a copy of the database, inside the store's folder, so
// that tables can be linked.
const inspectFolder = "inspect"

// Inspect looks at a store that is not open, and changes nothing of it (beside it stands a folder
// with a copy meanwhile, which the next Inspect or Open removes if this one is killed): files, evidence and
// tables first, then walk, with a Store that can be read ([Store.View], [Store.Name]) and takes no
// operation. What is wrong is reported; errors are ErrLocked, ErrWrongKey, ErrFormat, walk's, and those of
// the file system. It needs room for a copy of the write-ahead logs, some 200 MB at most, and where
// files cannot be linked for one of all tables.
func Inspect(dir string, key Key, report func(Finding), walk func(*Store) error) (err error) {
	v, err := newVault(key)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "badger")); errors.Is(err, fs.ErrNotExist) {
		report(Finding{dir, "there is no store in this folder", "nothing was ever stored, or all of it is gone: " + MeansRestore})
		return nil
	}
	lock, err := lockDir(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer func() { _ = lock.release() }()
	ev, _, err := readMark(filepath.Join(dir, "mark"))
	if err != nil {
		return err
	}
	if ev.newest != nil && ev.newest.KeyCheck != v.keyCheck {
		return ErrWrongKey
	}
	reportMark(ev, report)
	badgerDir := filepath.Join(dir, "badger")
	whole := manifestWhole(badgerDir)
	if !whole {
		report(Finding{"badger/MANIFEST", "the list of tables is cut or damaged", MeansNewLife})
	}
	sound, err := inspectTables(badgerDir, report)
	if err != nil || !sound {
		return err // Badger would panic, or read less than there is
	}
	copied := filepath.Join(dir, inspectFolder)
	defer func() { _ = os.RemoveAll(copied) }()
	if err := copyBadger(badgerDir, copied); err != nil {
		return fmt.Errorf("shard: copying the logs: %w", err)
	}
	return inspectCopy(copied, v, ev, whole, report, walk)
}

func reportMark(ev evidence, report func(Finding)) {
	switch {
	case ev.missing:
		report(Finding{"mark", "the high-water mark is missing", MeansNewLife})
	case ev.newest == nil:
		report(Finding{"mark", "both slots of the high-water mark are damaged", MeansNewLife})
	case ev.damaged:
		report(Finding{"mark", "one slot of the high-water mark is damaged", "if a crash tore it, the next start mends it and nothing is lost; else that begins a new life"})
	}
}

// inspectTables reports every table that is not whole.
func inspectTables(badgerDir string, report func(Finding)) (sound bool, err error) {
	f, err := os.Open(filepath.Join(badgerDir, "MANIFEST"))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("shard: %w", err)
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(badgerDir))
	if err != nil {
		report(Finding{"badger/MANIFEST", "the list of tables cannot be read", "the server does not start; " + MeansRestore})
		return false, nil
	}
	sound = true
	for id := range m.Tables {
		name := table.NewFilename(id, badgerDir)
		if err := tableWhole(name); err != nil {
			report(Finding{"badger/" + filepath.Base(name), "a table of records is missing or damaged", "the server does not start; " + MeansRestore})
			sound = false
		}
	}
	return sound, nil
}

// inspectCopy opens a copy of the database, which Badger may change, and walks it.
func inspectCopy(badgerDir string, v *vault, ev evidence, whole bool, report func(Finding), walk func(*Store) error) error {
	db, err := openBadger(badgerDir, badgerLog{log: slog.New(slog.DiscardHandler)})
	if errors.Is(err, ErrCorrupt) {
		report(Finding{"badger", "the database does not open", "the server does not start; " + MeansRestore})
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	p, err := readPast(db, v, ev.newest != nil)
	switch {
	case errors.Is(err, ErrCorrupt):
		report(Finding{"badger", "the store's own evidence is damaged", "the server does not start; " + MeansRestore})
		return nil
	case err != nil:
		return err
	}
	p.complete = p.complete && whole
	if len(p.lives) == 0 {
		report(Finding{"badger", "the list of the store's lives is missing", MeansNewLife})
		return nil
	}
	if !ev.missing && shortfall(ev, p) {
		report(Finding{"mark", "the high-water mark tells of answers that are not in the database", MeansNewLife})
	}
	s := &Store{vault: v, db: db, lives: p.lives, dir: filepath.Dir(badgerDir), queue: newQueue(), stopped: make(chan struct{})}
	s.queue.close()
	s.horizon.visible = p.last.Batch
	return walk(s)
}

// Inspect is the function of that name for a store that is open and goes on storing: tables that
// are in use, and walk. What is written meanwhile is not looked at.
func (s *Store) Inspect(report func(Finding), walk func(*Store) error) error {
	if !s.enter() {
		return ErrClosed
	}
	for _, info := range s.db.Tables() {
		name := table.NewFilename(info.ID, filepath.Join(s.dir, "badger"))
		if err := tableWhole(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // merged into others meanwhile
			report(Finding{"badger/" + filepath.Base(name), "a table of records is damaged", "the next start fails; " + MeansRestore})
		}
	}
	s.users.Done()
	return walk(s)
}

// Records calls fn in key order for every record with the prefix, from the key `from` on (nil:
// from the first), until fn returns false. A value that does not open is an error for fn and does
// not end the walk. Key and value are fn's own. The store's own records are left out.
func (n *Snapshot) Records(prefix, from []byte, fn func(key, value []byte, err error) bool) error {
	return n.scan(prefix, from, func(item *badger.Item) (bool, error) {
		key := bytes.Clone(item.Key())
		if key[0] == 0 {
			return true, nil
		}
		value, err := n.value(item)
		return fn(key, value, err), nil
	})
}

// Newest calls fn in key order for every key with the prefix that the last so many batches wrote,
// until fn returns false. It passes over tables that hold nothing so new without reading them.
func (n *Snapshot) Newest(prefix []byte, batches uint64, fn func(key []byte) bool) error {
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false
	opts.SinceTs = n.txn.ReadTs() - min(batches, n.txn.ReadTs())
	return n.scanWith(opts, prefix, nil, func(item *badger.Item) (bool, error) {
		return fn(bytes.Clone(item.Key())), nil
	})
}

// copyBadger makes a copy of a database that is not open: tables are linked, since nothing ever
// writes to them, and all else is copied, holes left out.
func copyBadger(from, to string) error {
	if err := os.RemoveAll(to); err != nil { // of a process that was killed
		return err
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		source, target := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if filepath.Ext(e.Name()) == ".sst" && os.Link(source, target) == nil {
			continue
		}
		if !e.Type().IsRegular() {
			continue
		}
		if err := copySparse(source, target); err != nil {
			return err
		}
	}
	return nil
}

func copySparse(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	buf, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	at := int64(0)
	for {
		n, err := io.ReadFull(in, buf)
		if !bytes.Equal(buf[:n], zeros[:n]) {
			if _, err := out.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := out.Truncate(at); err != nil {
		return err
	}
	return out.Close()
}
