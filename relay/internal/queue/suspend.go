package queue

import (
	"context"
	"encoding/hex"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay"
)

// suspended is what whoever has a place in a suspended queue hears; everybody else hears UNKNOWN
// as ever.
func suspended() *relay.Refusal {
	return &relay.Refusal{Code: relay.CodeSuspended, RetryAfter: suspendedRetry}
}

// RecordName is what the records of a queue are named by, in hexadecimal: what an operator's
// log and a check call it. Without the storage key it leads to no queue.
func (s *Store) RecordName(q relay.QueueID) string { return hex.EncodeToString(queueName(s.shard, q)) }

// Suspend stops a queue, or has it go on, and returns when that is on disk and all attachments have
// ended, those that wait for their reader's acks too. While it is suspended nothing is read or written; who was registered may
// still LEAVE, and what expires goes, but nobody counts as unseen. changed is false if it was so
// already. relay.ErrUnknown: there is no such queue.
func (s *Store) Suspend(ctx context.Context, q relay.QueueID, on bool) (changed bool, err error) {
	return s.suspend(ctx, queueName(s.shard, q), on)
}

// SuspendRecord is Suspend for a queue that is named as [Store.RecordName] does.
func (s *Store) SuspendRecord(ctx context.Context, record string, on bool) (changed bool, err error) {
	name, err := hex.DecodeString(record)
	if err != nil {
		return false, relay.ErrUnknown
	}
	return s.suspend(ctx, name, on)
}

func (s *Store) suspend(ctx context.Context, name []byte, on bool) (changed bool, err error) {
	answer, err := s.shard.Do(ctx, suspendOp{name: name, on: on})
	if err != nil {
		return false, err
	}
	a := answer.(suspendAnswer)
	if a.unknown {
		return false, relay.ErrUnknown
	}
	return a.changed, nil
}

// Suspended tells whether a queue is suspended. relay.ErrUnknown: there is no such queue.
func (s *Store) Suspended(q relay.QueueID) (is bool, err error) {
	err = s.shard.View(func(snap *shard.Snapshot) error {
		b, ok, err := openBooks(snap, s.shard, queueName(s.shard, q))
		if err == nil && (!ok || b.header.State == stateGone) {
			err = relay.ErrUnknown
		}
		is = b.header.State == stateSuspended
		return err
	})
	return is, err
}

// suspendOp suspends a queue or resumes it.
type suspendOp struct {
	name []byte
	on   bool
}

type suspendAnswer struct{ unknown, changed bool }

// Size implements [shard.Op].
func (suspendOp) Size() int { return 512 }

// Releases implements [shard.Releaser]: a disk that is nearly full keeps no queue from being
// stopped, until next to nothing is left. Resuming writes as many records as there are readers, and waits.
func (op suspendOp) Releases() bool { return op.on }

func (m *machine) suspend(tx *shard.Tx, env shard.Env, t meta, op suspendOp) suspendAnswer {
	b, ok, err := openBooks(tx, m.namer, op.name)
	if err != nil || !ok || b.header.State == stateGone {
		return suspendAnswer{unknown: true}
	}
	w := &work{books: b, m: m, tx: tx, now: env.Now, day: t.Day}
	switch is := w.header.State == stateSuspended; {
	case is == op.on:
		return suspendAnswer{}
	case op.on:
		w.header.State = stateSuspended
		m.stopped = append(m.stopped, string(w.name))
	default:
		w.resume()
	}
	w.save()
	return suspendAnswer{changed: true}
}

// resume puts a queue back to what it was. Its readers count as seen, and its tickets as made,
// today: they could not come. And they are called for what they have not fetched, as nobody was
// meanwhile.
func (w *work) resume() {
	w.m.touches(w.name, true)
	w.header.State = stateOpen
	if w.header.ClosedDay > 0 {
		w.header.State = stateClosed
	}
	type found struct {
		key []byte
		reader
	}
	var places []found
	_ = w.everyReader(func(key []byte, p reader) {
		if p.State != readerRemoved {
			places = append(places, found{key, p})
		}
	})
	for _, p := range places {
		p.Day = w.day
		w.set(p.key, &p.reader)
	}
	w.readersChanged()
}
