// Package groupstate keeps sealed chunks of group state, each under the hash of its bytes
// (../PROTOCOL.md section 4.7). It knows neither who put a chunk nor what is in it.
//
// Start with [Open]. Methods may be called concurrently; [Store.Put] returns after the chunk
// is on disk.
//
// Out of scope: who may put how much, which needs addresses and forgets at a restart.
package groupstate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/internal/calendar"
)

// keepDays is how long a chunk is kept from the day on which it was last put: as long as
// relays keep the COMMITs that name group states.
const keepDays = 90

// defaultMaxBytes bounds the store: putting is anonymous, so nothing else would (16 GiB).
const defaultMaxBytes = 16 << 30

// sweepEvery is how often chunks past their day are erased.
const sweepEvery = time.Hour

// Config says where a store lives. Dir and Key are required.
type Config struct {
	Dir      string    // a folder of its own
	Key      shard.Key // the storage key
	MaxBytes uint64    // bytes of all chunks together; 0 is 16 GiB
	Clock    func() time.Time
	Logger   *slog.Logger
	Restored bool           // Dir was put back from a backup; chunks cannot tell
	MinFree  uint64         // bytes; see shard.Config
	Metrics  *metrics.Store // as in shard.Config
}

// Store is an open store of chunks.
type Store struct {
	store *shard.Store
	clock func() time.Time
	log   *slog.Logger
	stop  context.CancelFunc
	done  sync.WaitGroup

	sweeping sync.Mutex
	swept    []byte // guarded by sweeping: the last record that was erased; where to look on
}

// Open opens or creates the store in cfg.Dir.
func Open(cfg Config) (*Store, error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	m := &machine{maxBytes: cfg.MaxBytes}
	store, err := shard.Open(shard.Config{
		Dir: cfg.Dir, Key: cfg.Key, Machine: m, Clock: cfg.Clock,
		Logger: cfg.Logger, Restored: cfg.Restored, MinFree: cfg.MinFree, Metrics: cfg.Metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("group state: %w", err)
	}
	m.name = store.Name
	ctx, stop := context.WithCancel(context.Background())
	s := &Store{store: store, clock: cfg.Clock, log: cfg.Logger, stop: stop}
	s.done.Go(func() { s.sweepForEver(ctx) })
	return s, nil
}

// Failed is closed when the store has failed and accepts nothing any more.
func (s *Store) Failed() <-chan struct{} { return s.store.Failed() }

// Short reports whether the disk has no room for anything new.
func (s *Store) Short() bool { return s.store.Short() }

// Close waits for what was accepted and closes the store.
func (s *Store) Close() error {
	s.stop()
	s.done.Wait()
	return s.store.Close()
}

// Put stores a chunk of 1 to keyserver.MaxChunk bytes. Putting it again starts its 90 days
// anew. A full store erases chunks of the oldest day for it, but none that was put today.
// keyserver.ErrUnavailable means that there are none, or that the store cannot write.
func (s *Store) Put(ctx context.Context, chunk []byte) (keyserver.ChunkHash, error) {
	hash := keyserver.HashChunk(chunk)
	if len(chunk) == 0 {
		return hash, keyserver.ErrInvalid
	}
	if len(chunk) > keyserver.MaxChunk {
		return hash, keyserver.ErrTooLarge
	}
	// A chunk that was put today costs the storing goroutine nothing: most of a group's
	// chunks come again with every epoch.
	if day, ok, err := s.lastPut(hash); err != nil {
		return hash, err
	} else if ok && day == calendar.Of(s.clock()) {
		return hash, nil
	}
	answer, err := s.store.Do(ctx, &putOp{hash: hash, chunk: chunk})
	if err != nil {
		return hash, unavailable(err)
	}
	if refusal, ok := answer.(*keyserver.Error); ok {
		return hash, refusal
	}
	return hash, nil
}

func (s *Store) lastPut(hash keyserver.ChunkHash) (day uint32, ok bool, err error) {
	verr := s.store.View(func(snap *shard.Snapshot) error {
		day, ok, err = readDay(snap, s.store.Name(kindDay, hash[:]))
		return err
	})
	if verr != nil {
		return 0, false, unavailable(verr)
	}
	return day, ok, nil
}

// Has tells whether the store holds the chunk with this hash, expired or not.
func (s *Store) Has(hash keyserver.ChunkHash) (bool, error) {
	_, ok, err := s.lastPut(hash)
	return ok, err
}

// Get returns the chunk with this hash, or keyserver.ErrNotFound.
func (s *Store) Get(hash keyserver.ChunkHash) ([]byte, error) {
	var chunk []byte
	err := s.store.View(func(snap *shard.Snapshot) error {
		day, ok, err := readDay(snap, s.store.Name(kindDay, hash[:]))
		if err != nil || !ok {
			return err
		}
		if today, err := calendar.Today(snap, dayKey, s.clock()); err != nil || day+keepDays < today {
			return err
		}
		chunk, _, err = snap.Get(s.store.Name(kindChunk, hash[:]))
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	if chunk == nil {
		return nil, keyserver.ErrNotFound
	}
	return chunk, nil
}

func (s *Store) sweepForEver(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("group state: expired chunks could not be erased", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Sweep moves the store's day by one if the clock is ahead, and erases what has expired by
// then. The store does so by itself every hour.
func (s *Store) Sweep(ctx context.Context) error {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	for first := true; ; first = false {
		answer, err := s.store.Do(ctx, sweepOp{first: first, from: s.swept})
		if err != nil {
			s.swept = nil // it may have been undone
			return unavailable(err)
		}
		// Where nothing was found the next sweep looks from the start, for what came in before.
		found, _ := answer.(sweepAnswer)
		if s.swept = found.last; found.count < sweepBatch {
			return nil
		}
	}
}

func unavailable(err error) error {
	return fmt.Errorf("%w: %w", keyserver.ErrUnavailable, err)
}

var errDay = errors.New("groupstate: a day is not 4 bytes")

func readDay(r shard.Reader, key []byte) (day uint32, ok bool, err error) {
	b, ok, err := r.Get(key)
	if err != nil || !ok {
		return 0, false, err
	}
	if len(b) != 4 {
		return 0, false, errDay
	}
	return binary.BigEndian.Uint32(b), true, nil
}
