package relayclient

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"github.com/sealpost/sealpost/relay"
)

// Our own limits on moving blobs.
const (
	// blobPart is how many bytes one request moves, unless the caller says otherwise: a
	// megabyte a second is sixteen of them.
	blobPart = 64 << 10
	// blobAhead bounds what is under way of one upload or download, in bytes: a round trip of
	// 200 ms at 5 MiB/s, and what it holds in memory.
	blobAhead = 1 << 20
	// maxAhead bounds the same in parts.
	maxAhead = 16
)

// ErrUploadOver: the relay no longer takes parts of this upload in this session, because
// another session goes on with it or it was given up. What was stored may stand: begin again.
var ErrUploadOver = errors.New("relayclient: the upload is over in this session")

// UploadParams say what to upload and as whom.
type UploadParams struct {
	Queue   relay.QueueID
	Key     ed25519.PrivateKey // of a reader of the queue, or of a writer
	Purpose relay.ProofPurpose // relay.ProveWrite for a writer's key; 0 is relay.ProveRead
	Blob    relay.Hash         // SHA-256 of the bytes of Source
	Size    uint64             // bytes of Source
	Days    uint16             // how long the relay keeps the blob; 0 is its default
	Source  io.ReaderAt
	// Part is how many bytes a request carries, at most relay.MaxBlobPart; 0 means 64 KiB. On
	// a line that breaks often smaller parts come through.
	Part int
	// Progress, if set, gets how much the relay has, after each part. It is called from the
	// goroutine of Upload, which it holds up.
	Progress func(stored, size uint64)
}

// Upload stores a blob, from where the relay has it already, and returns nil once the relay
// says that the whole is verified and on disk. At most 1 MiB of it is in memory.
//
// Errors: a [*relay.Refusal] (MALFORMED after all was sent: the bytes of Source are not those
// of the hash, and the relay has erased them); [ErrUploadOver]; [ErrDisconnected], after
// which Upload over another Conn goes on; the Source's; the context's cause.
func (c *Conn) Upload(ctx context.Context, p UploadParams) error {
	state, err := c.StoreBlob(StoreBlobParams{
		Queue: p.Queue, Key: p.Key, Purpose: p.Purpose, Blob: p.Blob, Size: p.Size, Days: p.Days,
	}).Wait(ctx)
	if err != nil {
		return err
	}
	u := &upload{c: c, p: p, part: partSize(p.Part), next: state.Stored, stored: state.Stored}
	u.report()
	for !state.Complete {
		if err := u.fill(); err != nil {
			return err
		}
		if state, err = u.answer(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ahead is how many parts may be under way when answered were answered in this session. It
// begins with one: on a line that is cut every few KiB, what is sent at once is lost at once.
func ahead(answered, part int) int {
	return max(1, min(answered+1, maxAhead, blobAhead/part))
}

func partSize(asked int) int {
	if asked <= 0 {
		return blobPart
	}
	return min(asked, relay.MaxBlobPart)
}

// upload is one Upload under way; owned by its goroutine.
type upload struct {
	c        *Conn
	p        UploadParams
	part     int
	next     uint64    // offset of the next part
	stored   uint64    // as the relay says
	answered int       // parts
	flying   []putPart // in order
	spare    [][]byte  // buffers of parts that were answered
}

type putPart struct {
	call *BlobCall
	data []byte
	end  uint64 // offset behind it
}

func (u *upload) report() {
	if u.p.Progress != nil {
		u.p.Progress(u.stored, u.p.Size)
	}
}

// fill sends parts until enough is under way.
func (u *upload) fill() error {
	for u.next < u.p.Size && len(u.flying) < ahead(u.answered, u.part) {
		var data []byte
		if n := len(u.spare); n > 0 {
			data, u.spare = u.spare[n-1], u.spare[:n-1]
		} else {
			data = make([]byte, u.part)
		}
		data = data[:min(uint64(u.part), u.p.Size-u.next)]
		if n, err := u.p.Source.ReadAt(data, int64(u.next)); n < len(data) {
			return fmt.Errorf("relayclient: reading what to upload: %w", err)
		}
		call := u.c.PutBlob(u.p.Queue, u.p.Blob, u.next, data)
		u.next += uint64(len(data))
		u.flying = append(u.flying, putPart{call, data, u.next})
	}
	return nil
}

// answer waits for the oldest part.
func (u *upload) answer(ctx context.Context) (BlobState, error) {
	if len(u.flying) == 0 {
		return BlobState{}, u.c.lied("a blob without an end")
	}
	oldest := u.flying[0]
	state, err := oldest.call.Wait(ctx)
	switch {
	case errors.Is(err, relay.ErrUnknown):
		return state, fmt.Errorf("%w: %w", ErrUploadOver, err)
	case err != nil:
		return state, err
	case state.Stored < oldest.end || state.Stored > u.next || state.Complete != (oldest.end == u.p.Size):
		return state, u.c.lied("a part of a blob stored otherwise than it was sent")
	}
	u.answered++
	u.flying = u.flying[1:]
	u.spare = append(u.spare, oldest.data[:cap(oldest.data)])
	u.stored = max(u.stored, state.Stored)
	u.report()
	return state, nil
}
