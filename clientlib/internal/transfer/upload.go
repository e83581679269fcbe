package transfer

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/clientlib/internal/sealedfile"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// Upload says which whole file of the folder to store where.
type Upload struct {
	Dial    Dial
	Queue   relay.QueueID
	Key     ed25519.PrivateKey // of a reader of the queue, or of a writer
	Purpose relay.ProofPurpose // relay.ProveWrite for a writer's key; 0 is relay.ProveRead
	Info    sealedfile.Info
	Days    uint16 // how long the relay keeps it; 0 is its default
	// Progress, if set, gets bytes of the sealed file: rising, at most ten times a second, and
	// done == size once, when the relay has the whole on disk. It holds up the transfer.
	Progress func(done, size int64)
}

// Upload stores a file at the relay and returns nil once the relay has it verified and on disk.
// It goes on over as many sessions as it takes, until ctx ends. The file stays in the folder.
//
// Errors: [ErrMissing], sealedfile.ErrDamaged (the file changed on this disk), those of the
// package, and ctx's cause.
func (f *Folder) Upload(ctx context.Context, u Upload) error {
	end, err := f.begin(ctx, u.Info.Hash)
	if err != nil {
		return err
	}
	defer end()
	file, err := f.whole(u.Info.Hash)
	if err != nil {
		return err
	}
	defer file.Close()
	size := u.Info.Size()
	if stat, err := file.Stat(); err != nil {
		return fmt.Errorf("transfer: %w", err)
	} else if stat.Size() != size || size == 0 {
		return sealedfile.ErrDamaged
	}
	progress, line, resumed := &meter{report: u.Progress, size: size}, f.line(u.Dial), false
	try := func(ctx context.Context, conn *relayclient.Conn, part int, at func(int64)) error {
		first := true
		return conn.Upload(ctx, relayclient.UploadParams{
			Queue: u.Queue, Key: u.Key, Purpose: u.Purpose, Blob: u.Info.Hash, Size: uint64(size), Days: u.Days,
			Source: file, Part: part,
			Progress: func(stored, _ uint64) {
				resumed = resumed || first && stored > 0
				first = false
				at(int64(stored))
				progress.set(int64(stored))
			},
		})
	}
	err = line.run(ctx, try)
	if errors.Is(err, relay.ErrMalformed) {
		// The relay has other bytes than those of the hash, and has erased them.
		if err := sealedfile.Verify(file, u.Info.Hash, size); err != nil {
			return fmt.Errorf("transfer: %w", err)
		}
		if resumed {
			// A power cut at the relay may have spoiled what an earlier session stored.
			err = line.run(ctx, try)
		}
	}
	if err != nil {
		return err
	}
	progress.finish()
	return nil
}
