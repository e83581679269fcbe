package groupstate

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver"
)

const day = 24 * time.Hour

// clock is a time that tests move. It is safe for concurrent use.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := s.Check(context.Background(), func(f shard.Finding) { t.Errorf("%s: %s", f.Where, f.What) })
		if err != nil && !errors.Is(err, shard.ErrClosed) {
			t.Error(err)
		}
		s.Close()
	})
	return s
}

func put(t *testing.T, s *Store, chunk []byte) keyserver.ChunkHash {
	t.Helper()
	hash, err := s.Put(t.Context(), chunk)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func sweep(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// pass lets days go by, with the sweeps of a server that runs.
func pass(t *testing.T, c *clock, s *Store, days int) {
	t.Helper()
	for range days {
		c.Add(day)
		sweep(t, s)
	}
}

// TestR24_ClockJump: a clock that jumps a year ahead and back expires nothing, and what was
// put meanwhile is there too.
func TestR24_ClockJump(t *testing.T) {
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	cfg := Config{Dir: t.TempDir(), Key: shard.Key{1}, Clock: c.Now, MinFree: 1}
	s := open(t, cfg)
	sweep(t, s)
	hashes := []keyserver.ChunkHash{put(t, s, []byte("before"))}
	for _, jump := range []time.Duration{365 * day, -365 * day} {
		c.Add(jump)
		for range 20 {
			sweep(t, s)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, cfg)
		hashes = append(hashes, put(t, s, []byte(jump.String())))
		for i, hash := range hashes {
			if _, err := s.Get(hash); err != nil {
				t.Errorf("after a jump of %v chunk %d: %v", jump, i, err)
			}
		}
	}
}

// TestPutAfterAHalt: a chunk that is put while the store's day catches up has its 90 days.
func TestPutAfterAHalt(t *testing.T) {
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	s := open(t, Config{Dir: t.TempDir(), Key: shard.Key{1}, Clock: c.Now, MinFree: 1})
	sweep(t, s)
	c.Add(60 * day)
	hash := put(t, s, []byte("chunk"))
	for range 60 {
		sweep(t, s)
	}
	pass(t, c, s, 90)
	if _, err := s.Get(hash); err != nil {
		t.Errorf("a chunk of 90 days: %v", err)
	}
}

func TestChunks(t *testing.T) {
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	cfg := Config{Dir: t.TempDir(), Key: shard.Key{1}, Clock: c.Now, MinFree: 1}
	s := open(t, cfg)
	full := bytes.Repeat([]byte{7}, keyserver.MaxChunk)
	one, two := put(t, s, full), put(t, s, []byte("two"))
	if again := put(t, s, full); again != one || one != keyserver.HashChunk(full) {
		t.Fatal("a chunk has another name")
	}
	if _, err := s.Put(t.Context(), append(full, 0)); !errors.Is(err, keyserver.ErrTooLarge) {
		t.Errorf("a chunk over the size: %v, want ErrTooLarge", err)
	}
	if _, err := s.Put(t.Context(), nil); !errors.Is(err, keyserver.ErrInvalid) {
		t.Errorf("an empty chunk: %v, want ErrInvalid", err)
	}
	if _, err := s.Get(keyserver.ChunkHash{}); !errors.Is(err, keyserver.ErrNotFound) {
		t.Errorf("an unknown chunk: %v, want ErrNotFound", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	for hash, want := range map[keyserver.ChunkHash][]byte{one: full, two: []byte("two")} {
		if got, err := s.Get(hash); err != nil || !bytes.Equal(got, want) {
			t.Errorf("a chunk did not survive a restart: %v", err)
		}
	}
}

func TestChunksExpire(t *testing.T) {
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	s := open(t, Config{Dir: t.TempDir(), Key: shard.Key{1}, Clock: c.Now, MinFree: 1, MaxBytes: 10})
	old, kept := put(t, s, []byte("old")), put(t, s, []byte("kept"))
	if _, err := s.Put(t.Context(), []byte("four")); !errors.Is(err, keyserver.ErrUnavailable) {
		t.Fatalf("over the store's size: %v, want ErrUnavailable", err)
	}
	pass(t, c, s, 50)
	put(t, s, []byte("kept"))
	pass(t, c, s, 40)
	if _, err := s.Get(old); err != nil {
		t.Fatalf("a chunk of 90 days: %v", err)
	}
	pass(t, c, s, 1)
	if _, err := s.Get(old); !errors.Is(err, keyserver.ErrNotFound) {
		t.Fatalf("an expired chunk: %v, want ErrNotFound", err)
	}
	if _, err := s.Get(kept); err != nil {
		t.Fatalf("a chunk that was put again: %v", err)
	}
	put(t, s, []byte("four")) // there is room again
	pass(t, c, s, 91)
	for range 2 {
		put(t, s, []byte("0123456789")) // all of it, and counted once
		c.Add(day)
	}
}

// TestB12_FullStore: who fills the store keeps nobody out after that day: the chunks that were
// put longest ago make room, and those of today stay.
func TestB12_FullStore(t *testing.T) {
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	s := open(t, Config{Dir: t.TempDir(), Key: shard.Key{1}, Clock: c.Now, MinFree: 1, MaxBytes: 100})
	flood := make([]keyserver.ChunkHash, 100)
	for i := range flood {
		flood[i] = put(t, s, []byte{byte(i)})
	}
	if _, err := s.Put(t.Context(), []byte("no")); !errors.Is(err, keyserver.ErrUnavailable) {
		t.Fatalf("over the store's size on one day: %v, want ErrUnavailable", err)
	}
	c.Add(day)
	sweep(t, s)
	mine := put(t, s, []byte("0123456789"))
	left := 0
	for _, hash := range flood {
		if _, err := s.Get(hash); err == nil {
			left++
		}
	}
	if left != 90 {
		t.Errorf("%d chunks are left, want 90: no more goes than has to", left)
	}
	// More than one put may erase: it is told to come again, and then there is room.
	large := bytes.Repeat([]byte{1}, 90)
	if _, err := s.Put(t.Context(), large); !errors.Is(err, keyserver.ErrUnavailable) {
		t.Fatalf("a chunk in place of 90: %v, want ErrUnavailable at first", err)
	}
	put(t, s, large)
	if _, err := s.Get(mine); err != nil {
		t.Errorf("a chunk of today: %v", err)
	}
	if _, err := s.Put(t.Context(), []byte{0}); !errors.Is(err, keyserver.ErrUnavailable) {
		t.Fatalf("in place of today's: %v, want ErrUnavailable", err)
	}
}
