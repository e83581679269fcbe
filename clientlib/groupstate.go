package clientlib

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sealpost/sealpost/internal/wire"
)

// The group state that a joiner needs beside its Welcome: the ratchet tree. It lies at the
// key server as sealed chunks, addressed by the hash of their ciphertext; the invitation
// carries the address and the key of an index chunk that lists the others.
const (
	chunkContent = 64<<10 - chacha20poly1305.Overhead - lengthSize
	minChunk     = 4 << 10
	maxTreeSize  = 64 << 20 // bytes: what a joiner fetches at most
)

// ErrBadGroupState is returned when the key server answers with chunks that do not belong
// to the invitation.
var ErrBadGroupState = errors.New("clientlib: group state does not match the invitation")

// sealedState is a tree made ready for upload.
type sealedState struct {
	Chunks [][]byte // the index is the last
	Index  [32]byte
	Key    secret
}

// stateIndex is the content of the index chunk.
type stateIndex struct {
	size   uint32
	hashes [][32]byte
}

func (x *stateIndex) MarshalWire(w *wire.Writer) {
	w.Uint8(1)
	w.Uint32(x.size)
	wire.WriteVector(w, x.hashes, func(w *wire.Writer, h [32]byte) { w.Raw(h[:]) })
}

func (x *stateIndex) UnmarshalWire(r *wire.Reader) {
	if r.Uint8() != 1 {
		r.Fail(ErrBadGroupState)
	}
	x.size = r.Uint32()
	x.hashes = wire.Vector(r, func(r *wire.Reader) (h [32]byte) {
		r.Copy(h[:])
		return h
	})
}

// chunkNonce numbers the chunks under one key; the index is number 0. The key is drawn anew
// for every state, so no nonce ever repeats under it.
func chunkNonce(n uint64) []byte {
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	binary.BigEndian.PutUint64(nonce[chacha20poly1305.NonceSizeX-8:], n)
	return nonce
}

func sealChunk(key secret, n uint64, content []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	size := minChunk
	for size < lengthSize+len(content)+chacha20poly1305.Overhead {
		size *= 2 // powers of two, so that the size says little of the group
	}
	plain := make([]byte, size-chacha20poly1305.Overhead)
	binary.BigEndian.PutUint32(plain, uint32(len(content)))
	copy(plain[lengthSize:], content)
	return aead.Seal(nil, chunkNonce(n), plain, []byte(sealGroupState)), nil
}

func openChunk(key secret, n uint64, chunk []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, ErrBadGroupState
	}
	plain, err := aead.Open(nil, chunkNonce(n), chunk, []byte(sealGroupState))
	if err != nil {
		return nil, ErrBadGroupState
	}
	content, err := unpad(plain)
	if err != nil {
		return nil, ErrBadGroupState
	}
	return content, nil
}

// sealState cuts a ratchet tree into sealed chunks under a fresh key.
func sealState(tree []byte) (*sealedState, error) {
	s := &sealedState{Key: newSecret()}
	index := stateIndex{size: uint32(len(tree))}
	for n := uint64(1); len(tree) > 0; n++ {
		take := min(len(tree), chunkContent)
		chunk, err := sealChunk(s.Key, n, tree[:take])
		if err != nil {
			return nil, err
		}
		s.Chunks = append(s.Chunks, chunk)
		index.hashes = append(index.hashes, sha256.Sum256(chunk))
		tree = tree[take:]
	}
	content, err := wire.Marshal(&index)
	if err != nil {
		return nil, err
	}
	chunk, err := sealChunk(s.Key, 0, content)
	if err != nil {
		return nil, err
	}
	s.Chunks = append(s.Chunks, chunk)
	s.Index = sha256.Sum256(chunk)
	return s, nil
}

// fetchState gets a tree back. get returns the chunk at an address and has verified its hash.
func fetchState(ctx context.Context, get func(context.Context, [32]byte) ([]byte, error), address [32]byte, key secret) ([]byte, error) {
	chunk, err := get(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("fetching the group state's index: %w", err)
	}
	content, err := openChunk(key, 0, chunk)
	if err != nil {
		return nil, err
	}
	var index stateIndex
	if wire.Unmarshal(content, &index) != nil || index.size > maxTreeSize ||
		len(index.hashes) != (int(index.size)+chunkContent-1)/chunkContent {
		return nil, ErrBadGroupState
	}
	var tree []byte
	for i, h := range index.hashes {
		if chunk, err = get(ctx, h); err != nil {
			return nil, fmt.Errorf("fetching the group state: %w", err)
		}
		if content, err = openChunk(key, uint64(i)+1, chunk); err != nil {
			return nil, err
		}
		if tree = append(tree, content...); len(tree) > int(index.size) {
			return nil, ErrBadGroupState // before fetching what its maker adds beyond the limit
		}
	}
	if len(tree) != int(index.size) {
		return nil, ErrBadGroupState
	}
	return tree, nil
}
