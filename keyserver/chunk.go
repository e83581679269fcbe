package keyserver

import (
	"crypto/sha256"

	"github.com/sealpost/sealpost/internal/wire"
)

// ChunkHash names a chunk of group state: SHA-256 of its bytes, which are sealed already.
type ChunkHash [sha256.Size]byte

// HashChunk returns the chunk's name.
func HashChunk(chunk []byte) ChunkHash { return sha256.Sum256(chunk) }

// Chunk is the body of a put request and of the answer to a get.
type Chunk struct{ Data []byte }

// MarshalWire writes the body.
func (c *Chunk) MarshalWire(w *wire.Writer) { w.Bytes(c.Data) }

// UnmarshalWire reads the body; an empty chunk is refused.
func (c *Chunk) UnmarshalWire(r *wire.Reader) {
	if c.Data = atMost(r, MaxChunk); r.Err() == nil && len(c.Data) == 0 {
		r.Fail(ErrInvalid)
	}
}

// ChunkName is the body of a get request and of the answer to a put.
type ChunkName struct{ Hash ChunkHash }

// MarshalWire writes the body.
func (c *ChunkName) MarshalWire(w *wire.Writer) { w.Raw(c.Hash[:]) }

// UnmarshalWire reads the body.
func (c *ChunkName) UnmarshalWire(r *wire.Reader) { r.Copy(c.Hash[:]) }
