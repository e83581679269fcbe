package queue

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/crashpoint"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay/internal/blob"
)

// sweeper walks all queues every hour and at the start, through the log like everything
// else. It owns one goroutine.
type sweeper struct {
	shard   *shard.Store
	machine *machine
	files   *blob.Store // nil: none
	log     *slog.Logger
	cancel  context.CancelFunc
	done    sync.WaitGroup
	one     sync.Mutex // held by a sweep: two would share what the machine sums up
}

func startSweeper(s *shard.Store, m *machine, cfg *Config, log *slog.Logger) *sweeper {
	ctx, cancel := context.WithCancel(context.Background())
	w := &sweeper{shard: s, machine: m, files: cfg.Blobs, log: log, cancel: cancel}
	if cfg.byHand {
		return w
	}
	w.done.Go(func() {
		tick := time.NewTicker(sweepEvery)
		defer tick.Stop()
		for {
			if err := w.all(ctx); err != nil && ctx.Err() == nil {
				log.Error("sweeping the queues", "error", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return w
}

func (w *sweeper) stop() {
	w.cancel()
	w.done.Wait()
}

// see notes that who is attached is seen: a reader may stay for months with nothing to ack.
// An ack of nothing is written only if the store's day has moved since the last one.
func (w *sweeper) see() {
	store(w.shard, w.machine.readers.attached())
}

// all sweeps once over everything, one bounded operation after the other: the queues, the
// records of blobs, and then their files.
func (w *sweeper) all(ctx context.Context) error {
	w.one.Lock()
	defer w.one.Unlock()
	w.see()
	if w.machine.wakes != nil {
		w.machine.wakes.forget()
	}
	return errors.Join(w.queues(ctx), w.blobs(ctx), w.blobFiles(ctx))
}

func (w *sweeper) queues(ctx context.Context) error {
	op := sweepOp{first: true}
	var unreadable error
	for {
		next, err := w.shard.Do(ctx, op)
		if (errors.Is(err, shard.ErrCorrupt) || errors.Is(err, shard.ErrTooLarge)) && op.from != nil && !op.skip {
			if op.alone || errors.Is(err, shard.ErrCorrupt) {
				unreadable = err
			}
			op.alone, op.skip = true, op.alone
			continue
		}
		if err != nil {
			return err
		}
		var more bool
		if op, more = next.(sweepOp), op.more(next.(sweepOp)); !more {
			return unreadable
		}
	}
}

// sweepOp is one step of a sweep: from the queue with this header key on. The answer is
// the next step.
type sweepOp struct {
	first bool   // moves the day, and forgets old answers until all are gone
	from  []byte // nil with first: nothing swept yet; nil in an answer: done

	// A queue that cannot be read fails the step that it is in, and so do queues that have more to
	// write together than a batch has room for. The step is taken again with its first queue
	// alone, and if that is the one, without it.
	alone, skip bool
}

func (sweepOp) more(next sweepOp) bool { return next.first || next.from != nil }

// Size implements [shard.Op].
func (sweepOp) Size() int { return 1 << 10 }

// Releases implements [shard.Releaser].
func (sweepOp) Releases() bool { return true }

func (m *machine) sweep(tx *shard.Tx, env shard.Env, t meta, op sweepOp) sweepOp {
	crashpoint.At(crashpoint.Sweeping)
	if op.first {
		if op.from == nil {
			t = m.tick(tx, env, t)
		}
		if m.forget(tx, t.Period) {
			return sweepOp{first: true, from: []byte{kindHeader}}
		}
		m.backlog.begin()
		return sweepOp{from: []byte{kindHeader}}
	}
	next := sweepOp{}
	var names [][]byte
	most := sweepQueues
	if op.alone {
		most = 1
	}
	_ = tx.Keys([]byte{kindHeader}, op.from, func(key []byte) bool {
		if len(names) == most {
			next.from = key
			return false
		}
		names = append(names, bytes.Clone(key[1:]))
		return true
	})
	if op.skip {
		if next.from == nil {
			m.backlog.end()
		}
		return next
	}
	walked := 0
	for i, name := range names {
		b, ok, err := openBooks(tx, m.namer, name)
		if err != nil || !ok {
			continue
		}
		w := &work{books: b, m: m, tx: tx, now: env.Now, day: t.Day}
		if w.sweep() {
			// A bound ended it: the rest of this queue and the others are the next step's.
			return sweepOp{from: append([]byte{kindHeader}, names[i]...)}
		}
		m.backlog.met(name, b.header.Bytes)
		if walked += w.walked; walked >= ackBytes && i+1 < len(names) {
			return sweepOp{from: append([]byte{kindHeader}, names[i+1]...)}
		}
	}
	if next.from == nil {
		m.backlog.end()
	}
	return next
}

// tick moves the store's time.
func (m *machine) tick(tx *shard.Tx, env shard.Env, t meta) meta {
	wall := dayOf(env.Now)
	moved := t
	if wall > t.Day {
		moved.Day++
	}
	if wall != t.Wall {
		moved.Wall, moved.Period = wall, t.Period+1
	}
	if moved == t {
		return t
	}
	return m.setClock(tx, moved)
}

// sweep expires what is old in one queue; more tells that there is more of it. The queue is
// not moved to a new incarnation, since its id is not known here: what goes away is all of
// the incarnation in the header.
func (w *work) sweep() (more bool) {
	h := &w.header
	if h.State == stateGone {
		return w.eraseRecords()
	}
	closed := h.State == stateClosed || h.State == stateSuspended && h.ClosedDay > 0
	if closed && h.ClosedDay+closedDays < w.day {
		w.gone()
		return w.eraseRecords()
	}
	before, _, _ := w.tx.Get(w.key(kindHeader))
	unseen := false
	if h.State != stateSuspended { // nobody can be seen
		unseen = w.sweepReaders()
	}
	w.dropRemoved()
	if a, err := w.authority(); err == nil {
		if n := len(a.Recent); n > 0 {
			if a.trimRecent(w.day); len(a.Recent) != n {
				w.saveAuthority()
			}
		}
	}
	acked := w.eraseAcked()
	expired := w.eraseExpired()
	if after, err := wire.Marshal(h); err == nil && !bytes.Equal(before, after) {
		_ = w.tx.Set(w.key(kindHeader), after)
		w.countBacklog()
		w.m.touch(w.name)
	}
	return unseen || acked || expired
}

// sweepReaders ends tickets that nobody redeemed and readers that nobody saw, and forgets
// removed ones, at most sweepReaders of them; more tells that there are others.
func (w *work) sweepReaders() (more bool) {
	type found struct {
		key []byte
		reader
	}
	var old []found
	_ = w.everyReader(func(key []byte, p reader) {
		days := uint32(unseenDays)
		switch p.State {
		case readerTicket:
			days = ticketDays
		case readerRemoved:
			days = removedDays
		}
		switch {
		case p.Day+days >= w.day:
		case len(old) == sweepReaders:
			more = true
		default:
			old = append(old, found{key, p})
		}
	})
	if len(old) == 0 {
		return false
	}
	a, err := w.authority()
	if err != nil {
		return false
	}
	for _, f := range old {
		if f.State != readerRemoved {
			a.Readers -= min(1, a.Readers)
		}
		if f.State == readerActive {
			w.set(f.key, &reader{State: readerRemoved, Start: f.Start, Acked: f.Acked, Day: w.day, End: new(w.header.head())})
			continue
		}
		w.dropReader(f.key)
	}
	w.readersChanged()
	w.saveAuthority()
	w.m.touch(w.name)
	return more
}

// eraseRecords erases what is left of a queue that is gone, and in the end its name.
func (w *work) eraseRecords() (more bool) {
	n := 0
	for _, kind := range []byte{kindAuthority, kindReader, kindWriter, kindEntry, kindGap} {
		_ = w.tx.Keys(w.key(kind), nil, func(key []byte) bool {
			if n >= eraseRecords {
				return false
			}
			_ = w.tx.Delete(key)
			n++
			return true
		})
	}
	if n == 0 && w.header.ClosedDay+goneDays < w.day {
		_ = w.tx.Delete(w.key(kindHeader))
	}
	return n >= eraseRecords
}
