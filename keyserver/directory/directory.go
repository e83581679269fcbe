// Package directory keeps the key server's accounts and KeyPackage pools in a shard.Store
// (../PROTOCOL.md sections 2 and 4.1 to 4.6).
//
// Start with [Open]. Every method may be called concurrently, returns after its change is on
// disk, and may be repeated with the same arguments after any error: the outcome is that of
// one call. Refusals are *keyserver.Error values, or keyserver.ErrChain and ErrPackage for
// what does not verify; keyserver.ErrUnavailable means that nothing is known of the outcome.
//
// What is expensive, signatures above all, is checked by the caller's goroutine against a
// snapshot; the state machine then compares what can have changed meanwhile.
//
// Out of scope: who may ask how often, which needs addresses and forgets at a restart.
package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver"
)

// Config says where a directory lives. Dir and Key are required.
type Config struct {
	Dir    string    // a folder of its own
	Key    shard.Key // the storage key
	Clock  func() time.Time
	Logger *slog.Logger
	// Restored says that Dir was put back from a backup: the store gets a new incarnation
	// and all one-time packages in it are dropped (ATTACKS A14).
	Restored bool
	MinFree  uint64         // bytes; see shard.Config
	Metrics  *metrics.Store // as in shard.Config
}

// Directory is an open directory.
type Directory struct {
	store *shard.Store
	clock func() time.Time
	log   *slog.Logger
	stop  context.CancelFunc
	done  sync.WaitGroup

	sweeping sync.Mutex
	swept    []byte // guarded by sweeping: the last record that was erased; where to look on
}

// sweepEvery is how often records past their day are erased. They are dead for every reader
// before; a day's worth waits at most.
const sweepEvery = time.Hour

// Open opens or creates the directory in cfg.Dir.
func Open(cfg Config) (*Directory, error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := new(machine)
	store, err := shard.Open(shard.Config{
		Dir: cfg.Dir, Key: cfg.Key, Machine: m, Clock: cfg.Clock,
		Logger: cfg.Logger, Restored: cfg.Restored, MinFree: cfg.MinFree, Metrics: cfg.Metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("key directory: %w", err)
	}
	m.name = store.Name
	ctx, stop := context.WithCancel(context.Background())
	d := &Directory{store: store, clock: cfg.Clock, log: cfg.Logger, stop: stop}
	d.done.Go(func() { d.sweepForEver(ctx) })
	return d, nil
}

// Failed is closed when the store has failed and accepts nothing any more.
func (d *Directory) Failed() <-chan struct{} { return d.store.Failed() }

// Short reports whether the disk has no room for anything new.
func (d *Directory) Short() bool { return d.store.Short() }

// Close waits for what was accepted and closes the store.
func (d *Directory) Close() error {
	d.stop()
	d.done.Wait()
	return d.store.Close()
}

// Incarnation is the store's: it changes when a loss is found.
func (d *Directory) Incarnation() [16]byte { return d.store.Incarnation() }

func (d *Directory) sweepForEver(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := d.Sweep(ctx); err != nil && ctx.Err() == nil {
			d.log.Warn("key directory: expired records could not be erased", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Sweep moves the store's day by one if the clock is ahead, and erases what has expired by
// then. The directory does so by itself every hour.
func (d *Directory) Sweep(ctx context.Context) error {
	d.sweeping.Lock()
	defer d.sweeping.Unlock()
	for first := true; ; first = false {
		answer, err := d.do(ctx, sweepOp{first: first, from: d.swept})
		if err != nil {
			d.swept = nil // it may have been undone
			return err
		}
		// Where nothing was found the next sweep looks from the start, for what came in before.
		found, _ := answer.(sweepAnswer)
		if d.swept = found.last; found.count < sweepBatch {
			return nil
		}
	}
}

// do runs one operation. A refusal is the machine's answer; all other errors are the store's.
func (d *Directory) do(ctx context.Context, op shard.Op) (any, error) {
	answer, err := d.store.Do(ctx, op)
	if err != nil {
		return nil, unavailable(err)
	}
	if refusal, ok := answer.(*keyserver.Error); ok {
		return nil, refusal
	}
	return answer, nil
}

// unavailable classes what the store says: only a full disk is worth telling apart from a
// dead store, and for the client even that is the same.
func unavailable(err error) error {
	if errors.Is(err, shard.ErrTooLarge) {
		return fmt.Errorf("%w: %w", keyserver.ErrTooLarge, err)
	}
	return fmt.Errorf("%w: %w", keyserver.ErrUnavailable, err)
}

// Lookup finds an account by the handle, or by the account id when the handle is empty.
func (d *Directory) Lookup(q *keyserver.LookupRequest) (*keyserver.LookupReply, error) {
	var found *keyserver.LookupReply
	err := d.store.View(func(s *shard.Snapshot) error {
		n := names(d.store.Name)
		id := q.Account
		if q.Handle != "" {
			value, ok, err := s.Get(n.handle(q.Handle))
			if err != nil || !ok {
				return err
			}
			id = keyserver.AccountID(value)
		}
		rec, err := load[accountRecord](s, n.account(id))
		if err == nil && rec != nil {
			found = &keyserver.LookupReply{Account: id, Handle: rec.handle, Entries: rec.entries}
		}
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	if found == nil {
		return nil, keyserver.ErrNotFound
	}
	return found, nil
}

// Register creates an account.
func (d *Directory) Register(ctx context.Context, q *keyserver.RegisterRequest) (keyserver.AccountID, error) {
	a, err := q.Verify()
	if err != nil {
		return keyserver.AccountID{}, err
	}
	if _, err := d.do(ctx, &registerOp{account: a.ID, handle: q.Handle, root: q.Root, devices: devicesOf(a)}); err != nil {
		return keyserver.AccountID{}, err
	}
	return a.ID, nil
}

// Append adds an entry to a chain and returns the hash of the chain's newest entry.
func (d *Directory) Append(ctx context.Context, q *keyserver.AppendRequest) (head [32]byte, err error) {
	found, err := d.Lookup(&keyserver.LookupRequest{Account: q.Account})
	if err != nil {
		return head, err
	}
	last := keyserver.EntryHash(found.Entries[len(found.Entries)-1])
	if holds(found.Entries, q.Entry) {
		return last, nil
	}
	// The chain below is fixed by the hash of its last entry, which the machine compares: what
	// verifies here verifies there.
	a, err := keyserver.CheckNext(found.Entries, q.Entry)
	if err != nil {
		return head, err
	}
	answer, err := d.do(ctx, &appendOp{account: a.ID, after: last, entry: q.Entry, devices: devicesOf(a)})
	if err != nil {
		return head, err
	}
	return answer.([32]byte), nil
}

func holds(entries [][]byte, entry []byte) bool {
	return slices.ContainsFunc(entries, func(b []byte) bool { return slices.Equal(b, entry) })
}
