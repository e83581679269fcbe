package relayclient

import (
	"context"
	"fmt"
	"io"

	"github.com/sealpost/sealpost/relay"
)

// DownloadParams say what to download and where to.
type DownloadParams struct {
	Queue relay.QueueID
	Blob  relay.Hash
	Size  uint64 // bytes of the blob, as whoever named it said; a relay that tells another lies
	From  uint64 // bytes that the Sink has already
	Sink  io.WriterAt
	// Part is how many bytes a request asks for, at most relay.MaxBlobPart; 0 means 64 KiB.
	Part int
	// Progress, if set, gets how much the Sink has, after each part. It is called from the
	// goroutine of Download, which it holds up.
	Progress func(done, size uint64)
}

// Download writes the bytes of a blob from From to its end to the Sink, in order and without
// gaps, so that the end of what was written is where another Download goes on. Several requests
// are under way, at most 1 MiB, and the relay may answer them in any order. No key is shown.
//
// The bytes are the relay's word: the caller checks the hash of the whole before it believes
// any of them.
//
// Errors: relay.ErrUnknown if the relay does not have the blob (any more); [ErrProtocol] if it
// gives another size, or more or less than was asked for; [ErrDisconnected]; the Sink's; the
// context's cause.
func (c *Conn) Download(ctx context.Context, p DownloadParams) error {
	part := partSize(p.Part)
	type read struct {
		call *BlobRead
		at   uint64
	}
	var flying []read
	done, next := p.From, p.From
	for answered := 0; done < p.Size; answered++ {
		for next < p.Size && len(flying) < ahead(answered, part) {
			n := min(uint64(part), p.Size-next)
			flying = append(flying, read{c.GetBlob(p.Queue, p.Blob, next, uint32(n)), next})
			next += n
		}
		oldest := flying[0]
		flying = flying[1:]
		got, err := oldest.call.Wait(ctx)
		if err != nil {
			return err
		}
		if got.Size != p.Size {
			return c.lied("a blob of another size")
		}
		if _, err := p.Sink.WriteAt(got.Data, int64(oldest.at)); err != nil {
			return fmt.Errorf("relayclient: writing what was downloaded: %w", err)
		}
		done += uint64(len(got.Data))
		if p.Progress != nil {
			p.Progress(done, p.Size)
		}
	}
	return nil
}
