package groupstate

import (
	"context"

	"github.com/sealpost/sealpost/internal/shard"
)

// Backup calls record for every record as it is on disk, all as of one batch, while writing goes
// on. Errors: those of record, ctx's, shard.ErrCorrupt and shard.ErrClosed.
func (s *Store) Backup(ctx context.Context, record func(key, sealed []byte) error) error {
	return s.store.View(func(snap *shard.Snapshot) error {
		return snap.Export(ctx, record)
	})
}
