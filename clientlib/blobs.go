package clientlib

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/clientlib/internal/sealedfile"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// dialFor opens a session of its own for a blob: messages do not wait behind it, and the relay
// sees no more of who fetches than that somebody does.
func (e *engine) dialFor(ctx context.Context, addr relay.Address) (*relayclient.Conn, error) {
	return relayclient.Dial(ctx, addr, e.dialOptions())
}

// putBlob uploads what is in memory: one try.
func (e *engine) putBlob(ctx context.Context, addr relay.Address, queue relay.QueueID, reader ed25519.PrivateKey, hash relay.Hash, blob []byte) error {
	conn, err := e.dialFor(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Upload(ctx, relayclient.UploadParams{
		Queue: queue, Key: reader, Blob: hash, Size: uint64(len(blob)), Days: commitDays, Source: bytes.NewReader(blob),
	})
}

// memory is a place for a blob whose size is known; what has come stays over a new try.
type memory struct {
	b    []byte
	done uint64
}

// WriteAt takes what Download writes: in order, and never more than was asked for.
func (m *memory) WriteAt(b []byte, at int64) (int, error) {
	n := copy(m.b[at:], b)
	m.done = uint64(at) + uint64(n)
	return n, nil
}

// getBlob goes on with the download of a small blob to memory, and verifies it when it is all
// there. errOtherBlob: it is not what its name and size say.
func (e *engine) getBlob(ctx context.Context, addr relay.Address, queue relay.QueueID, blob *sealedfile.Info, m *memory) error {
	conn, err := e.dialFor(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if m.b == nil {
		m.b = make([]byte, blob.Size())
	}
	err = conn.Download(ctx, relayclient.DownloadParams{
		Queue: queue, Blob: blob.Hash, Size: uint64(len(m.b)), From: m.done, Sink: m,
	})
	if errors.Is(err, relayclient.ErrProtocol) {
		return fmt.Errorf("%w: %w", errOtherBlob, err)
	}
	if err == nil && sha256.Sum256(m.b) != blob.Hash {
		m.done = 0
		return errOtherBlob
	}
	return err
}
