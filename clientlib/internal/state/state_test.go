package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var testKey = [KeySize]byte{1, 2, 3}

// openTest opens the database at path and closes it with the test.
func openTest(t testing.TB, path string) *DB {
	t.Helper()
	db, err := Open(path, testKey)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func newTest(t testing.TB) *DB { return openTest(t, filepath.Join(t.TempDir(), "device.db")) }

func update(t testing.TB, db *DB, fn func(tx *Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, db *DB, bucket, key string) (value string, found bool) {
	t.Helper()
	err := db.View(t.Context(), func(tx *Tx) error {
		v, ok, err := tx.Get(bucket, []byte(key))
		value, found = string(v), ok
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return value, found
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a ?#%20.db")
	db := openTest(t, path)
	update(t, db, func(tx *Tx) error { return tx.Put("b", []byte("kept"), []byte("1")) })
	boom := errors.New("boom")
	if err := db.Update(t.Context(), func(tx *Tx) error {
		return errors.Join(tx.Put("b", []byte("failed"), nil), boom)
	}); !errors.Is(err, boom) {
		t.Errorf("error of the function: %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		db.Update(t.Context(), func(tx *Tx) error {
			tx.Put("b", []byte("panicked"), nil)
			panic("boom")
		})
	}()
	ctx, cancel := context.WithCancel(t.Context())
	if err := db.Update(ctx, func(tx *Tx) error {
		tx.Put("b", []byte("cancelled"), nil)
		cancel()
		return nil
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := db.Update(t.Context(), func(tx *Tx) error {
		tx.Put("b", []byte("swallowed"), nil)
		tx.Exec("INSERT INTO nowhere VALUES (1)")
		return nil
	}); err == nil {
		t.Error("a transaction with a failed statement was committed")
	}
	var leaked *Tx
	update(t, db, func(tx *Tx) error { leaked = tx; return nil })
	if err := leaked.Put("b", []byte("late"), nil); !errors.Is(err, ErrTxDone) {
		t.Errorf("after the end: %v", err)
	}
	if err := db.View(t.Context(), func(tx *Tx) error { return tx.Put("b", []byte("viewed"), nil) }); !errors.Is(err, ErrReadOnly) {
		t.Errorf("write in a view: %v", err)
	}
	db.Close()
	if err := db.Update(t.Context(), func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	db = openTest(t, path)
	if v, ok := get(t, db, "b", "kept"); !ok || v != "1" {
		t.Errorf("kept is %q, %v", v, ok)
	}
	for _, key := range []string{"failed", "panicked", "cancelled", "swallowed", "late", "viewed"} {
		if _, ok := get(t, db, "b", key); ok {
			t.Errorf("%s is there", key)
		}
	}
}

func TestRecords(t *testing.T) {
	db := newTest(t)
	var want []string
	update(t, db, func(tx *Tx) error {
		for i := range 200 {
			key := fmt.Sprintf("p%03d", i)
			want = append(want, key)
			if err := tx.Put("b", []byte(key), bytes.Repeat([]byte{byte(i)}, i*40)); err != nil {
				return err
			}
		}
		tx.Put("b", []byte{0xff, 0xff, 1}, nil)
		tx.Put("b", []byte{0xff, 0xff}, nil)
		tx.Put("b", []byte{}, []byte("empty key"))
		tx.Put("b", []byte("gone"), nil)
		tx.Put("b", []byte("p000"), []byte("again"))
		if err := tx.Put("state.x", nil, nil); err == nil {
			t.Error("a reserved bucket was written")
		}
		return errors.Join(tx.Put("c", []byte("p5"), nil), tx.Delete("b", []byte("gone")), tx.Delete("b", []byte("never")))
	})
	update(t, db, func(tx *Tx) error {
		var got []string
		for r, err := range tx.Scan("b", []byte("p")) {
			if err != nil {
				return err
			}
			got = append(got, string(r.Key))
			// A loop that changes what it reads, and reads the same table inside.
			if err := tx.Put("b", r.Key, append(r.Value, "!"...)); err != nil {
				return err
			}
			if v, _, err := tx.Get("b", r.Key); err != nil || !strings.HasSuffix(string(v), "!") {
				t.Errorf("%s reads back as %q, %v", r.Key, v, err)
			}
		}
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("scan gave %v", got)
		}
		for _, c := range []struct {
			prefix string
			n      int
		}{{"", 203}, {"\xff\xff", 2}, {"\xff\xff\x01", 1}, {"p19", 10}, {"none", 0}} {
			n := 0
			for _, err := range tx.Scan("b", []byte(c.prefix)) {
				if err != nil {
					return err
				}
				n++
			}
			if n != c.n {
				t.Errorf("prefix %q has %d records, want %d", c.prefix, n, c.n)
			}
		}
		n := 0
		for r, err := range tx.ScanFrom("b", []byte("p1905")) {
			if n++; err != nil || n == 1 && string(r.Key) != "p191" {
				t.Errorf("the scan from p1905 starts with %q, %v", r.Key, err)
			}
		}
		if n != 11 {
			t.Errorf("%d records from p1905, want 11", n)
		}
		return nil
	})
	if v, ok := get(t, db, "b", ""); !ok || v != "empty key" {
		t.Errorf("empty key: %q, %v", v, ok)
	}
	if v, _ := get(t, db, "b", "p000"); v != "again!" {
		t.Errorf("p000 is %q", v)
	}
	if _, ok := get(t, db, "b", "gone"); ok {
		t.Error("a deleted record is there")
	}
}

func TestNextIDNeverRepeats(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device.db")
	seen := map[uint64]bool{}
	for range 3 {
		db := openTest(t, path)
		for range 3 {
			update(t, db, func(tx *Tx) error {
				n, err := tx.NextID("events")
				if seen[n] {
					t.Errorf("%d came twice", n)
				}
				seen[n] = true
				return err
			})
		}
		db.Update(t.Context(), func(tx *Tx) error { tx.NextID("events"); return errors.New("rolled back") })
		db.Close()
	}
	if !seen[1] || !seen[9] || len(seen) != 9 {
		t.Errorf("ids %v", seen)
	}
}

func TestOpenRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device.db")
	db := openTest(t, path)
	update(t, db, func(tx *Tx) error { return tx.Put("b", []byte("k"), []byte("v")) })
	if _, err := Open(path, testKey); !errors.Is(err, ErrLocked) {
		t.Errorf("open twice: %v", err)
	}
	db.Close()
	before, _ := os.ReadFile(path)
	if _, err := Open(path, [KeySize]byte{9}); !errors.Is(err, ErrWrongKey) {
		t.Errorf("wrong key: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "no", "device.db"), testKey); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("a refused open changed the file")
	}
	db = openTest(t, path)
	if err := db.conn.Exec(fmt.Sprintf("PRAGMA user_version=%d", len(migrations)+1)); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := Open(path, testKey); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("newer schema: %v", err)
	}
}

// A flipped byte anywhere ends in an error that says so, or in nothing wrong: never in other data.
func TestR28_DamageIsNeverData(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device.db")
	db := openTest(t, path)
	value := func(i int) string { return strings.Repeat(fmt.Sprintf("value %d;", i), i*3) }
	update(t, db, func(tx *Tx) error {
		for i := range 120 {
			if err := tx.Put("b", fmt.Append(nil, i), []byte(value(i))); err != nil {
				return err
			}
		}
		return nil
	})
	db.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	caught := 0
	read := func(page int) error {
		damaged := bytes.Clone(whole)
		damaged[page*pageSize+random.IntN(pageSize)] ^= 1 << random.IntN(8)
		file := filepath.Join(t.TempDir(), "device.db")
		if err := os.WriteFile(file, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(file, testKey)
		if err != nil {
			return err
		}
		defer db.Close()
		return db.View(t.Context(), func(tx *Tx) error {
			for i := range 120 {
				v, ok, err := tx.Get("b", fmt.Append(nil, i))
				if err != nil {
					return err
				}
				if !ok || string(v) != value(i) {
					t.Fatalf("page %d: record %d reads as %q, %v", page, i, v, ok)
				}
			}
			return db.integrity()
		})
	}
	for page := range len(whole) / pageSize {
		if err := read(page); errors.Is(err, ErrCorrupt) {
			caught++
		} else if err != nil {
			t.Errorf("page %d: %v, want ErrCorrupt", page, err)
		}
	}
	if caught < len(whole)/pageSize*9/10 { // all but pages that hold nothing
		t.Errorf("%d of %d damaged pages noticed", caught, len(whole)/pageSize)
	}
	if err := os.WriteFile(path, whole[:len(whole)-100], 0o600); err != nil {
		t.Fatal(err)
	}
	if db, err := Open(path, testKey); err == nil {
		err = db.Check(t.Context())
		db.Close()
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut off: %v", err)
		}
	} else if !errors.Is(err, ErrCorrupt) {
		t.Errorf("cut off: %v", err)
	}
}

// Someone who can write valid pages (or a disk that swaps them) still cannot make records.
func TestTamperedRecordIsCorrupt(t *testing.T) {
	for name, sql := range map[string]string{
		"changed":       "UPDATE kv SET v = CAST(substr(v, 1, 17) || 'x' AS BLOB) WHERE k = x'61'",
		"shortened":     "UPDATE kv SET v = substr(v, 1, length(v) - 1) WHERE k = x'61'",
		"cut to a stub": "UPDATE kv SET v = x'00' WHERE k = x'61'",
		"swapped":       "UPDATE kv SET v = (SELECT v FROM kv WHERE k = x'62') WHERE k = x'61'",
		"moved":         "UPDATE kv SET bucket = 'b' WHERE k = x'61' AND bucket = 'other'",
	} {
		db := newTest(t)
		update(t, db, func(tx *Tx) error {
			bucket := "b"
			if name == "moved" {
				bucket = "other"
			}
			return errors.Join(tx.Put(bucket, []byte("a"), []byte("one")), tx.Put("b", []byte("b"), []byte("two")))
		})
		update(t, db, func(tx *Tx) error { _, err := tx.Exec(sql); return err })
		err := db.View(t.Context(), func(tx *Tx) error {
			v, ok, err := tx.Get("b", []byte("a"))
			if v != nil || ok {
				t.Errorf("%s: got %q", name, v)
			}
			return err
		})
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: Get: %v", name, err)
		}
		if c, ok := errors.AsType[*Corrupt](err); !ok || c.Where != "record in bucket b" {
			t.Errorf("%s: %v", name, err)
		}
		if err := db.Check(t.Context()); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: Check: %v", name, err)
		}
		err = db.View(t.Context(), func(tx *Tx) error {
			for _, err := range tx.Scan("b", nil) {
				if err != nil {
					return err
				}
			}
			return nil
		})
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: Scan: %v", name, err)
		}
	}
}

func TestC13_KeysAreNeverPrinted(t *testing.T) {
	db := newTest(t)
	pages, mac, err := deriveKeys(testKey)
	if err != nil || pages == mac || pages == secret(testKey) {
		t.Fatal("derived keys are not two new ones")
	}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "db", db, "key", pages)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "db", db)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb, db, pages, &pages)
	}
	for _, key := range []secret{pages, mac} {
		raw := key[:]
		for _, form := range []string{string(raw[:8]), fmt.Sprintf("%x", raw[:8]), strings.Trim(fmt.Sprint(raw[:4]), "[]")} {
			if strings.Contains(out.String(), form) {
				t.Errorf("a key is printed: %s", out.String())
			}
		}
	}
}
