package groupstate

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver"
)

// Check looks whether a store that is not open is sound, and changes nothing: whether every record
// opens, every chunk is what its name says, and days and counts agree. What is wrong is
// reported; errors are those of [shard.Inspect] and ctx's.
func Check(ctx context.Context, dir string, key shard.Key, report func(shard.Finding)) error {
	return shard.Inspect(dir, key, report, func(s *shard.Store) error { return check(ctx, s, report) })
}

// Check is the function of that name for a store that is open, as of one batch.
func (s *Store) Check(ctx context.Context, report func(shard.Finding)) error {
	return s.store.Inspect(report, func(store *shard.Store) error { return check(ctx, store, report) })
}

// What findings mean.
const (
	meansChunk = "who joins by it is told that the chunk is not there, and knocks; members put their group's chunks again with each epoch"
	meansRest  = "it takes up room and nobody misses it; tell the project, since no damage does this alone"
)

func check(ctx context.Context, store *shard.Store, report func(shard.Finding)) error {
	return store.View(func(snap *shard.Snapshot) error {
		total := uint64(0)
		find := func(key []byte, means, what string) {
			report(shard.Finding{Where: "record " + hex.EncodeToString(key), What: what, Means: means})
		}
		err := snap.Records(nil, nil, func(key, value []byte, err error) bool {
			switch {
			case err != nil:
				find(key, meansChunk, "the record does not open")
			case key[0] == kindChunk:
				total += uint64(len(value))
				hash := keyserver.HashChunk(value)
				if !bytes.Equal(key, store.Name(kindChunk, hash[:])) {
					find(key, meansChunk, "a chunk is another than its name says")
				} else if _, ok, err := readDay(snap, store.Name(kindDay, hash[:])); err == nil && !ok {
					find(key, meansRest, "a chunk has no day on which it was put")
				}
			case key[0] == kindDay, key[0] == kindToday:
				if len(value) != 4 {
					find(key, meansChunk, "a day cannot be read")
				}
			case key[0] == kindDue:
				if _, ok, err := snap.Get(store.Name(kindChunk, value)); err == nil && !ok {
					find(key, meansChunk, "a chunk that was put is missing")
				}
			case key[0] == kindTotal:
			default:
				find(key, meansRest, "a record of a kind that this version does not know")
			}
			return ctx.Err() == nil
		})
		if err != nil {
			return err
		}
		counted := uint64(0)
		if b, ok, err := snap.Get(store.Name(kindTotal)); err == nil && ok && len(b) == 8 {
			counted = binary.BigEndian.Uint64(b)
		}
		if counted != total && ctx.Err() == nil {
			find(store.Name(kindTotal), "only the room for chunks is counted wrong; tell the project, since no damage does this alone",
				fmt.Sprintf("all chunks have %d bytes, and %d is noted", total, counted))
		}
		return ctx.Err()
	})
}
