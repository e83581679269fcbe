package shard

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/chacha20"

	"github.com/sealpost/sealpost/internal/crashpoint"
	"github.com/sealpost/sealpost/internal/wire"
)

// answer is what one operation of a batch ends in.
type answer struct {
	value any
	err   error
}

// staged is a batch that is applied and not on disk yet.
type staged struct {
	tx        *Tx
	batch     []item        // what was applied
	answers   []answer      // of the same length
	committed func()        // nil, or what the machine does once it is durable and visible
	stored    chan struct{} // closed when everybody was told
}

// run is the storing goroutine: it ends when the queue is closed and drained. While a batch
// is written and synced, the next one is applied on top of it if a full one waits; nothing of
// that is written, and nobody hears of it, before the batch below it is on disk.
func (s *Store) run() {
	defer close(s.stopped)
	var below *staged // is being stored
	for {
		batch := s.queue.take()
		if below != nil {
			select {
			case <-below.stored:
				s.recent.committed(below.tx)
				below = nil
			default:
			}
		}
		var next *staged
		if len(batch) > 0 {
			next = s.stage(batch, below)
		}
		if below != nil {
			<-below.stored
			s.recent.committed(below.tx) // of no use any more if it failed: nothing is read again
		}
		if len(batch) == 0 {
			return
		}
		below = s.storeNext(next)
	}
}

// stage applies a batch on top of the one that is being stored, if there is one.
func (s *Store) stage(batch []item, below *staged) *staged {
	next := &staged{answers: make([]answer, 0, len(batch)), stored: make(chan struct{})}
	if s.failed.Load() {
		next.batch = batch
		return next
	}
	s.checkSpace()
	_ = s.view(func(snap *Snapshot) error { // the error would be this function's
		tx := s.newTx(snap, below, len(batch))
		s.foresee(tx, batch)
		env := s.env()
		for i, it := range batch {
			a, fits := s.apply(tx, env, it.op)
			if !fits && len(next.answers) > 0 {
				s.queue.untake(batch[i:]) // it may fit a batch that it begins
				break
			}
			next.answers = append(next.answers, a)
		}
		next.tx = tx
		return nil
	})
	next.batch = batch[:len(next.answers)]
	crashpoint.At(crashpoint.Applied)
	if c, ok := s.machine.(Committer); ok {
		next.committed = c.Applied()
	}
	return next
}

// storeNext begins to store a batch, and returns it while that goes on. What only refuses or
// reads has nothing to store: what it tells is on disk already.
func (s *Store) storeNext(next *staged) *staged {
	switch {
	case s.failed.Load():
		next.refuse(ErrFailed)
		return nil
	case next.tx.own == 0:
		next.answer()
		return nil
	}
	s.batch, s.high = next.tx.number, next.tx.high
	s.queue.setBusy(true)
	go func() {
		begun := time.Now()
		err := s.persist(next.tx)
		if err == nil {
			err = s.writeMark(next.tx.number, next.tx.high)
		}
		if err == nil {
			s.metrics.Stored(len(next.batch), time.Since(begun))
			next.answer()
		} else {
			s.fail(err, next)
		}
		s.queue.setBusy(false) // first: the next batch, which waits for the other, says true
		close(next.stored)
	}()
	return next
}

// answer tells everybody of the batch, which is durable and visible.
func (b *staged) answer() {
	crashpoint.At(crashpoint.Shown)
	if b.committed != nil {
		b.committed()
	}
	crashpoint.At(crashpoint.FannedOut)
	for i, a := range b.answers {
		b.batch[i].done(a.value, a.err)
		if i == 0 {
			crashpoint.At(crashpoint.Answering)
		}
	}
	crashpoint.At(crashpoint.Answered)
}

func (b *staged) refuse(err error) {
	for _, it := range b.batch {
		it.done(nil, err)
	}
}

// fail ends the store. Whether the batch is on disk is not known, and a second sync that
// succeeds would prove nothing about pages that the first one gave up.
func (s *Store) fail(err error, b *staged) {
	s.failed.Store(true)
	close(s.broken)
	s.metrics.Failed()
	s.log.Error("the store has failed and acknowledges nothing any more", "error", err)
	b.refuse(fmt.Errorf("%w: %w", ErrFailed, err))
}

// apply runs one operation. fits is false if the batch has no room for what it wrote.
func (s *Store) apply(tx *Tx, env Env, op Op) (a answer, fits bool) {
	if s.full {
		if r, ok := op.(Releaser); s.bare || !ok || !r.Releases() {
			return answer{err: ErrFull}, true
		}
	}
	tx.undo, tx.err = tx.undo[:0], nil
	value := s.machine.Apply(tx, env, op)
	if tx.err != nil {
		tx.rollback()
		return answer{err: tx.err}, !errors.Is(tx.err, ErrTooLarge)
	}
	return answer{value: value}, true
}

// checkSpace notices a nearly full disk, and that there is room again. A Releaser is served below
// the watermark, for what it gives back is more than it takes; but it takes some first, and to
// write to a mapped file on a disk without room is the end of the process.
func (s *Store) checkSpace() {
	free, err := s.free()
	full := err == nil && free < s.minFree
	s.bare = full && free < bareBelow(s.minFree)
	if full != s.full {
		s.full = full
		s.metrics.Full(full)
		s.log.Warn("free disk space passed the watermark", "full", full)
	}
}

// env fixes time and randomness for the next batch.
func (s *Store) env() Env {
	var seed [chacha20.KeySize]byte
	_, _ = rand.Read(seed[:])
	stream, err := chacha20.NewUnauthenticatedCipher(seed[:], make([]byte, chacha20.NonceSize))
	if err != nil {
		panic("shard: chacha20 refuses its own sizes") // a change of the library's constants
	}
	return Env{Now: s.clock(), Batch: s.batch + 1, Rand: func(p []byte) {
		clear(p)
		stream.XORKeyStream(p, p)
	}}
}

// newTx begins the next batch's transaction, on top of below if that is not on disk yet.
// It is made for so many operations.
func (s *Store) newTx(snap *Snapshot, below *staged, operations int) *Tx {
	writes := 3 * operations // an entry, what is remembered of it, and a header now and then
	if below != nil {
		writes += below.tx.own
	}
	tx := &Tx{number: s.batch + 1, writes: make(map[string]write, writes), read: make(map[string]found), high: s.high}
	if snap != nil {
		tx.snap, tx.recent = *snap, &s.recent
	}
	if below != nil {
		tx.inherit(below.tx)
	}
	return tx
}

// persist commits tx and its batch record in one Badger transaction and returns when it is
// synced.
func (s *Store) persist(tx *Tx) error {
	batch := tx.number
	txn := s.db.NewTransactionAt(batch-1, true)
	defer txn.Discard()
	// One buffer for all: Badger holds keys and values until they are written.
	room := make([]byte, 0, tx.bytes+1024)
	for k, w := range tx.writes {
		if w.inherited {
			continue
		}
		at := len(room)
		room = append(room, k...)
		key := room[at:len(room):len(room)]
		var err error
		if w.delete {
			err = txn.Delete(key)
		} else {
			at = len(room)
			room = s.vault.seal(room, key, w.value)
			err = txn.Set(key, room[at:len(room):len(room)])
		}
		if err != nil {
			return err
		}
	}
	rec, err := wire.Marshal(&batchRecord{Batch: batch, High: tx.high})
	if err != nil {
		return err
	}
	key := ringKey(batch)
	if err := txn.Set(key, s.vault.seal(nil, key, rec)); err != nil {
		return err
	}
	crashpoint.At(crashpoint.Storing)
	if err := s.commit(txn, batch); err != nil {
		return err
	}
	s.syncs.Add(commitSyncs)
	return nil
}

// writeMark syncs the high-water mark for a batch that is on disk, then makes the batch
// visible. The first mark of a life goes into both slots, so that none tells of an earlier one.
func (s *Store) writeMark(batch, high uint64) error {
	m := mark{KeyCheck: s.vault.keyCheck, Incarnation: s.Incarnation(), Batch: batch, High: high}
	times := 1
	if s.mark.last.Incarnation != m.Incarnation || s.mark.last.Batch == m.Batch {
		times = 2
	}
	for range times {
		if err := s.mark.write(m); err != nil {
			return fmt.Errorf("high-water mark: %w", err)
		}
		s.syncs.Add(1)
	}
	s.show(batch)
	return nil
}
