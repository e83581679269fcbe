package queue

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/blob"
)

// Check looks whether a store that is not open is sound, and changes nothing: whether every
// record opens and decodes, and whether they agree with each other. The chain of each queue is
// computed again over every two entries that stand side by side; what its first entry followed
// cannot be, since that hangs on the queue's id, which is not stored. What is wrong is reported;
// errors are those of [shard.Inspect], of the blobs' folder and ctx's.
func Check(ctx context.Context, dir string, key shard.Key, files *blob.Store, report func(shard.Finding)) error {
	return shard.Inspect(dir, key, report, func(s *shard.Store) error { return check(ctx, s, files, report) })
}

// Check is the function of that name for a store that is open, as of one batch. The blobs' files
// stay where they are meanwhile.
func (s *Store) Check(ctx context.Context, files *blob.Store, report func(shard.Finding)) error {
	if files != nil {
		release, err := files.Hold(ctx)
		if err != nil {
			return err
		}
		defer release()
	}
	return s.shard.Inspect(report, func(store *shard.Store) error { return check(ctx, store, files, report) })
}

// checker walks one snapshot: all kinds of records at once, queue by queue, as their names are
// sorted alike.
type checker struct {
	ctx    context.Context
	snap   *shard.Snapshot
	namer  namer
	files  *blob.Store // nil: they are not looked at
	report func(shard.Finding)

	lives  map[relay.Incarnation]bool
	stored map[[20]byte]uint64  // what the blobs of each queue count for, as their records say
	pins   map[blob.Name]uint32 // how many entries name each blob
}

func check(ctx context.Context, s *shard.Store, files *blob.Store, report func(shard.Finding)) error {
	return s.View(func(snap *shard.Snapshot) error {
		c := &checker{
			ctx: ctx, snap: snap, namer: s, files: files, report: report,
			lives: make(map[relay.Incarnation]bool), stored: make(map[[20]byte]uint64), pins: make(map[blob.Name]uint32),
		}
		for _, life := range snap.Incarnations() {
			c.lives[life.ID] = true
		}
		for _, step := range []func() error{c.others, c.sumBlobs, c.queues, c.blobs} {
			if err := step(); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// find reports something about a queue.
func (c *checker) find(name []byte, means, format string, args ...any) {
	c.report(shard.Finding{Where: "queue " + hex.EncodeToString(name), What: fmt.Sprintf(format, args...), Means: means})
}

// findRecord reports something about another record.
func (c *checker) findRecord(key []byte, means, format string, args ...any) {
	c.report(shard.Finding{Where: "record " + hex.EncodeToString(key), What: fmt.Sprintf(format, args...), Means: means})
}

// What findings about queues mean.
const (
	meansUnusable = "nobody can use the queue: its clients are refused and try again; " + shard.MeansRestore
	meansLost     = "its readers are told that these are lost, and members give them again; otherwise " + shard.MeansRestore
	meansContra   = "its clients see that the relay contradicts itself and stop with evidence; restore a backup from before, or tell its members to go on elsewhere"
	meansCount    = "only its quota is counted wrong; tell the project, since no damage does this alone"
	meansReader   = "a reader is refused or waited for wrongly; " + shard.MeansRestore
	meansRest     = "it takes up room and nobody misses it; tell the project, since no damage does this alone"
	meansBlob     = "whoever fetches the blob is told that it is not there; its sender's devices store it again"
)

// others looks at the records that belong to no queue.
func (c *checker) others() error {
	known := func(key []byte) bool {
		switch key[0] {
		case kindHeader, kindAuthority, kindReader, kindWriter, kindEntry, kindGap, kindShort, kindLong, kindMeta, kindBlob, kindStored:
			return true
		}
		return false
	}
	decodes := func(into wire.Unmarshaler, means string) func([]byte, []byte, error) bool {
		return func(key, value []byte, err error) bool {
			if err != nil {
				c.findRecord(key, means, "the record does not open")
			} else if wire.Unmarshal(value, into) != nil {
				c.findRecord(key, means, "the record does not decode")
			}
			return c.ctx.Err() == nil
		}
	}
	const meansAnswer = "one answer is forgotten: a client that repeats its request may have it stored twice, which members pass over"
	err := errors.Join(
		c.snap.Records([]byte{kindShort}, nil, decodes(new(memory), meansAnswer)),
		c.snap.Records([]byte{kindLong}, nil, decodes(new(memory), meansAnswer)),
		c.snap.Records([]byte{kindMeta}, nil, decodes(new(meta), "the store does not know its day and accepts nothing; "+shard.MeansRestore)),
	)
	if err != nil {
		return err
	}
	// Kinds by their first byte: whatever lies between those that are known.
	for from := []byte{1}; from != nil; {
		var next []byte
		err := c.snap.Keys(nil, from, func(key []byte) bool {
			if !known(key) {
				c.findRecord(key, meansRest, "a record of a kind that this version does not know")
			}
			if key[0] < 0xff {
				next = []byte{key[0] + 1}
			}
			return false
		})
		if err != nil {
			return err
		}
		from = next
	}
	return nil
}
