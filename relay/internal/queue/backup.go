package queue

import (
	"context"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay/internal/blob"
)

// Backup calls record for every record as it is on disk, and then file for every complete blob,
// all as of one batch; between the two then, for what is to be of about the same moment. Writing goes on meanwhile. The store keeps what was written over or erased
// on its disk until the last record is taken, and no longer: blobs may take hours. Their names, 28
// bytes each, wait in memory. The caller holds the blobs' files ([blob.Store.Hold]) from before, so
// that those of the snapshot are there. Errors: those of the functions, ctx's, shard.ErrCorrupt,
// and shard.ErrClosed.
func (s *Store) Backup(ctx context.Context, record func(key, sealed []byte) error, then func() error, file func(name blob.Name, size int64) error) error {
	type found struct {
		name blob.Name
		size int64
	}
	var files []found
	err := s.shard.View(func(snap *shard.Snapshot) error {
		err := snap.Export(ctx, record)
		if err != nil {
			return err
		}
		serr := snap.Scan([]byte{kindBlob}, nil, func(key, value []byte) bool {
			var rec blobRecord
			switch {
			case ctx.Err() != nil:
				err = ctx.Err()
			case len(key) != len(blobKey(blob.Name{})) || wire.Unmarshal(value, &rec) != nil:
				err = shard.ErrCorrupt
			case rec.State == blobComplete:
				files = append(files, found{blob.Name(key[1:]), int64(rec.Size)})
			}
			return err == nil
		})
		if err == nil {
			err = serr
		}
		return err
	})
	if err == nil {
		err = then()
	}
	for _, f := range files {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = file(f.name, f.size)
		}
	}
	return err
}
