package clientlib

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"hash"
	"time"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// dialFor opens a session of its own for a blob: messages do not wait behind it, and the relay
// sees no more of who fetches than that somebody does.
func (e *engine) dialFor(ctx context.Context, addr relay.Address) (*relayclient.Conn, error) {
	return relayclient.Dial(ctx, addr, e.dialOptions())
}

// blobStall is how long a session for a blob may move nothing: a relay that answers PINGs and
// nothing else holds nobody for longer (ATTACKS A20).
const blobStall = 2 * time.Minute

// blobPart is how many bytes of a commit a request moves: few, so that something comes through
// a line that is often cut.
const blobPart = 16 << 10

// Why what came is not a commit's blob. Neither says anything about its author.
var (
	errStalled   = errors.New("clientlib: nothing of a blob moved for too long")
	errOtherBlob = errors.New("clientlib: the relay gave other bytes than those that a hash names")
)

// stalling returns a context that ends with errStalled when moved was not called for blobStall.
func stalling(ctx context.Context) (within context.Context, moved, end func()) {
	within, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(blobStall, func() { cancel(errStalled) })
	return within, func() { timer.Reset(blobStall) }, func() { timer.Stop(); cancel(nil) }
}

// putBlob uploads what is in memory: one try.
func (e *engine) putBlob(ctx context.Context, addr relay.Address, queue relay.QueueID, reader ed25519.PrivateKey, hash relay.Hash, blob []byte) error {
	conn, err := e.dialFor(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, moved, end := stalling(ctx)
	defer end()
	return conn.Upload(ctx, relayclient.UploadParams{
		Queue: queue, Key: reader, Blob: hash, Size: uint64(len(blob)), Days: commitDays, Source: bytes.NewReader(blob),
		Part: blobPart, Progress: func(_, _ uint64) { moved() },
	})
}

// arriving is a commit's blob on its way; what has come stays over a new try. It holds no more
// than has come, and nothing of a blob of another size: of that only the hash is of interest.
type arriving struct {
	want uint64 // bytes, as the commit says
	size uint64 // as the relay says
	done uint64
	sum  hash.Hash // of what has come; nil before the first try
	kept []byte
}

// begin starts over if the relay tells another size than before.
func (a *arriving) begin(size uint64) {
	if a.sum == nil || size != a.size {
		*a = arriving{want: a.want, size: size, sum: sha256.New()}
	}
}

// WriteAt takes what Download writes, which is in order and without gaps.
func (a *arriving) WriteAt(b []byte, _ int64) (int, error) {
	a.sum.Write(b) // never fails
	if a.size == a.want {
		a.kept = append(a.kept, b...)
	}
	a.done += uint64(len(b))
	return len(b), nil
}

// getBlob goes on with the download of a commit's blob, of whatever size the relay says that
// it has, and returns nil when all is there and is what the hash names.
func (e *engine) getBlob(ctx context.Context, addr relay.Address, queue relay.QueueID, hash relay.Hash, a *arriving) error {
	conn, err := e.dialFor(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, moved, end := stalling(ctx)
	defer end()
	first, err := conn.GetBlob(queue, hash, 0, 1).Wait(ctx)
	if err != nil {
		return err
	}
	a.begin(first.Size)
	err = conn.Download(ctx, relayclient.DownloadParams{
		Queue: queue, Blob: hash, Size: a.size, From: a.done, Sink: a,
		Part: blobPart, Progress: func(_, _ uint64) { moved() },
	})
	if err == nil && [32]byte(a.sum.Sum(nil)) != hash {
		a.sum = nil
		return errOtherBlob
	}
	return err
}
