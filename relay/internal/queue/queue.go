// Package queue is the relay's only noun: durable, ordered logs of sealed envelopes, and the
// rules of who may write, read, configure and erase them (relay/PROTOCOL.md).
//
// Start with [Open], [Store.Submit] and [Store.Attach]. Mutations run one after the other
// in a deterministic state machine on internal/shard, and their answers go out when they are
// on disk. Reading never touches that machine: an [Attachment] reads snapshots.
//
// The caller (relay/relayserver) has verified signatures and session proofs before anything
// gets here; this package decides what a key may do at the moment its operation is applied.
// Whoever has no place in a queue hears UNKNOWN, the same as for a queue that does not exist.
//
// What is stored: for each queue a header, its authority (admin keys and limits), and one
// record for each reader, contact writer, entry and gap; keys of records are HMACs, values
// are sealed, times are day numbers. No record holds a queue's id, names two queues, or says
// who wrote a message.
//
// Blobs have their records here, so that a COMMIT pins them in the step that stores it; their
// bytes are files of relay/internal/blob. Signals pass from [Attachment.Signal] to whoever else
// is attached, and are stored nowhere.
//
// Out of scope: sessions, proofs, network limits and CREATE limits (relayserver).
package queue

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/blob"
)

// Config says where the queues live. Dir, StorageKey and RelayKey are required.
type Config struct {
	Dir        string           // folder of the store alone
	StorageKey shard.Key        // seals values and derives record names
	RelayKey   relay.RelayKey   // the public Noise key, part of every chain's start
	Limits     Limits           // zero fields take the defaults
	Clock      func() time.Time // time.Now when nil
	Logger     *slog.Logger     // gets no id, key or address
	MinFree    uint64           // bytes, as in shard.Config
	Restored   bool             // as in shard.Config
	Metrics    *metrics.Store   // as in shard.Config
	Blobs      *blob.Store      // the blobs' files, which sweeps compare with the records; nil: none
	Waker      Waker            // hears of readers that are not attached; nil: nobody does

	byHand bool // in tests: nothing is swept by itself
}

// Authority is what the session has proven besides the key that the mutation names.
type Authority struct {
	Reader bool // an APPEND's reader key was proven for reading in this session and queue
}

// Answer is what a mutation ends in: a position and no error, or a refusal.
type Answer struct {
	Position relay.Position
	Err      *relay.Refusal
}

// A Flow is a session's place in the order of turns: one session with a thousand mutations on
// their way holds up nobody else's. The zero Flow is ready for use, with one Store.
type Flow = shard.Flow

// A Store holds all queues of one relay. All methods are safe for concurrent use.
type Store struct {
	shard   *shard.Store
	machine *machine
	acks    *acks
	sweeps  *sweeper
	wakes   *wakes // nil without a Waker
	read    *reading
	clock   func() time.Time
	log     *slog.Logger
	own     Flow // of whoever names no other
}

// Open opens the queues in cfg.Dir, or an empty folder. Errors are those of [shard.Open].
func Open(cfg Config) (*Store, error) {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m := &machine{relayKey: cfg.RelayKey, limits: cfg.Limits.withDefaults(), readers: newReaders(), rates: newRates()}
	s, err := openShard(shard.Config{
		Dir: cfg.Dir, Key: cfg.StorageKey, Machine: m, Clock: cfg.Clock, Logger: log,
		MinFree: cfg.MinFree, Restored: cfg.Restored, Metrics: cfg.Metrics,
	})
	if err != nil {
		return nil, err
	}
	m.namer = s
	q := &Store{shard: s, machine: m, clock: cfg.Clock, log: log, read: &reading{shard: s, relayKey: cfg.RelayKey}}
	if q.clock == nil {
		q.clock = time.Now
	}
	q.acks = newAcks(s)
	if cfg.Waker != nil {
		q.wakes = startWakes(s, m.readers, cfg.Waker, log)
		m.wakes = q.wakes
	}
	q.sweeps = startSweeper(s, m, &cfg, log)
	return q, nil
}

// Submit applies m once and calls done with its answer after the answer is on disk. The
// caller has verified m's signatures, or for APPEND the session's proof for its writer key;
// m and what it holds stay unchanged until done is called. A retry (same queue, key and
// idempotency id) gets the first answer again. Submit blocks only while the store's bounded
// queue is full; done runs on another goroutine, or on the caller's when m is malformed or the
// store is closed, and must not block.
func (s *Store) Submit(m relay.Mutation, a Authority, done func(Answer)) {
	s.SubmitFrom(&s.own, m, a, done)
}

// SubmitFrom is Submit for one of many sessions, which take turns: f is its own. It blocks
// only while the store's bounded queue is full and something of f waits in it.
func (s *Store) SubmitFrom(f *Flow, m relay.Mutation, a Authority, done func(Answer)) {
	if err := m.Check(); err != nil {
		done(Answer{Err: relay.AsRefusal(err)})
		return
	}
	s.shard.SubmitFrom(f, s.newMutation(m, a), func(answer any, err error) {
		if err != nil {
			done(Answer{Err: refusalFor(err)})
			return
		}
		done(answer.(Answer))
	})
}

// refusalFor tells a client what a failure of storage means for it: nothing was accepted,
// try again.
func refusalFor(err error) *relay.Refusal {
	switch {
	case errors.Is(err, shard.ErrClosed):
		return &relay.Refusal{Code: relay.CodeDraining}
	case errors.Is(err, shard.ErrFull):
		return &relay.Refusal{Code: relay.CodeBusy, RetryAfter: busyRetry}
	}
	return relay.AsRefusal(err)
}

// Ack notes that reader has stored everything in q up to seq. It is cumulative and written
// within about a second; losing it only repeats deliveries. The caller has proven reader.
func (s *Store) Ack(q relay.QueueID, reader relay.PublicKey, seq uint64) {
	s.acks.add(q, reader, seq)
}

// Sweep erases what has expired, as it happens every hour by itself, and returns when all
// of it is gone. An error says that queues which cannot be read were left out, or that the
// store is closed or has failed.
func (s *Store) Sweep(ctx context.Context) error { return s.sweeps.all(ctx) }

// Failed is closed when the store has failed and accepts nothing any more.
func (s *Store) Failed() <-chan struct{} { return s.shard.Failed() }

// Incarnation names the life of the store; it is fixed while the store is open.
func (s *Store) Incarnation() relay.Incarnation { return s.shard.Incarnation() }

// Syncs returns how often the store has waited for the disk, as in [shard.Store.Syncs].
func (s *Store) Syncs() uint64 { return s.shard.Syncs() }

// Erased returns how many entries were erased since Open, in batches that are on disk. What an
// operation erased that failed later, as on a damaged record, is counted with them.
func (s *Store) Erased() uint64 { return s.machine.erased.Load() }

// Close writes the last acks, answers what was submitted and closes the store. Attachments
// end with nothing more to read.
func (s *Store) Close() error {
	s.sweeps.stop()
	s.acks.stop()
	s.StopWaking()
	return s.shard.Close()
}

// machine is the state machine behind [shard.Machine]. Only the storing goroutine uses it,
// but for readers and wakes, which have locks of their own. What it remembers beside the state (rates,
// who is attached) is forgotten at a restart.
type machine struct {
	namer     namer
	relayKey  relay.RelayKey
	limits    Limits
	readers   *readers
	wakes     *wakes // nil without a Waker
	rates     *rates
	time      meta          // as of batch timeBatch
	timeBatch uint64        // 0: not read yet
	today     atomic.Uint32 // the store's day, for attachments; 0: not known yet
	past      past
	noted     noted
	touched   map[string]bool // names of queues that this batch changed; true: there is a new entry
	armed     []sleeper       // readers whose wake handle this batch set
	stopped   []string        // names of queues that this batch suspended
	refused   map[string]full // by queue name: what a quota refused last
	walks     int             // searches for room over quota
	erasing   uint64          // entries that this batch erases
	ackWalked int             // bytes of envelopes that acks of this batch read to erase them
	erased    atomic.Uint64   // what Erased returns
	backlog   backlog
	glances   map[*byte]*authority // decoded records, by where they are
	tails     tails
	gains     map[string]*gains // of this batch, by queue name
	below     map[string]*gains // of the batch before, which may be being stored
}

// namer derives record names; the shard's store.
type namer interface {
	Name(kind byte, ids ...[]byte) []byte
}

var _ shard.Committer = (*machine)(nil)

// Apply implements [shard.Machine].
func (m *machine) Apply(tx *shard.Tx, env shard.Env, op shard.Op) any {
	t := m.clock(tx, env)
	switch op := op.(type) {
	case *mutation:
		return m.mutate(tx, env, t, op)
	case ackOp:
		return m.ack(tx, env, t, op)
	case sweepOp:
		return m.sweep(tx, env, t, op)
	case *blobOp:
		return m.blobs(tx, env, t, op)
	case blobSweepOp:
		return m.sweepBlobs(tx, t, op)
	case suspendOp:
		return m.suspend(tx, env, t, op)
	}
	return nil
}

// Applied implements [shard.Committer]: attached readers learn of a batch when it is on disk
// and visible, and so does whoever wakes the others.
func (m *machine) Applied() (committed func()) {
	touched, armed, stopped, erasing, gained := m.touched, m.armed, m.stopped, m.erasing, m.gains
	m.below, m.gains = m.gains, nil
	m.touched, m.armed, m.stopped, m.erasing, m.ackWalked = nil, nil, nil, 0, 0
	return func() {
		m.erased.Add(erasing)
		for _, name := range stopped {
			for _, a := range m.readers.of(name) {
				a.end(relay.DetachSuspended)
			}
		}
		for name, g := range gained {
			m.tails.publish(name, g)
		}
		for name := range touched {
			m.readers.wake(name)
		}
		if m.wakes != nil {
			m.wakes.stored(touched, armed)
		}
	}
}

func (m *machine) touch(name []byte) {
	if _, known := m.touched[string(name)]; !known {
		m.touches(name, false)
	}
}

func (m *machine) touches(name []byte, entry bool) {
	if m.touched == nil {
		m.touched = make(map[string]bool)
	}
	m.touched[string(name)] = entry
}
