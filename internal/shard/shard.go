// Package shard stores the state of one deterministic [Machine] so that an answer given is
// an answer kept: one goroutine applies operations in log order, a batch of them shares one
// synced storage write, and nobody hears of an operation before its batch is on disk.
//
// Start with [Open] and [Store.Submit]. A batch has no fixed delay: it holds whatever
// gathered while the batch before it was being synced, up to 256 operations or 2 MiB. The
// order is always the same: Badger committed and synced, then the high-water mark written
// and synced, then readers ([Store.View]) see the batch, then the answers. Under load the
// next batch is applied meanwhile, in memory; if the one below it fails, so does it.
//
// The mark is a small file beside Badger and the store's own evidence. Badger drops what
// follows a damaged record of its write-ahead log without a word; the mark, and a ring of
// batch records inside Badger, tell at the next start that something is missing. The store
// then begins a new incarnation whose numbers start above everything that was ever answered
// ([Reader.Floor]), and the machine tells its clients what may be lost.
//
// Keys that a machine derives with [Store.Name] are HMACs, and every value is sealed below
// [Tx], so a disk without its storage key shows sizes and counts only.
//
// Out of scope: replication, and noticing that the whole folder, mark included, was put
// back from an old copy (the operator says so with [Config.Restored]; clients see it as a
// position beyond the head).
package shard

import (
	"context"
	"log/slog"
	"time"

	"github.com/sealpost/sealpost/internal/metrics"
)

// A Machine is a deterministic state machine. Apply reads and writes only through tx and
// takes time and randomness only from env, so that the same log gives the same state
// anywhere. It is called on the storing goroutine alone, in log order, and must not block
// or start work that outlives it. Memory of its own may only hold what a restart may forget.
//
// An operation whose reads or writes failed in tx is undone as a whole, and its submitter
// gets the error in place of the answer; Apply need not check errors for that reason.
type Machine interface {
	Apply(tx *Tx, env Env, op Op) (answer any)
}

// A Committer is a Machine that wants to know when a batch is durable and visible. Applied is
// called on the storing goroutine after the last operation of a batch; what it returns is
// called once, on another goroutine, after both syncs and before the answers. By then the next
// batch may be being applied. If the batch fails it is never called.
type Committer interface {
	Machine
	Applied() (committed func())
}

// An Op is one operation. Size is about what it adds to a batch, in bytes.
type Op interface{ Size() int }

// A Releaser is an Op that gives space back, or needs next to none: it is still served when
// the disk is nearly full.
type Releaser interface {
	Op
	Releases() bool
}

// Env is what a batch's owner fixed for every operation of the batch.
type Env struct {
	Now   time.Time      // wall clock when the batch was closed; it may step back between batches
	Batch uint64         // number of the batch, rising, never used twice
	Rand  func(p []byte) // fills p from the batch's own seed
}

// A Key is the storage key. Everything that reads or writes a store needs it. It never
// prints.
type Key [32]byte

// Config says where a store lives and what it runs. Dir, Key and Machine are required.
type Config struct {
	Dir     string           // folder of the store alone; created with mode 0700
	Key     Key              // storage key; another than the store's own ends in ErrWrongKey
	Machine Machine          // not called before Open returns
	Clock   func() time.Time // time.Now when nil
	Logger  *slog.Logger     // discards when nil; never gets a key, value or id

	Metrics *metrics.Store // counts for nobody when nil

	// MinFree is the free space in bytes below which only a Releaser is served and all
	// else ends in ErrFull; 0 means 256 MiB. Badger maps its files, so a disk that fills
	// up entirely kills the process with SIGBUS; below a quarter of MinFree (at most 64 MiB)
	// nothing is written at all, whatever it releases.
	MinFree uint64

	// Restored says that the folder was put back from a backup, which no file in it can
	// show: the store begins a new incarnation.
	Restored bool
}

// A Reader reads a state: the committed one in a [Snapshot], the one so far in a [Tx].
// Returned slices belong to the store and stay valid; callers do not write to them.
type Reader interface {
	// Get returns the value of key and whether there is one.
	Get(key []byte) (value []byte, ok bool, err error)
	// Scan calls fn in key order for every key with the prefix, from the key `from` on
	// (nil: from the first), until fn returns false.
	Scan(prefix, from []byte, fn func(key, value []byte) bool) error
	// Keys is Scan without the cost of opening values.
	Keys(prefix, from []byte, fn func(key []byte) bool) error
	// Incarnation is the name of the store's present life.
	Incarnation() [16]byte
	// Floor is the number above which the present incarnation counts: not below anything
	// that was answered in an earlier one, and 0 in the first.
	Floor() uint64
	// Incarnations lists all lives of the store, the present one last.
	Incarnations() []Incarnation
}

// An Incarnation is one life of a store.
type Incarnation struct {
	ID    [16]byte
	Floor uint64 // numbers of this life are above it
	Since uint64 // its first batch; 0 for a life known only from the mark file
}

// Submit hands op to the storing goroutine and returns; it blocks only while the bounded
// queue is full. done is called exactly once: with the answer after both syncs, or with
// ErrClosed, ErrFailed, ErrFull, ErrTooLarge or ErrCorrupt. An operation that got an error
// other than ErrFailed left no trace; one that got ErrFailed may or may not be on disk,
// which only the next start tells. done runs on a goroutine of the store (on the caller's own
// when the store is closed already), so it must not block nor call Submit itself. Safe for
// concurrent use; operations of one goroutine keep their order. Where others use SubmitFrom, these
// are the store's own: up to a quarter of each batch is theirs first, however many flows there are.
func (s *Store) Submit(op Op, done func(answer any, err error)) {
	s.SubmitFrom(&s.queue.own, op, done)
}

// SubmitFrom is [Store.Submit] for one of many submitters, who take turns: f is its own. It
// blocks only while the bounded queue is full and something of f waits in it.
func (s *Store) SubmitFrom(f *Flow, op Op, done func(answer any, err error)) {
	if err := s.queue.put(f, item{op: op, done: done}); err != nil {
		done(nil, err)
	}
}

// Do is [Store.Submit] for a caller that waits, or [Store.SubmitFrom] if ctx names a submitter
// ([WithSubmitter]). When ctx ends first the operation still takes place.
func (s *Store) Do(ctx context.Context, op Op) (any, error) {
	type result struct {
		answer any
		err    error
	}
	c := make(chan result, 1)
	flow, release := &s.queue.own, func() {}
	if name, ok := Submitter(ctx); ok {
		flow, release = s.flows.take(name)
	}
	s.SubmitFrom(flow, op, func(answer any, err error) {
		release()
		c <- result{answer, err}
	})
	select {
	case r := <-c:
		return r.answer, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// View calls fn with the state as of the last batch that was answered. It runs concurrently
// with everything; the snapshot ends when fn returns.
func (s *Store) View(fn func(*Snapshot) error) error {
	if !s.enter() {
		return ErrClosed
	}
	defer s.users.Done()
	return s.view(fn)
}

// Failed is closed when a write or sync has failed: from then on every operation ends in
// ErrFailed, and only opening the store again helps.
func (s *Store) Failed() <-chan struct{} { return s.broken }

// Short reports whether the disk has less room than [Config.MinFree] now. It asks the disk
// itself, and not what the last batch saw: while nobody writes there is none.
func (s *Store) Short() bool {
	free, err := s.free()
	return err == nil && free < s.minFree
}

// Incarnation returns the name of the store's present life; it is fixed while it is open.
func (s *Store) Incarnation() [16]byte { return s.lives[len(s.lives)-1].ID }

// Floor returns the number above which the present incarnation counts.
func (s *Store) Floor() uint64 { return s.lives[len(s.lives)-1].Floor }
