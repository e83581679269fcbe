package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	badgeroptions "github.com/dgraph-io/badger/v4/options"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/internal/shard"
)

// rawRequest asks for one thing of Badger alone, in the store of Dir.
type rawRequest struct {
	Dir string

	Writers   int `json:",omitempty"` // store Messages, each in a synced transaction
	Messages  int `json:",omitempty"`
	PutDelete int `json:",omitempty"` // messages to put and to delete, in batches
	Fill      int `json:",omitempty"` // messages to put into each of the relay's load's queues,
	Iterate   int `json:",omitempty"` // and times to go over those of one
	Open      int `json:",omitempty"` // times to open the store, as it is
}

// useBadger is the role of what Badger does alone, with the relay's records and options.
func useBadger(ctx context.Context, d *measure.Desk, _ Cast) error {
	return measure.Serve(d, func(q rawRequest) (done loadDone, err error) {
		switch {
		case q.Writers > 0:
			return rawTransactions(ctx, q)
		case q.PutDelete > 0:
			return withWriter(q.Dir, connections*queuesEach, func(w *rawWriter) (loadDone, error) { return w.putAndDelete(ctx, q.PutDelete) })
		case q.Fill > 0:
			return withWriter(q.Dir, connections*queuesEach, func(w *rawWriter) (loadDone, error) {
				if err := w.write(ctx, q.Fill*len(w.queues)); err != nil {
					return loadDone{}, err
				}
				return timed(q.Iterate, func(i int) error { return w.iterate(i%len(w.queues), q.Fill) })
			})
		case q.Open > 0:
			return timed(q.Open, func(int) error { return openVerified(q.Dir) })
		}
		return done, errors.New("an empty request")
	})
}

// withWriter runs fn with a fresh store.
func withWriter(dir string, queues int, fn func(*rawWriter) (loadDone, error)) (done loadDone, err error) {
	db, err := badger.OpenManaged(shard.Options(filepath.Join(dir, "badger")).WithLogger(nil))
	if err != nil {
		return done, err
	}
	defer db.Close()
	log, err := shard.OpenLog(filepath.Join(dir, "badger"))
	if err != nil {
		return done, err
	}
	defer log.Close()
	mark, err := os.Create(filepath.Join(dir, "mark"))
	if err != nil {
		return done, err
	}
	defer mark.Close()
	return fn(newRawWriter(db, log, mark, queues))
}

// rawTransactions has writers store messages, each with the records of one APPEND in a
// transaction that Badger syncs by itself.
func rawTransactions(ctx context.Context, q rawRequest) (done loadDone, err error) {
	db, err := badger.OpenManaged(shard.Options(filepath.Join(q.Dir, "badger")).WithLogger(nil).WithSyncWrites(true))
	if err != nil {
		return done, err
	}
	defer db.Close()
	var version atomic.Uint64
	writers := make([]*rawWriter, q.Writers)
	for i := range writers {
		writers[i] = newRawWriter(db, nil, nil, 1)
	}
	share := q.Messages / q.Writers
	errs := make([]error, q.Writers)
	start := time.Now()
	var all sync.WaitGroup
	for i, w := range writers {
		all.Go(func() {
			for n := 0; n < share && errs[i] == nil; n++ {
				at := version.Add(1)
				txn := db.NewTransactionAt(at-1, true)
				if errs[i] = w.put(txn, 1); errs[i] == nil {
					errs[i] = txn.CommitAt(at, nil)
				}
				txn.Discard()
			}
		})
	}
	all.Wait()
	return loadDone{Messages: share * q.Writers, Seconds: time.Since(start).Seconds()}, errors.Join(append(errs, ctx.Err())...)
}

// putAndDelete writes messages, and deletes the entries of each batch in the next one. What
// the relay remembers of each message stays, as with the relay.
func (w *rawWriter) putAndDelete(ctx context.Context, messages int) (done loadDone, err error) {
	start := time.Now()
	for done.Messages < messages && ctx.Err() == nil {
		first := append([]uint64(nil), w.seqs...)
		if err := w.writeBatch(batchMessages); err != nil {
			return done, err
		}
		err := w.batchOf(func(txn *badger.Txn) error {
			for q := range w.queues {
				for seq := first[q] + 1; seq <= w.seqs[q]; seq++ {
					if err := txn.Delete(w.entry(q, seq)); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return done, err
		}
		done.Messages += batchMessages
	}
	done.Seconds = time.Since(start).Seconds()
	return done, ctx.Err()
}

func (w *rawWriter) entry(q int, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte{entryRecord.kind}, w.queues[q][:]...), seq)
}

// iterate goes over the entries of a queue, which are so many.
func (w *rawWriter) iterate(queue, entries int) error {
	txn := w.db.NewTransactionAt(w.batch, false)
	defer txn.Discard()
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false // as the relay does: it is faster
	opts.Prefix = w.entry(queue, 0)[:21]
	it := txn.NewIterator(opts)
	defer it.Close()
	bytes := 0
	for it.Rewind(); it.Valid(); it.Next() {
		if err := it.Item().Value(func(v []byte) error { bytes += len(v); return nil }); err != nil {
			return err
		}
	}
	if bytes != entries*entryRecord.value {
		return errors.New("not all entries are there")
	}
	return nil
}

// openVerified opens and closes a store as it is. Badger verifies the blocks of its tables as
// the relay does before it trusts one.
func openVerified(dir string) error {
	options := shard.Options(filepath.Join(dir, "badger")).WithLogger(nil).WithChecksumVerificationMode(badgeroptions.OnTableAndBlockRead)
	db, err := badger.OpenManaged(options)
	if err != nil {
		return err
	}
	return db.Close()
}
