package relayserver

import (
	"context"
	"encoding/hex"
	"io"

	"github.com/sealpost/sealpost/relay/internal/blob"
)

// Backup calls record for every record of the store as it is on disk (see
// [github.com/sealpost/sealpost/internal/shard.Snapshot.Export]), and then file with each complete
// blob and the name of its file, all as of one moment. Between the two, hours before the last blob
// perhaps, it calls then. Sessions and writing go on; expired blobs
// stay where they are until it returns. A blob whose file the disk has lost, or does not read, is
// logged, left out and counted: the restored relay takes its record back. So each is read once before
// it is given away, and the second time mostly from memory. One Backup at a time runs; another waits.
// It ends early with ctx, which whoever calls [Server.Shutdown] has ended before.
func (s *Server) Backup(ctx context.Context, record func(key, sealed []byte) error, then func() error, file func(name string, size int64, body io.Reader) error) (leftOut int, err error) {
	release, err := s.blobs.Hold(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	err = s.store.Backup(ctx, record, then, func(name blob.Name, size int64) error {
		body, err := s.blobs.Open(name, size)
		if err == nil {
			defer body.Close()
			err = readable(ctx, body)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			s.log.Error("the file of a blob is missing in a backup", "error", err)
			leftOut++
			return nil
		}
		return file(hex.EncodeToString(name[:]), size, untilDone{ctx, body})
	})
	return leftOut, err
}

// readable reads a file to its end and goes back to its beginning. A file that breaks off in the
// middle of a backup would end all of it, since its size is written by then.
func readable(ctx context.Context, body io.ReadSeeker) error {
	if _, err := io.Copy(io.Discard, untilDone{ctx, body}); err != nil {
		return err
	}
	_, err := body.Seek(0, io.SeekStart)
	return err
}

// untilDone ends reading with ctx.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

// Read implements [io.Reader].
func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, u.ctx.Err()
	}
	return u.r.Read(p)
}
