package shard

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/sealpost/sealpost/internal/crashpoint"
)

// TestLogFollowsBadger: whatever Badger begins, fills and erases, what is synced after each
// commit is the newest log, which holds it; and logs are numbered without gaps.
func TestLogFollowsBadger(t *testing.T) {
	if !syncsMapped {
		t.Skip("Badger syncs its log by itself on this system")
	}
	dir := t.TempDir()
	var version uint64
	for range 3 { // lives of the database
		db, err := badger.OpenManaged(Options(dir).WithLogger(nil))
		if err != nil {
			t.Fatal(err)
		}
		l, err := OpenLog(dir)
		if err != nil {
			t.Fatal(err)
		}
		begun := l.number
		for range 100 {
			version++
			txn := db.NewTransactionAt(version-1, true)
			mark := []byte{byte(version), byte(version >> 8), 'm', 'a', 'r', 'k'}
			if err := txn.Set(mark, make([]byte, 900<<10)); err != nil {
				t.Fatal(err)
			}
			if err := l.Commit(txn, version); err != nil {
				t.Fatal(err)
			}
			logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
			if err != nil {
				t.Fatal(err)
			}
			if newest := slices.Max(logs); newest != l.path(l.number) {
				t.Fatalf("after commit %d the newest log is %s, synced was %s", version, newest, l.path(l.number))
			}
			if !slices.Contains(logs, l.path(l.number)) {
				t.Fatal("a log that is gone was synced")
			}
		}
		if l.number < begun+2 {
			t.Errorf("90 MB were written and no log was changed: %d to %d", begun, l.number)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestLogHoldsTheCommit: the bytes of a commit are in the log that was synced after it.
func TestLogHoldsTheCommit(t *testing.T) {
	if !syncsMapped {
		t.Skip("Badger syncs its log by itself on this system")
	}
	dir := t.TempDir()
	db, err := badger.OpenManaged(Options(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	l, err := OpenLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	txn := db.NewTransactionAt(0, true)
	if err := txn.Set([]byte("key"), []byte("a value to look for")); err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(txn, 1); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(l.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(raw, []byte("a value to look for")) {
		t.Error("the log that was synced does not hold the commit")
	}
}

// TestR26_NewLogHasItsName: what is in a new log counts when its name is on disk as well, for a
// power cut takes a file without a name; and if that cannot be, it does not count.
func TestR26_NewLogHasItsName(t *testing.T) {
	if !syncsMapped {
		t.Skip("Badger syncs its log by itself on this system")
	}
	dir := t.TempDir()
	db, err := badger.OpenManaged(Options(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	l, err := OpenLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var passed []string
	crashpoint.Watch(func(p crashpoint.Point) { passed = append(passed, string(p)) })
	defer crashpoint.Watch(nil)
	var failing error
	l.names = func(in string) error {
		passed = append(passed, "named in "+in)
		return failing
	}
	version := uint64(0)
	commit := func() error {
		version++
		txn := db.NewTransactionAt(version-1, true)
		defer txn.Discard()
		if err := txn.Set([]byte{byte(version), byte(version >> 8)}, make([]byte, 900<<10)); err != nil {
			t.Fatal(err)
		}
		passed = passed[:0]
		return l.Commit(txn, version)
	}
	if err := commit(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"committed", "named in " + dir, "synced"}; !slices.Equal(passed, want) {
		t.Errorf("the first commit passed %q", passed)
	}
	for first := l.number; l.number == first && version < 100; {
		if err := commit(); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"committed", "log-begun", "named in " + dir, "synced"}; !slices.Equal(passed, want) {
		t.Errorf("a commit that begins a log passed %q", passed)
	}
	failing = errors.New("the folder does not sync")
	for err = nil; err == nil && version < 200; {
		err = commit()
	}
	if !errors.Is(err, failing) || slices.Contains(passed, "synced") {
		t.Errorf("a log without a name: %v, after %q", err, passed)
	}
}
