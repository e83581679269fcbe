package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/sealpost/sealpost/clientlib/internal/sealedfile"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// Download says which file to fetch from where.
type Download struct {
	Dial  Dial
	Queue relay.QueueID
	Info  sealedfile.Info
	// Progress is as for an Upload; done == size once the file is verified and on disk.
	Progress func(done, size int64)
}

// Download fetches a file into the folder and returns nil once it is whole, verified and
// synced; [Folder.Unseal] then reads it. It goes on over as many sessions as it takes, until
// ctx ends, and later from there. A file that is there already costs nothing.
//
// Errors: relay.ErrUnknown (the relay has it no more, or never had it), sealedfile.ErrDamaged
// (all came over again, and is not what the hash names), those of the package, and ctx's cause.
func (f *Folder) Download(ctx context.Context, d Download) error {
	size := d.Info.Size()
	if size == 0 {
		return sealedfile.ErrTooLarge
	}
	progress := &meter{report: d.Progress, size: size}
	if stat, err := f.root.Lstat(fileName(d.Info.Hash, true)); err == nil && stat.Size() == size {
		progress.finish() // it may be on its way to a relay, which can take for ever
		return nil
	}
	end, err := f.begin(ctx, d.Info.Hash)
	if err != nil {
		return err
	}
	defer end()
	if there, err := f.has(d.Info); err != nil {
		return err
	} else if !there {
		if err := f.fetch(ctx, d, progress); err != nil {
			return err
		}
	}
	progress.finish()
	return nil
}

// has reports whether the whole file is there. What has another size, after the disk was
// damaged, is removed.
func (f *Folder) has(info sealedfile.Info) (bool, error) {
	stat, err := f.root.Lstat(fileName(info.Hash, true))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("transfer: %w", err)
	case stat.Size() == info.Size():
		return true, nil
	}
	if err := f.root.Remove(fileName(info.Hash, true)); err != nil {
		return false, fmt.Errorf("transfer: %w", err)
	}
	return false, nil
}

// fetch fills the partial file, verifies it and gives it its name.
func (f *Folder) fetch(ctx context.Context, d Download, progress *meter) error {
	name := fileName(d.Info.Hash, false)
	file, err := f.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("transfer: %w", err)
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return fmt.Errorf("transfer: %w", err)
	}
	done := stat.Size()
	if done > progress.size {
		done = 0
	}
	err = f.fill(ctx, d, file, done, progress)
	if errors.Is(err, sealedfile.ErrDamaged) && done > 0 {
		// A power cut may have spoiled what an earlier run left.
		err = f.fill(ctx, d, file, 0, progress)
	}
	file.Close() // synced by fill; some systems rename and remove no open file
	switch {
	case err == nil:
		if err := f.settle(name, d.Info.Hash); err != nil {
			return fmt.Errorf("transfer: %w", err)
		}
	case errors.Is(err, sealedfile.ErrDamaged), errors.Is(err, syscall.ENOSPC):
		// Of no use, or in the way: on a full disk nothing else can be written, the device's state
		// above all. Remove tries again.
		_ = f.root.Remove(name)
	}
	return err
}

// fill downloads from done on and verifies the whole. The file is synced however that ends:
// what is there is where the next Download goes on.
func (f *Folder) fill(ctx context.Context, d Download, file *os.File, done int64, progress *meter) error {
	if err := file.Truncate(done); err != nil {
		return fmt.Errorf("transfer: %w", err)
	}
	progress.set(done)
	var err error
	if done < progress.size {
		err = f.line(d.Dial).run(ctx, func(ctx context.Context, conn *relayclient.Conn, part int, at func(int64)) error {
			at(done)
			return conn.Download(ctx, relayclient.DownloadParams{
				Queue: d.Queue, Blob: d.Info.Hash, Size: uint64(progress.size), From: uint64(done), Sink: file, Part: part,
				Progress: func(now, _ uint64) {
					done = int64(now)
					at(done)
					progress.set(done)
				},
			})
		})
	}
	if serr := file.Sync(); err == nil && serr != nil {
		err = fmt.Errorf("transfer: %w", serr)
	}
	if err != nil {
		return err
	}
	if err := sealedfile.Verify(file, d.Info.Hash, progress.size); err != nil {
		return fmt.Errorf("transfer: %w", err)
	}
	return nil
}
