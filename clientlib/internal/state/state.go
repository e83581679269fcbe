// Package state is the encrypted database of one device: MLS state, cursors, outbox and
// history in one SQLite file, so that one transaction changes them together.
//
// Start with [Open] and [DB.Update]. An Update that returned nil is on disk; one that
// returned an error, panicked or was killed left nothing. [Tx.Put], [Tx.Get], [Tx.Scan] and
// [Tx.NextID] are an authenticated record store for the engine; [Tx.Exec] and [Tx.Query] are
// SQL for packages with tables of their own, which authenticate their rows with [Tx.MAC].
//
// Every page of the database and of its journal is encrypted with Adiantum under a key
// derived from the caller's. Adiantum hides but does not authenticate, so records carry a MAC
// under a second derived key: what a thief of the disk or a failing disk changed ends in
// [ErrCorrupt], never in data. What this does not see: a page, or the whole file, put back as
// it was earlier, and rows that vanished with it. The engine notices that at the relay.
//
// The journal is a rollback journal (TRUNCATE, synchronous=FULL) and not a write-ahead log:
// SQLite drops everything behind the first damaged byte of a write-ahead log without a word,
// while a rollback journal holds nothing that was acknowledged, and truncating it leaves no
// old copies of deleted keys. It costs more syncs a transaction, so batch what can be batched.
//
// A DB may be used by many goroutines, which take turns; a file is open in one process at a time.
package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/fts5"
	_ "github.com/ncruces/go-sqlite3/vfs/adiantum" // the VFS that encrypts
)

// KeySize is the size of a database key in bytes.
const KeySize = 32

// DB is an open database. Its methods may be called from any goroutine.
type DB struct {
	mu     sync.Mutex // held for a whole transaction
	conn   *sqlite3.Conn
	stmts  map[string]*cached
	mac    *macer
	failed error // an outcome on disk is unknown: only closing is left
	closed bool
}

// Open opens the database at path, or creates it, with key. The folder must exist.
//
// It fails with [ErrWrongKey] if the file was made with another key, [ErrCorrupt] if it is
// damaged, [ErrLocked] if it is open elsewhere and [ErrNewerSchema] if a later version of the
// program wrote it. None of these changes the file.
func Open(path string, key [KeySize]byte) (*DB, error) { return open(path, key, "adiantum") }

func open(path string, key [KeySize]byte, vfs string) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	pageKey, macKey, err := deriveKeys(key)
	if err != nil {
		return nil, err
	}
	if err := createFiles(path); err != nil {
		return nil, fmt.Errorf("creating the database: %w", err)
	}
	suspect, err := checkKey(path, pageKey)
	if err != nil {
		return nil, err
	}
	db, err := connect(path, pageKey, macKey, vfs, suspect)
	if errors.Is(err, sqlite3.IOERR_SHORT_READ) && dropTornBlock(path+"-journal") {
		db, err = connect(path, pageKey, macKey, vfs, suspect)
	}
	return db, err
}

func connect(path string, pageKey, macKey secret, vfs string, suspect bool) (*DB, error) {
	uri := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: "vfs=" + vfs}
	conn, err := sqlite3.Open(uri.String())
	if err != nil {
		return nil, classify(err)
	}
	db := &DB{conn: conn, stmts: map[string]*cached{}, mac: newMACer(macKey)}
	if err := db.prepare(pageKey, suspect); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// dropTornBlock cuts a journal to whole blocks and reports whether that changed it. A power
// cut can leave the last block in part; the encrypting VFS writes whole ones, so a part was
// never synced and holds nothing that recovery needs, but the VFS cannot read past it. Only an
// opener that was not refused the lock gets here, so no one is writing the journal.
func dropTornBlock(journal string) bool {
	info, err := os.Stat(journal)
	if err != nil || info.Size()%pageSize == 0 {
		return false
	}
	return os.Truncate(journal, info.Size()-info.Size()%pageSize) == nil
}

// createFiles makes an empty database and journal if there are none, readable by their owner
// alone, and syncs the folder. The VFS does not sync the folder after it created a journal: a
// power cut could then leave half a transaction in the database and no journal to undo it. An
// empty journal means that there is nothing to undo.
func createFiles(path string) error {
	for _, name := range []string{path, path + "-journal"} {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return syncDir(filepath.Dir(path))
}

// prepare sets the connection up and brings the schema to this version.
func (db *DB) prepare(pageKey secret, suspect bool) error {
	// The key comes before all else, and as a pragma because a URI would keep it in the file's name.
	err := db.conn.Exec(fmt.Sprintf("PRAGMA hexkey='%x'", pageKey[:]))
	if err != nil {
		return classify(err)
	}
	// Exclusive locking keeps the lock that the first transaction takes until the file is closed.
	// The journal mode is set before anything is read: recovery after a crash then truncates the
	// journal and does not delete the file that createFiles made durable.
	err = db.conn.Exec(`PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=TRUNCATE;
		PRAGMA synchronous=FULL; PRAGMA fullfsync=ON; PRAGMA temp_store=MEMORY;
		PRAGMA secure_delete=ON; PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF;
		PRAGMA cache_size=-8192; BEGIN EXCLUSIVE; COMMIT`)
	if err != nil {
		return classify(err)
	}
	if err := fts5.Register(db.conn); err != nil {
		return classify(err)
	}
	if suspect {
		if err := db.integrity(); err != nil {
			return err
		}
	}
	return db.migrate()
}

// Close closes the database and waits for a running transaction. Closing again does nothing.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil
	}
	db.closed = true
	for _, c := range db.stmts {
		c.stmt.Close()
	}
	return classify(db.conn.Close())
}

// Check reads the whole database and verifies its structure and every record's MAC. It takes
// about as long as reading the file and decrypting it, and no transaction runs meanwhile.
func (db *DB) Check(ctx context.Context) error {
	return db.View(ctx, func(tx *Tx) error {
		if err := db.integrity(); err != nil {
			return err
		}
		for row, err := range tx.Query("SELECT bucket, k, v FROM kv") {
			if err != nil {
				return err
			}
			if _, err := tx.open(row.Text(0), row.Bytes(1), row.Bytes(2)); err != nil {
				return err
			}
		}
		return nil
	})
}

// integrity runs SQLite's own check.
func (db *DB) integrity() error {
	stmt, _, err := db.conn.Prepare("PRAGMA integrity_check(1)")
	if err != nil {
		return classify(err)
	}
	defer stmt.Close()
	if !stmt.Step() {
		return classify(errors.Join(stmt.Err(), sqlite3.CORRUPT))
	}
	if report := stmt.ColumnText(0); report != "ok" {
		return &Corrupt{Where: "database structure", Err: errors.New(report)}
	}
	return nil
}

// Format keeps the keys out of every print of a DB.
func (*DB) Format(s fmt.State, _ rune) { io.WriteString(s, "state.DB(redacted)") }

// LogValue keeps the keys out of logs.
func (*DB) LogValue() slog.Value { return slog.StringValue("redacted") }
