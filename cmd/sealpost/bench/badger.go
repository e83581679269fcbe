package bench

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand/v2"
	"os"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/internal/shard"
)

// The records that the relay writes for an APPEND, in bytes of database key and of sealed
// value: TestRawSideWritesWhatTheRelayWrites holds them against a store. The relay writes a
// queue's header once a batch, and one record of its own for the batch.
var (
	entryRecord  = recordShape{kind: 'E', key: 29, value: 591}
	memoryRecord = recordShape{kind: 'I', key: 25, value: 128}
	headerRecord = recordShape{kind: 'H', key: 21, value: 235}
	batchRecord  = recordShape{kind: 0, key: 4, value: 56}
)

type recordShape struct {
	kind       byte
	key, value int
}

// batchMessages is how many messages a synced transaction of the raw side holds; the relay's
// batches hold no more.
const batchMessages = 256

// badgerRequest asks for messages in a fresh store.
type badgerRequest struct {
	Dir      string
	Queues   int
	Warm     int // messages ahead of the measured ones
	Messages int
}

// writeBadger is the role of the floor under the relay: the relay's records in Badger, with
// the relay's options, transactions and syncs, and nothing else.
func writeBadger(ctx context.Context, d *measure.Desk, _ Cast) error {
	return measure.Serve(d, func(q badgerRequest) (done loadDone, err error) {
		return withWriter(q.Dir, q.Queues, func(w *rawWriter) (loadDone, error) {
			if err := w.write(ctx, q.Warm); err != nil {
				return loadDone{}, err
			}
			start := time.Now()
			if err := w.write(ctx, q.Messages); err != nil {
				return loadDone{}, err
			}
			return loadDone{Messages: q.Messages, Seconds: time.Since(start).Seconds()}, nil
		})
	})
}

// rawWriter writes batches.
type rawWriter struct {
	db     *badger.DB
	log    *shard.Log
	mark   *os.File
	queues [][20]byte // their names
	seqs   []uint64
	batch  uint64
	sent   int
	noise  []byte // values are cut out of it: sealed ones do not compress either
	random *mathrand.ChaCha8
}

func newRawWriter(db *badger.DB, log *shard.Log, mark *os.File, queues int) *rawWriter {
	w := &rawWriter{db: db, log: log, mark: mark, queues: make([][20]byte, queues), seqs: make([]uint64, queues), noise: make([]byte, 64<<10)}
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	w.random = mathrand.NewChaCha8(seed)
	_, _ = w.random.Read(w.noise)
	for i := range w.queues {
		_, _ = w.random.Read(w.queues[i][:])
	}
	return w
}

func (w *rawWriter) write(ctx context.Context, messages int) error {
	for messages > 0 && ctx.Err() == nil {
		n := min(messages, batchMessages)
		if err := w.writeBatch(n); err != nil {
			return err
		}
		messages -= n
	}
	return ctx.Err()
}

// writeBatch commits and syncs n messages, then the mark.
func (w *rawWriter) writeBatch(n int) error {
	return w.batchOf(func(txn *badger.Txn) error { return w.put(txn, n) })
}

// batchOf commits and syncs what fn writes, with a batch record, then the mark.
func (w *rawWriter) batchOf(fn func(*badger.Txn) error) error {
	w.batch++
	txn := w.db.NewTransactionAt(w.batch-1, true)
	defer txn.Discard()
	if err := fn(txn); err != nil {
		return err
	}
	record := binary.BigEndian.AppendUint16([]byte{batchRecord.kind, 'b'}, uint16(w.batch))
	if err := txn.Set(record, w.value(batchRecord)); err != nil {
		return err
	}
	if err := w.log.Commit(txn, w.batch); err != nil {
		return err
	}
	w.db.SetDiscardTs(w.batch)
	return w.writeMark()
}

// put writes the records of n messages.
func (w *rawWriter) put(txn *badger.Txn, n int) error {
	touched := make(map[int]bool)
	for range n {
		q := w.sent % len(w.queues)
		w.sent++
		w.seqs[q]++
		touched[q] = true
		if err := txn.Set(w.entry(q, w.seqs[q]), w.value(entryRecord)); err != nil {
			return err
		}
		memory := make([]byte, memoryRecord.key)
		_, _ = w.random.Read(memory[5:]) // an HMAC, behind the period
		memory[0] = memoryRecord.kind
		if err := txn.Set(memory, w.value(memoryRecord)); err != nil {
			return err
		}
	}
	for q := range touched {
		header := append([]byte{headerRecord.kind}, w.queues[q][:]...)
		if err := txn.Set(header, w.value(headerRecord)); err != nil {
			return err
		}
	}
	return nil
}

// value returns bytes that were not written yet in this order.
func (w *rawWriter) value(r recordShape) []byte {
	at := int(w.random.Uint64() % uint64(len(w.noise)-r.value))
	return w.noise[at : at+r.value]
}

// writeMark writes one of the mark's two slots and syncs it.
func (w *rawWriter) writeMark() error {
	if _, err := w.mark.WriteAt(w.noise[:128], int64(w.batch%2)*4096); err != nil {
		return err
	}
	return syncData(w.mark)
}
