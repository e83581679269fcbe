package shard

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

type exported struct{ key, sealed []byte }

func export(t *testing.T, s *Store) (all []exported) {
	t.Helper()
	err := s.View(func(v *Snapshot) error {
		return v.Export(t.Context(), func(key, sealed []byte) error {
			all = append(all, exported{bytes.Clone(key), bytes.Clone(sealed)})
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func importing(all []exported) func() (key, sealed []byte, err error) {
	return func() (key, sealed []byte, err error) {
		if len(all) == 0 {
			return nil, nil, nil
		}
		next := all[0]
		all = all[1:]
		return next.key, next.sealed, nil
	}
}

// TestImportIsANewLife: what was exported is there, under another incarnation that counts above
// everything the first one may have answered since.
func TestImportIsANewLife(t *testing.T) {
	s, _ := openNotebook(t, t.TempDir())
	last := uint64(0)
	for id := range uint64(50) {
		last = do(t, s, put{id: id, size: 3000}).(uint64)
	}
	do(t, s, drop{id: 7})
	want, all := contents(t, s), export(t, s)
	for range 10 {
		last = do(t, s, put{id: 99}).(uint64) // what the copy does not have
	}

	dir := filepath.Join(t.TempDir(), "copy")
	if err := Import(dir, Key{1}, importing(all)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and again, like any other store
		c, _ := openNotebook(t, dir)
		if got := contents(t, c); !maps.Equal(got, want) {
			t.Fatalf("%d records, want %d", len(got), len(want))
		}
		if c.Incarnation() == s.Incarnation() {
			t.Fatal("the copy goes on with the life of the original")
		}
		if c.Floor() <= last {
			t.Fatalf("the copy counts above %d, and %d was answered", c.Floor(), last)
		}
		want = maps.Clone(want)
		want[do(t, c, put{id: 1000}).(uint64)] = 1000
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestQ06_TheSameCopyTwice: a backup that is restored a second time counts above what was
// answered after it was restored first, of which nothing in it tells.
func TestQ06_TheSameCopyTwice(t *testing.T) {
	s, _ := openNotebook(t, t.TempDir())
	last := do(t, s, put{id: 1}).(uint64)
	all := export(t, s)
	for range 3 {
		dir := t.TempDir()
		if err := Import(dir, Key{1}, importing(all)); err != nil {
			t.Fatal(err)
		}
		c, _ := openNotebook(t, dir)
		for id := range uint64(5) {
			n := do(t, c, put{id: 10 + id}).(uint64)
			if n <= last {
				t.Fatalf("number %d is given again: %d was answered", n, last)
			}
			last = n
		}
		_ = c.Close()
	}
}

// TestRestoredFloor: it rises with the clock, and no clock leaves too few numbers.
func TestRestoredFloor(t *testing.T) {
	then := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if a, b := restoredFloor(then), restoredFloor(then.Add(time.Second)); b != a+1e6 {
		t.Errorf("a second later it is %d, and was %d", b, a)
	}
	for _, at := range []time.Time{{}, time.Unix(-5, 0)} {
		if got := restoredFloor(at); got != 0 {
			t.Errorf("%v: %d", at, got)
		}
	}
	if got := restoredFloor(time.Date(200_000, 1, 1, 0, 0, 0, 0, time.UTC)); got != maxClockFloor {
		t.Errorf("far ahead: %d", got)
	}
}

// TestExportIsOneBatch: under load each copy is the state of one moment: the numbers are
// contiguous, and the counter agrees with them.
func TestExportIsOneBatch(t *testing.T) {
	s, _ := openNotebook(t, t.TempDir())
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for id := uint64(0); ; id++ {
				select {
				case <-stop:
					return
				default:
					_, _ = s.Do(t.Context(), put{id: id, size: 200})
				}
			}
		})
	}
	defer load.Wait()
	defer close(stop)
	do(t, s, put{id: 1})
	for range 5 {
		dir := t.TempDir()
		if err := Import(dir, Key{1}, importing(export(t, s))); err != nil {
			t.Fatal(err)
		}
		c, _ := openNotebook(t, dir)
		numbers := slices.Sorted(maps.Keys(contents(t, c)))
		for i, n := range numbers {
			if n != uint64(i)+1 {
				t.Fatalf("number %d stands at place %d", n, i)
			}
		}
		if next := do(t, c, put{}).(uint64); next <= numbers[len(numbers)-1] {
			t.Fatalf("number %d is given again", next)
		}
		_ = c.Close()
	}
}

// TestExportOfDamageFails: a table that is damaged under a running store is no backup of less.
func TestExportOfDamageFails(t *testing.T) {
	dir := t.TempDir()
	s, _ := openNotebook(t, dir)
	for id := range uint64(100) {
		do(t, s, put{id: id, size: 2000})
	}
	_ = s.Close()
	s, _ = openNotebook(t, dir)
	tables, err := filepath.Glob(filepath.Join(dir, "badger", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal("no table", err)
	}
	f, err := os.OpenFile(tables[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	_, _ = f.ReadAt(b[:], 5000)
	b[0] ^= 1
	_, _ = f.WriteAt(b[:], 5000)
	err = s.View(func(v *Snapshot) error { return v.Export(t.Context(), func(_, _ []byte) error { return nil }) })
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("a damaged table is exported: %v", err)
	}
}

func TestImportUnderAnotherKey(t *testing.T) {
	s, _ := openNotebook(t, t.TempDir())
	do(t, s, put{id: 1})
	if err := Import(t.TempDir(), Key{2}, importing(export(t, s))); !errors.Is(err, ErrWrongKey) {
		t.Errorf("got %v, want ErrWrongKey", err)
	}
}
