package httpserver

import "context"

// The stores' folders inside [Config].Dir, which are their names in a backup.
const (
	directoryFolder  = "directory"
	groupstateFolder = "groupstate"
)

// Stores lists the folders of a key server's stores inside its own.
func Stores() []string { return []string{directoryFolder, groupstateFolder} }

// Backup calls store with the name of each store, and then record for every record of it as it is
// on disk. Each store is as of one moment of its own: what they hold does not refer to each other.
// Requests are answered meanwhile. Errors: those of store and record, ctx's, shard.ErrCorrupt and
// shard.ErrClosed.
func (s *Server) Backup(ctx context.Context, store func(name string) error, record func(key, sealed []byte) error) error {
	if err := store(directoryFolder); err != nil {
		return err
	}
	if err := s.directory.Backup(ctx, record); err != nil {
		return err
	}
	if err := store(groupstateFolder); err != nil {
		return err
	}
	return s.chunks.Backup(ctx, record)
}
