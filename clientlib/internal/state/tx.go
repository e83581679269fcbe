package state

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/ncruces/go-sqlite3"
)

// Tx is a transaction. It is used by the function that got it, in its goroutine, and ends with it.
type Tx struct {
	db       *DB
	readOnly bool
	done     bool
	err      error // the first error of the database itself: SQLite may have rolled back by itself
}

// Update runs fn in a transaction and commits it if fn returns nil; then the changes are on
// disk, or Update fails and there are none. After [ErrFailed] the outcome is known only once
// the database was opened again. If ctx ends, fn's next statement fails; a commit that has
// begun is finished. fn must not call Update or View of the same database.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	return db.run(ctx, "BEGIN IMMEDIATE", &Tx{db: db}, fn)
}

// View runs fn in a transaction that changes nothing. fn must not call Update or View of the
// same database.
func (db *DB) View(ctx context.Context, fn func(tx *Tx) error) error {
	return db.run(ctx, "BEGIN", &Tx{db: db, readOnly: true}, fn)
}

func (db *DB) run(ctx context.Context, begin string, tx *Tx, fn func(tx *Tx) error) (err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	switch {
	case db.closed:
		return ErrClosed
	case db.failed != nil:
		return db.failed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	if err := db.exec(begin); err != nil {
		return err
	}
	db.conn.SetInterrupt(ctx)
	committed := false
	defer func() { // also when fn panics
		tx.done = true
		db.conn.SetInterrupt(context.Background())
		if !committed && !db.conn.GetAutocommit() {
			if rollback := db.exec("ROLLBACK"); rollback != nil {
				db.failed = fmt.Errorf("%w: %w", ErrFailed, rollback)
			}
		}
		if errors.Is(err, ErrFailed) && db.failed == nil && !tx.readOnly {
			db.failed = err
		}
	}()
	err = fn(tx)
	if err == nil {
		err = tx.err
	}
	if err != nil || tx.readOnly {
		if errors.Is(err, sqlite3.INTERRUPT) && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	db.conn.SetInterrupt(context.Background())
	err = db.exec("COMMIT")
	committed = err == nil
	return err
}

// cached is a prepared statement and whether a query is stepping through it.
type cached struct {
	stmt *sqlite3.Stmt
	busy bool
}

// maxStatements bounds the cache; the programs above have a few dozen texts.
const maxStatements = 256

// acquire returns a statement for sql, and a function that gives it back.
func (db *DB) acquire(sql string) (*sqlite3.Stmt, func(), error) {
	if c := db.stmts[sql]; c != nil && !c.busy {
		c.busy = true
		return c.stmt, func() {
			c.stmt.Reset() // repeats the error of the last step, which its caller has seen
			c.stmt.ClearBindings()
			c.busy = false
		}, nil
	}
	stmt, tail, err := db.conn.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
	if err == nil && (stmt == nil || tail != "") {
		err = errors.New("not one statement")
	}
	if err != nil {
		stmt.Close()
		return nil, nil, classify(err)
	}
	if db.stmts[sql] != nil || len(db.stmts) >= maxStatements {
		return stmt, func() { stmt.Close() }, nil // nested use of the same text
	}
	db.stmts[sql] = &cached{stmt: stmt}
	return db.acquire(sql)
}

func (db *DB) exec(sql string) error {
	stmt, release, err := db.acquire(sql)
	if err != nil {
		return err
	}
	defer release()
	return classify(stmt.Exec())
}

// start prepares and binds sql for a statement of tx.
func (tx *Tx) start(sql string, args []any) (*sqlite3.Stmt, func(), error) {
	if tx.done {
		return nil, nil, ErrTxDone
	}
	if tx.err != nil {
		return nil, nil, tx.err
	}
	stmt, release, err := tx.db.acquire(sql)
	if err != nil {
		return nil, nil, tx.note(err)
	}
	if tx.readOnly && !stmt.ReadOnly() {
		release()
		return nil, nil, ErrReadOnly
	}
	for i, arg := range args {
		if err := bind(stmt, i+1, arg); err != nil {
			release()
			return nil, nil, tx.note(classify(err))
		}
	}
	return stmt, release, nil
}

// note remembers the first error of the database, with which the transaction cannot commit.
func (tx *Tx) note(err error) error {
	if err != nil && tx.err == nil {
		tx.err = err
	}
	return err
}

// bind takes nil, bool, the integers that fit 64 signed bits, string and []byte, of which a
// nil one is empty and not NULL.
func bind(stmt *sqlite3.Stmt, i int, arg any) error {
	switch v := arg.(type) {
	case nil:
		return stmt.BindNull(i)
	case bool:
		return stmt.BindBool(i, v)
	case int:
		return stmt.BindInt64(i, int64(v))
	case int64:
		return stmt.BindInt64(i, v)
	case uint64:
		if v > 1<<63-1 {
			return fmt.Errorf("integer argument %d is beyond 63 bits", i)
		}
		return stmt.BindInt64(i, int64(v))
	case string:
		return stmt.BindText(i, v)
	case []byte:
		return stmt.BindBlob(i, v)
	}
	return fmt.Errorf("argument %d has type %T", i, arg)
}

// Exec runs one SQL statement and returns how many rows it changed. Arguments are nil, bool,
// int, int64, uint64, string or []byte.
func (tx *Tx) Exec(sql string, args ...any) (changed int64, err error) {
	stmt, release, err := tx.start(sql, args)
	if err != nil {
		return 0, err
	}
	defer release()
	before := tx.db.conn.TotalChanges()
	if err := stmt.Exec(); err != nil {
		return 0, tx.note(classify(err))
	}
	if tx.db.conn.TotalChanges() == before {
		return 0, nil // Changes would repeat the statement before
	}
	return tx.db.conn.Changes(), nil
}

// LastInsertID returns the row id of the transaction's last successful INSERT.
func (tx *Tx) LastInsertID() int64 { return tx.db.conn.LastInsertRowID() }

// Row is a row of a query's result, valid until the loop goes on. Columns count from 0.
type Row struct{ stmt *sqlite3.Stmt }

// Int64 returns an integer column.
func (r Row) Int64(col int) int64 { return r.stmt.ColumnInt64(col) }

// Text returns a text column.
func (r Row) Text(col int) string { return r.stmt.ColumnText(col) }

// Bytes returns a copy of a blob column.
func (r Row) Bytes(col int) []byte { return r.stmt.ColumnBlob(col, nil) }

// Query runs a SELECT and iterates over its rows; an error is the last pair. The tables that
// it reads must not be changed before the loop ends. Arguments are as for [Tx.Exec].
func (tx *Tx) Query(sql string, args ...any) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		stmt, release, err := tx.start(sql, args)
		if err != nil {
			yield(Row{}, err)
			return
		}
		defer release()
		for stmt.Step() {
			if !yield(Row{stmt}, nil) {
				return
			}
		}
		if err := stmt.Err(); err != nil {
			yield(Row{}, tx.note(classify(err)))
		}
	}
}
