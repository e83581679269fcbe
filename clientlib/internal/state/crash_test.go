package state

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// childEnv makes the test binary a writer (see TestMain): its value is the database's path.
const childEnv = "SEALPOST_STATE_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		os.Exit(child(path))
	}
	os.Exit(m.Run())
}

// child writes numbered transactions for ever, and a line with the number after each.
func child(path string) int {
	db, err := Open(path, testKey)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		var n uint64
		err := db.Update(context.Background(), func(tx *Tx) error {
			if n, err = tx.NextID("n"); err != nil {
				return err
			}
			return writeNumbered(tx, n)
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(n)
	}
}

// writeNumbered touches many pages: a small record, a large one, and a text that is indexed.
func writeNumbered(tx *Tx, n uint64) error {
	key := fmt.Appendf(nil, "%08d", n)
	_, err := tx.Exec("INSERT INTO message_index (rowid, text) VALUES (?, ?)", n, fmt.Sprintf("message number %d", n))
	return errors.Join(err, tx.Put("small", key, key), tx.Put("large", key, bytes.Repeat(key, 2000)),
		tx.Put("same", []byte("last"), key))
}

// verifyNumbered checks that transactions 1 to some n >= atLeast are there, whole, and returns n.
func verifyNumbered(t *testing.T, db *DB, atLeast uint64) (n uint64) {
	t.Helper()
	if err := db.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := db.View(t.Context(), func(tx *Tx) error {
		for r, err := range tx.Scan("small", nil) {
			if err != nil {
				return err
			}
			n++
			if string(r.Key) != fmt.Sprintf("%08d", n) {
				t.Fatalf("transaction %s follows %d", r.Key, n-1)
			}
			if large, _, err := tx.Get("large", r.Key); err != nil || !bytes.Equal(large, bytes.Repeat(r.Key, 2000)) {
				t.Fatalf("half of transaction %d is there: %v", n, err)
			}
		}
		last, _, err := tx.Get("same", []byte("last"))
		if n > 0 && string(last) != fmt.Sprintf("%08d", n) {
			t.Fatalf("the last transaction is %q, want %d", last, n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < atLeast {
		t.Fatalf("%d transactions, %d were acknowledged", n, atLeast)
	}
	return n
}

// R25: a writer that is killed at any moment loses nothing that it has acknowledged.
func TestR25_KilledWriterLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device.db")
	random := rand.New(rand.NewPCG(3, 4))
	var acknowledged uint64
	for round := range 10 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		stop := 1 + random.IntN(25)
		for i := 0; lines.Scan(); i++ {
			if acknowledged, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
				t.Fatal(err)
			}
			if i == 0 && round == 0 {
				if _, err := Open(path, testKey); !errors.Is(err, ErrLocked) {
					t.Errorf("open beside another process: %v", err)
				}
			}
			if i == stop {
				for range random.IntN(200_000) { // somewhere inside a transaction
				}
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		if acknowledged == 0 {
			t.Fatal("the writer wrote nothing")
		}
		db := openTest(t, path)
		verifyNumbered(t, db, acknowledged)
		db.Close()
		if _, err := os.Stat(path + "-journal"); err != nil {
			t.Errorf("the journal's folder entry is not kept: %v", err)
		}
	}
	t.Logf("%d transactions acknowledged", acknowledged)
}

// C08: what is stored can be read in no file, also not while a transaction that does not fit
// the cache is spilling into file and journal.
func TestC08_NoPlaintextOnDisk(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SQLITE_TMPDIR", dir)
	t.Setenv("TMPDIR", dir)
	const marker = "CANARY-plaintext-marker"
	searched, largest := 0, int64(0)
	search := func(when string) {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if searched++; filepath.Ext(path) == ".db-journal" {
				largest = max(largest, int64(len(b)))
			}
			for _, needle := range []string{marker, "CAN", "SQLite format", "message_index", "bucket"} {
				if len(needle) > 3 && bytes.Contains(b, []byte(needle)) {
					t.Errorf("%s: %s contains %q", when, filepath.Base(path), needle)
				}
			}
			return nil
		})
	}
	path := filepath.Join(dir, "device.db")
	db := openTest(t, path)
	write := func(tx *Tx, round int) error {
		for i := range 3000 {
			text := fmt.Sprintf("%s %d %d", marker, round, i)
			if _, err := tx.Exec("INSERT INTO message_index (rowid, text) VALUES (?, ?)", round*10000+i, text); err != nil {
				return err
			}
			if err := tx.Put(marker, fmt.Append(nil, i), bytes.Repeat([]byte(text), 100)); err != nil {
				return err
			}
		}
		return nil
	}
	for round := range 2 {
		update(t, db, func(tx *Tx) error {
			if err := write(tx, round); err != nil {
				return err
			}
			search("in a transaction")
			for _, err := range tx.Query("SELECT k FROM kv ORDER BY v DESC") { // sorts more than memory holds
				if err != nil {
					return err
				}
			}
			return nil
		})
		search("after a commit")
	}
	db.Close()
	search("after Close")
	if searched < 6 || largest == 0 {
		t.Errorf("%d files searched, the largest journal had %d bytes", searched, largest)
	}
	if err := os.WriteFile(filepath.Join(dir, "control"), []byte("x"+marker), 0o600); err != nil {
		t.Fatal(err)
	}
	control := false
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		b, _ := os.ReadFile(path)
		control = control || bytes.Contains(b, []byte(marker))
		return nil
	})
	if !control {
		t.Error("the search does not find what is there")
	}
}
