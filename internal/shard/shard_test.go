package shard

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// notebook is a small machine: each put appends one number to its list and counts itself,
// so that a lost, repeated or half-applied operation shows.
type notebook struct {
	s       *Store
	batches []int // operations of each batch, as Committed saw them
	inBatch int
	onApply func(Env)
}

type put struct {
	id   uint64
	size int
	fail bool // writes, then hits an error
}

type bulk struct{ writes, bytes int }

type drop struct{ id uint64 }

func (p put) Size() int     { return p.size }
func (bulk) Size() int      { return 1 }
func (drop) Size() int      { return 1 }
func (drop) Releases() bool { return true }

func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func (m *notebook) list() []byte { return m.s.Name(1) }

func (m *notebook) Apply(tx *Tx, env Env, op Op) any {
	m.inBatch++
	if m.onApply != nil {
		m.onApply(env)
	}
	switch op := op.(type) {
	case put:
		n := uint64(0)
		if b, ok, _ := tx.Get(m.s.Name(2)); ok {
			n = binary.BigEndian.Uint64(b)
		}
		n = max(n, tx.Floor()) + 1
		_ = tx.Set(m.s.Name(2), u64(n))
		_ = tx.Set(append(m.list(), u64(n)...), append(u64(op.id), make([]byte, op.size)...))
		tx.RaiseMark(n)
		if op.fail {
			_ = tx.Set([]byte{0}, nil)
		}
		return n
	case drop:
		_ = tx.Delete(append(m.list(), u64(op.id)...))
	case bulk:
		for i := range op.writes {
			_ = tx.Set(append(m.s.Name(3), u64(uint64(i))...), make([]byte, op.bytes))
		}
	}
	return nil
}

func (m *notebook) Applied() func() {
	n := m.inBatch
	m.inBatch = 0
	return func() { m.batches = append(m.batches, n) }
}

func openNotebook(t testing.TB, dir string, change ...func(*Config)) (*Store, *notebook) {
	t.Helper()
	m := new(notebook)
	cfg := Config{Dir: dir, Key: Key{1}, Machine: m, MinFree: 1}
	for _, c := range change {
		c(&cfg)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.s = s
	t.Cleanup(func() { _ = s.Close() })
	return s, m
}

func do(t testing.TB, s *Store, op Op) any {
	t.Helper()
	a, err := s.Do(context.Background(), op)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// contents reads the list: number → id.
func contents(t testing.TB, s *Store) map[uint64]uint64 {
	t.Helper()
	got := make(map[uint64]uint64)
	prefix := s.Name(1)
	err := s.View(func(v *Snapshot) error {
		return v.Scan(prefix, nil, func(k, v []byte) bool {
			got[binary.BigEndian.Uint64(k[len(prefix):])] = binary.BigEndian.Uint64(v)
			return true
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestReopenKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	s, _ := openNotebook(t, dir)
	want := make(map[uint64]uint64)
	for id := range uint64(20) {
		want[do(t, s, put{id: id}).(uint64)] = id
	}
	life := s.Incarnation()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Do(t.Context(), put{}); !errors.Is(err, ErrClosed) {
		t.Errorf("submit after close: %v", err)
	}
	if err := s.View(func(*Snapshot) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("view after close: %v", err)
	}
	s, _ = openNotebook(t, dir)
	if got := contents(t, s); !maps.Equal(got, want) {
		t.Errorf("after reopening: %v, want %v", got, want)
	}
	if s.Incarnation() != life || s.Floor() != 0 {
		t.Error("a clean reopening began another incarnation")
	}
}

// TestDurabilityOrder: an answer comes after the commit and after the mark, in this order,
// and nobody sees a batch before.
func TestDurabilityOrder(t *testing.T) {
	s, _ := openNotebook(t, t.TempDir())
	var order []string
	commit, syncMark := s.commit, s.mark.sync
	do(t, s, put{}) // the storing goroutine is idle after this answer
	s.commit = func(txn *badger.Txn, batch uint64) error {
		order = append(order, "commit")
		return commit(txn, batch)
	}
	s.mark.sync = func(f *os.File) error {
		if len(contents(t, s)) != 1 {
			order = append(order, "visible too early")
		}
		order = append(order, "mark")
		return syncMark(f)
	}
	done := make(chan struct{})
	s.Submit(put{id: 7}, func(any, error) {
		order = append(order, "answer")
		close(done)
	})
	<-done
	if got := fmt.Sprint(order); got != "[commit mark answer]" {
		t.Errorf("order was %v", got)
	}
	if len(contents(t, s)) != 2 {
		t.Error("the answered operation is not visible")
	}
}

// TestR29_SyncFails: after a commit or a sync failed, as "failed" or as "failed but
// persisted", nothing is acknowledged any more.
func TestR29_SyncFails(t *testing.T) {
	eio := errors.New("input/output error")
	for name, inject := range map[string]func(*Store){
		"commit": func(s *Store) { s.commit = func(*badger.Txn, uint64) error { return eio } },
		"commit persisted": func(s *Store) {
			s.commit = func(txn *badger.Txn, b uint64) error { _ = txn.CommitAt(b, nil); return eio }
		},
		"mark":           func(s *Store) { s.mark.sync = func(*os.File) error { return eio } },
		"mark persisted": func(s *Store) { s.mark.sync = func(f *os.File) error { _ = f.Sync(); return eio } },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, _ := openNotebook(t, dir)
			do(t, s, put{id: 1})
			select {
			case <-s.Failed():
				t.Error("a store that works says that it has failed")
			default:
			}
			commit, syncMark := s.commit, s.mark.sync
			inject(s)
			if _, err := s.Do(t.Context(), put{id: 2}); !errors.Is(err, ErrFailed) || !errors.Is(err, eio) {
				t.Fatalf("the failing operation: %v", err)
			}
			<-s.Failed()
			if got := contents(t, s); len(got) != 1 {
				t.Errorf("a batch that failed is visible: %v", got)
			}
			s.commit, s.mark.sync = commit, syncMark // the disk is well again; the store is not
			if _, err := s.Do(t.Context(), put{id: 3}); !errors.Is(err, ErrFailed) {
				t.Fatalf("after the failure: %v", err)
			}
			_ = s.Close()
			s, _ = openNotebook(t, dir)
			if got := contents(t, s); got[1] != 1 || len(got) > 2 {
				t.Errorf("after reopening: %v", got)
			}
		})
	}
}

// TestBatchLimits: 256 operations or 2 MiB, whichever comes first; what gathers while a
// batch is synced shares the next one.
func TestBatchLimits(t *testing.T) {
	s, m := openNotebook(t, t.TempDir())
	hold := make(chan struct{})
	held := make(chan struct{})
	var once sync.Once
	m.onApply = func(Env) { once.Do(func() { close(held); <-hold }) }
	var wg sync.WaitGroup
	submit := func(op Op) {
		wg.Add(1)
		s.Submit(op, func(_ any, err error) {
			if err != nil {
				t.Error(err)
			}
			wg.Done()
		})
	}
	submit(put{})
	<-held
	for range 600 {
		submit(put{size: 1})
	}
	for range 5 {
		submit(put{size: 900 << 10})
	}
	close(hold)
	wg.Wait()
	if got := fmt.Sprint(m.batches); got != "[1 256 256 90 2 1]" {
		t.Errorf("batches of %v operations", got)
	}
}

// TestOperationIsUndoneAsAWhole: an operation that hits an error leaves no trace, and its
// neighbours in the batch are not touched.
func TestOperationIsUndoneAsAWhole(t *testing.T) {
	s, _ := openNotebook(t, t.TempDir())
	do(t, s, put{id: 1})
	if _, err := s.Do(t.Context(), put{id: 2, fail: true}); !errors.Is(err, ErrReserved) {
		t.Fatalf("a write to the store's own keys: %v", err)
	}
	if n := do(t, s, put{id: 3}).(uint64); n != 2 {
		t.Errorf("the next operation got number %d, want 2", n)
	}
	if got := contents(t, s); !maps.Equal(got, map[uint64]uint64{1: 1, 2: 3}) {
		t.Errorf("contents %v", got)
	}
}

// TestLargeOperations: writes that do not fit the batch of others begin the next one; what
// fits no batch is refused.
func TestLargeOperations(t *testing.T) {
	s, _ := openNotebook(t, t.TempDir())
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		s.Submit(bulk{writes: 300, bytes: 4 << 10}, func(_ any, err error) {
			if err != nil {
				t.Error(err)
			}
			wg.Done()
		})
	}
	wg.Wait()
	for _, op := range []bulk{{writes: 4000, bytes: 1 << 10}, {writes: maxWrites + 1}, {writes: 1, bytes: 1 << 20}} {
		if _, err := s.Do(t.Context(), op); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%+v: %v, want ErrTooLarge", op, err)
		}
	}
	do(t, s, put{id: 1})
}

// TestR27_DiskFull: below the watermark only what gives space back is served; then the
// store recovers alone.
func TestR27_DiskFull(t *testing.T) {
	s, _ := openNotebook(t, t.TempDir())
	do(t, s, put{id: 1})
	free := s.free
	s.free = func() (uint64, error) { return 0, nil }
	if _, err := s.Do(t.Context(), put{id: 2}); !errors.Is(err, ErrFull) {
		t.Fatalf("on a full disk: %v", err)
	}
	do(t, s, drop{id: 1})
	if got := contents(t, s); len(got) != 0 {
		t.Errorf("after the drop: %v", got)
	}
	s.free = free
	do(t, s, put{id: 3})
}

// TestR27_NothingLeft: where others have filled the disk to the last block, what gives space back
// is refused as well, for it would have to be written first; reads go on.
func TestR27_NothingLeft(t *testing.T) {
	const watermark = 256 << 20
	left := uint64(watermark)
	s, _ := openNotebook(t, t.TempDir(), func(c *Config) { c.MinFree = watermark })
	s.free = func() (uint64, error) { return left, nil }
	do(t, s, put{id: 1})
	left = watermark - 1
	do(t, s, drop{id: 9})
	left = leastFree - 1
	if _, err := s.Do(t.Context(), drop{id: 1}); !errors.Is(err, ErrFull) {
		t.Fatalf("on a disk with nothing left: %v", err)
	}
	if got := contents(t, s); len(got) != 1 {
		t.Errorf("contents %v", got)
	}
	left = watermark
	do(t, s, drop{id: 1})
	do(t, s, put{id: 2})
}

func TestBatchEnvIsFixed(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	s, m := openNotebook(t, t.TempDir(), func(c *Config) { c.Clock = func() time.Time { return at } })
	seen := make(map[[16]byte]bool)
	last := uint64(0)
	m.onApply = func(e Env) {
		var r [16]byte
		e.Rand(r[:])
		if seen[r] || r == [16]byte{} {
			t.Error("randomness repeats")
		}
		seen[r] = true
		if !e.Now.Equal(at) || e.Batch <= last {
			t.Errorf("env of batch %d after %d at %v", e.Batch, last, e.Now)
		}
		last = e.Batch
	}
	for range 3 {
		do(t, s, put{})
	}
}

func TestLockedAndWrongKey(t *testing.T) {
	dir := t.TempDir()
	s, _ := openNotebook(t, dir)
	do(t, s, put{id: 1})
	if _, err := Open(Config{Dir: dir, Key: Key{1}, Machine: new(notebook)}); !errors.Is(err, ErrLocked) {
		t.Errorf("second opener: %v, want ErrLocked", err)
	}
	_ = s.Close()
	before := files(t, dir)
	if _, err := Open(Config{Dir: dir, Key: Key{2}, Machine: new(notebook)}); !errors.Is(err, ErrWrongKey) {
		t.Errorf("wrong key: %v, want ErrWrongKey", err)
	}
	if !maps.Equal(before, files(t, dir)) {
		t.Error("a wrong key changed the folder")
	}
	// Without a mark to tell, Badger's own record does.
	if err := os.Remove(filepath.Join(dir, "mark")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir, Key: Key{2}, Machine: new(notebook)}); !errors.Is(err, ErrWrongKey) {
		t.Errorf("wrong key, no mark: %v, want ErrWrongKey", err)
	}
}

// files reads a folder: path → content.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		out[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSecretsNeverPrint(t *testing.T) {
	k := Key{0xaa, 0xbb}
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%x %v %#v", k, &k, Config{Key: k})} {
		for _, leak := range []string{"aabb", "170", "0xaa"} {
			if strings.Contains(s, leak) {
				t.Errorf("a key prints as %q", s)
			}
		}
	}
}
