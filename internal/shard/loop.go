package shard

import (
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20"

	"github.com/sealpost/sealpost/internal/wire"
)

// answer is what one operation of a batch ends in.
type answer struct {
	value any
	err   error
}

// run is the storing goroutine: it ends when the queue is closed and drained.
func (s *Store) run() {
	defer close(s.stopped)
	for {
		batch := s.queue.take()
		if len(batch) == 0 {
			return
		}
		s.store(batch)
	}
}

// store applies a batch, makes it durable and answers it.
func (s *Store) store(batch []item) {
	answers := make([]answer, 0, len(batch))
	if s.failed {
		for _, it := range batch {
			it.done(nil, ErrFailed)
		}
		return
	}
	s.checkSpace()
	err := s.view(func(snap *Snapshot) error {
		tx := s.newTx(snap)
		s.foresee(tx, batch)
		env := s.env()
		for i, it := range batch {
			a, fits := s.apply(tx, env, it.op)
			if !fits && len(answers) > 0 {
				s.queue.untake(batch[i:]) // it may fit a batch that it begins
				break
			}
			answers = append(answers, a)
		}
		if len(tx.writes) == 0 {
			return nil // refusals and reads: what they tell is on disk already
		}
		if err := s.persist(tx); err != nil {
			return err
		}
		if err := s.writeMark(); err != nil {
			return err
		}
		s.recent.committed(tx)
		return nil
	})
	if err != nil {
		s.fail(err, batch[:len(answers)])
		return
	}
	if c, ok := s.machine.(Committer); ok {
		c.Committed()
	}
	for i, a := range answers {
		batch[i].done(a.value, a.err)
	}
}

// fail ends the store. Whether the batch is on disk is not known, and a second sync that
// succeeds would prove nothing about pages that the first one gave up.
func (s *Store) fail(err error, batch []item) {
	s.failed = true
	close(s.broken)
	s.log.Error("the store has failed and acknowledges nothing any more", "error", err)
	for _, it := range batch {
		it.done(nil, fmt.Errorf("%w: %w", ErrFailed, err))
	}
}

// apply runs one operation. fits is false if the batch has no room for what it wrote.
func (s *Store) apply(tx *Tx, env Env, op Op) (a answer, fits bool) {
	if s.full {
		if r, ok := op.(Releaser); !ok || !r.Releases() {
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

// checkSpace notices a nearly full disk, and that there is room again.
func (s *Store) checkSpace() {
	free, err := s.free()
	full := err == nil && free < s.minFree
	if full != s.full {
		s.full = full
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

func (s *Store) newTx(snap *Snapshot) *Tx {
	tx := &Tx{writes: make(map[string]write), read: make(map[string]found), high: s.high}
	if snap != nil {
		tx.snap, tx.recent = *snap, &s.recent
	}
	return tx
}

// persist commits tx and its batch record in one Badger transaction and returns when it is
// synced.
func (s *Store) persist(tx *Tx) error {
	batch := s.batch + 1
	txn := s.db.NewTransactionAt(s.batch, true)
	defer txn.Discard()
	for k, w := range tx.writes {
		key := []byte(k)
		var err error
		if w.delete {
			err = txn.Delete(key)
		} else {
			err = txn.Set(key, s.vault.seal(key, w.value))
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
	if err := txn.Set(key, s.vault.seal(key, rec)); err != nil {
		return err
	}
	if err := s.commit(txn, batch); err != nil {
		return err
	}
	s.syncs.Add(commitSyncs)
	s.batch, s.high = batch, tx.high
	return nil
}

// writeMark syncs the high-water mark for the last batch, then makes the batch visible. The
// first mark of a life goes into both slots, so that none tells of an earlier one.
func (s *Store) writeMark() error {
	m := mark{KeyCheck: s.vault.keyCheck, Incarnation: s.Incarnation(), Batch: s.batch, High: s.high}
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
	s.show()
	return nil
}
