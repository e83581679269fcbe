package queue

import (
	"bytes"
	"context"
	"errors"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay/internal/blob"
)

// blobSweepOp is one step of a sweep over the blobs' records: from this key on. The answer is
// the next step.
type blobSweepOp struct {
	from []byte // nil in an answer: done

	// As in sweepOp: a record that cannot be read is taken alone, and then left out.
	alone, skip bool
}

// Size implements [shard.Op].
func (blobSweepOp) Size() int { return 1 << 10 }

// Releases implements [shard.Releaser].
func (blobSweepOp) Releases() bool { return true }

// blobs sweeps over the blobs' records.
func (w *sweeper) blobs(ctx context.Context) error {
	var unreadable error
	op := blobSweepOp{from: []byte{kindBlob}}
	for op.from != nil {
		next, err := w.shard.Do(ctx, op)
		if errors.Is(err, shard.ErrCorrupt) && !op.skip {
			unreadable = err
			op.alone, op.skip = true, op.alone
			continue
		}
		if err != nil {
			return err
		}
		op = next.(blobSweepOp)
	}
	return unreadable
}

// sweepBlobs erases records of blobs whose time is over, or whose queue is gone.
func (m *machine) sweepBlobs(tx *shard.Tx, t meta, op blobSweepOp) (next blobSweepOp) {
	var names []blob.Name
	most := sweepBlobs
	if op.alone {
		most = 1
	}
	_ = tx.Keys([]byte{kindBlob}, op.from, func(key []byte) bool {
		if len(names) == most {
			next.from = bytes.Clone(key)
			return false
		}
		names = append(names, blob.Name(key[1:]))
		return true
	})
	if op.skip {
		return next
	}
	for _, name := range names {
		w, rec := m.ofBlob(tx, t, name)
		switch {
		case w == nil && rec != (blobRecord{}):
			(&work{books: &books{rd: tx, namer: m.namer}, m: m, tx: tx}).dropBlob(name, rec)
		case w != nil && rec.Pins == 0 && rec.Day < t.Day:
			w.eraseBlob(name, rec)
		}
	}
	return next
}

// blobFiles removes files without a record, and takes back that a blob is complete where the
// file is not there.
func (w *sweeper) blobFiles(ctx context.Context) error {
	if w.files == nil {
		return nil
	}
	return errors.Join(w.files.Sweep(ctx, w.keepFile), w.lostFiles(ctx))
}

// keepFile tells whether a record speaks of a file.
func (w *sweeper) keepFile(name blob.Name, part bool) (keep bool, err error) {
	err = w.shard.View(func(snap *shard.Snapshot) error {
		rec, ok, err := (&books{rd: snap}).blob(name)
		keep = ok && !(part && rec.State == blobComplete)
		return err
	})
	return keep, err
}

// lostFiles looks for the file of every complete blob.
func (w *sweeper) lostFiles(ctx context.Context) error {
	type found struct {
		name blob.Name
		size uint64
	}
	for from := []byte{kindBlob}; from != nil; {
		var list []found
		var next []byte
		err := w.shard.View(func(snap *shard.Snapshot) error {
			return snap.Keys([]byte{kindBlob}, from, func(key []byte) bool {
				if len(list) == sweepBlobs {
					next = bytes.Clone(key)
					return false
				}
				var rec blobRecord
				v, ok, err := snap.Get(key)
				if ok && err == nil && wire.Unmarshal(v, &rec) == nil && rec.State == blobComplete {
					list = append(list, found{blob.Name(key[1:]), rec.Size})
				}
				return true
			})
		})
		if err != nil {
			return err
		}
		for _, f := range list {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			err := w.files.Missing(f.name, int64(f.size), func() error {
				w.log.Error("the file of a blob is missing")
				_, err := w.shard.Do(ctx, &blobOp{do: blobLose, name: f.name})
				return err
			})
			if err != nil {
				return err
			}
		}
		from = next
	}
	return nil
}
