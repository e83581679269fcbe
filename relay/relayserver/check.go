package relayserver

import (
	"cmp"
	"context"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay/internal/blob"
	"github.com/sealpost/sealpost/relay/internal/queue"
)

// Check looks whether the store and the blobs of a relay that does not run are sound, and changes
// nothing. Of cfg it needs Dir, BlobDir and StorageKey. What is wrong is reported; errors are
// those of [shard.Inspect], of the blobs' folder and ctx's.
func Check(ctx context.Context, cfg Config, report func(shard.Finding)) error {
	files, err := blob.Open(blob.Config{Dir: cmp.Or(cfg.BlobDir, cfg.Dir+"-blobs")})
	if err != nil {
		return err
	}
	defer files.Close()
	return queue.Check(ctx, cfg.Dir, cfg.StorageKey, files, report)
}

// Check is the function of that name for a relay that runs, as of one moment; everything goes on.
// It ends early with ctx, which whoever calls [Server.Shutdown] has ended before.
func (s *Server) Check(ctx context.Context, report func(shard.Finding)) error {
	return s.store.Check(ctx, s.blobs, report)
}
