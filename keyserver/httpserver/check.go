package httpserver

import (
	"context"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver/directory"
	"github.com/sealpost/sealpost/keyserver/groupstate"
)

// Check looks whether the stores in dir, which are not open, are sound, and changes nothing.
// Findings are reported with the name of the store; errors are those of [shard.Inspect] and ctx's.
func Check(ctx context.Context, dir string, key shard.Key, report func(store string, f shard.Finding)) error {
	err := directory.Check(ctx, filepath.Join(dir, directoryFolder), key, func(f shard.Finding) { report(directoryFolder, f) })
	if err != nil {
		return err
	}
	return groupstate.Check(ctx, filepath.Join(dir, groupstateFolder), key, func(f shard.Finding) { report(groupstateFolder, f) })
}

// Check is the function of that name for stores that are open, each as of one batch.
func (s *Server) Check(ctx context.Context, report func(store string, f shard.Finding)) error {
	if err := s.directory.Check(ctx, func(f shard.Finding) { report(directoryFolder, f) }); err != nil {
		return err
	}
	return s.chunks.Check(ctx, func(f shard.Finding) { report(groupstateFolder, f) })
}
