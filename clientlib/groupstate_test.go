package clientlib

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
)

// chunkServer answers with what it was given for an address, true or not: the group state
// has to hold even where the check of the hash is lost.
type chunkServer map[[32]byte][]byte

func (s chunkServer) get(_ context.Context, address [32]byte) ([]byte, error) {
	chunk, ok := s[address]
	if !ok {
		return nil, keyserver.ErrNotFound
	}
	return chunk, nil
}

func (s chunkServer) fetch(t testing.TB, state *sealedState) ([]byte, error) {
	t.Helper()
	return fetchState(t.Context(), s.get, state.Index, state.Key)
}

func serve(states ...*sealedState) chunkServer {
	s := chunkServer{}
	for _, state := range states {
		for _, chunk := range state.Chunks {
			s[sha256.Sum256(chunk)] = bytes.Clone(chunk)
		}
	}
	return s
}

func testTree(size int) []byte {
	tree := make([]byte, size)
	rand.Read(tree)
	return tree
}

func TestGroupStateSizes(t *testing.T) {
	t.Parallel()
	for size, chunks := range map[int]int{
		0: 0, 1: 1, minChunk: 1, chunkContent - 1: 1, chunkContent: 1, chunkContent + 1: 2, 5*chunkContent + 100: 6,
	} {
		tree := testTree(size)
		state := need[*sealedState](t)(sealState(tree))
		if len(state.Chunks) != chunks+1 {
			t.Errorf("a tree of %d bytes makes %d chunks and an index", size, len(state.Chunks)-1)
		}
		for i, chunk := range state.Chunks {
			if n := len(chunk); n&(n-1) != 0 || n < minChunk || n > 64<<10 || n > keyserver.MaxChunk {
				t.Errorf("chunk %d of a tree of %d bytes has %d", i, size, n)
			}
		}
		if got, err := serve(state).fetch(t, state); err != nil || !bytes.Equal(got, tree) {
			t.Errorf("a tree of %d bytes comes back with %d: %v", size, len(got), err)
		}
	}
}

// TestB14_LyingKeyServer: every chunk swapped, cut, changed, or replayed from another state.
func TestB14_LyingKeyServer(t *testing.T) {
	t.Parallel()
	tree := testTree(2*chunkContent + 1000)
	state, other := need[*sealedState](t)(sealState(tree)), need[*sealedState](t)(sealState(tree))
	refused := func(name string, s chunkServer) {
		t.Helper()
		if got, err := s.fetch(t, state); !errors.Is(err, ErrBadGroupState) || got != nil {
			t.Errorf("%s: %d bytes, %v, want ErrBadGroupState", name, len(got), err)
		}
	}
	if _, err := serve(state, other).fetch(t, state); err != nil {
		t.Fatal(err)
	}
	for i, chunk := range state.Chunks {
		at := sha256.Sum256(chunk)
		for j, shown := range state.Chunks {
			if i != j {
				s := serve(state)
				s[at] = shown
				refused(fmt.Sprintf("chunk %d shown as %d", j, i), s)
			}
		}
		for _, n := range []int{0, 1, 15, 16, len(chunk) / 2, len(chunk) - 1} {
			s := serve(state)
			s[at] = chunk[:n]
			refused(fmt.Sprintf("chunk %d cut to %d bytes", i, n), s)
		}
		for _, at2 := range []int{0, lengthSize, len(chunk) / 2, len(chunk) - 1} {
			s := serve(state)
			s[at][at2] ^= 1
			refused(fmt.Sprintf("chunk %d changed at %d", i, at2), s)
		}
		s := serve(state)
		s[at] = append(s[at], 0)
		refused(fmt.Sprintf("chunk %d with a byte more", i), s)
		s[at] = other.Chunks[i]
		refused(fmt.Sprintf("chunk %d of another state", i), s)

		s = serve(state)
		delete(s, at)
		if _, err := s.fetch(t, state); !errors.Is(err, keyserver.ErrNotFound) || errors.Is(err, ErrBadGroupState) {
			t.Errorf("chunk %d is missing: %v, want the server's own error", i, err)
		}
	}
	whole := serve(other)
	whole[state.Index] = other.Chunks[len(other.Chunks)-1]
	refused("another state as a whole", whole)
}

func TestB14_WrongKey(t *testing.T) {
	t.Parallel()
	state := need[*sealedState](t)(sealState(testTree(1000)))
	other := need[*sealedState](t)(sealState(testTree(1000)))
	for name, key := range map[string]secret{
		"of another state": other.Key, "one bit off": append(bytes.Clone(state.Key[:31]), state.Key[31]^1), "short": state.Key[:31], "none": nil,
	} {
		if _, err := fetchState(t.Context(), serve(state).get, state.Index, key); !errors.Is(err, ErrBadGroupState) {
			t.Errorf("key %s: %v, want ErrBadGroupState", name, err)
		}
	}
}

// TestB14_IndexAgainstItsChunks: the member who made the state lies about it.
func TestB14_IndexAgainstItsChunks(t *testing.T) {
	t.Parallel()
	good := need[*sealedState](t)(sealState(testTree(chunkContent + 1000)))
	hashes := [][32]byte{sha256.Sum256(good.Chunks[0]), sha256.Sum256(good.Chunks[1])}
	encode := func(x stateIndex) []byte { return need[[]byte](t)(wire.Marshal(&x)) }
	size := uint32(chunkContent + 1000)
	for name, c := range map[string]struct {
		index []byte
		want  error
	}{
		"true":                   {encode(stateIndex{size, hashes}), nil},
		"a byte less":            {encode(stateIndex{size - 1, hashes}), ErrBadGroupState},
		"a byte more":            {encode(stateIndex{size + 1, hashes}), ErrBadGroupState},
		"four gigabytes":         {encode(stateIndex{1<<32 - 1, hashes}), ErrBadGroupState},
		"over the limit":         {encode(stateIndex{maxTreeSize + 1, make([][32]byte, maxTreeSize/chunkContent+2)}), ErrBadGroupState},
		"a chunk missing":        {encode(stateIndex{size, hashes[:1]}), ErrBadGroupState},
		"chunks in other order":  {encode(stateIndex{size, [][32]byte{hashes[1], hashes[0]}}), ErrBadGroupState},
		"a chunk twice":          {encode(stateIndex{2 * chunkContent, [][32]byte{hashes[0], hashes[0]}}), ErrBadGroupState},
		"the index as a chunk":   {encode(stateIndex{size, [][32]byte{good.Index, hashes[1]}}), ErrBadGroupState},
		"more than it says":      {encode(stateIndex{100, hashes}), ErrBadGroupState},
		"no index":               {nil, ErrBadGroupState},
		"half a hash":            {encode(stateIndex{size, hashes})[:50], ErrBadGroupState},
		"bytes after the hashes": {append(encode(stateIndex{size, hashes}), 0), ErrBadGroupState},
	} {
		chunk := need[[]byte](t)(sealChunk(good.Key, 0, c.index))
		lie := &sealedState{Index: sha256.Sum256(chunk), Key: good.Key}
		s := serve(good)
		s[lie.Index] = chunk
		if _, err := s.fetch(t, lie); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestB14_ChunkPadding: a maker that hides bytes behind the content is refused like any liar,
// and not taken for a server that is worth asking again.
func TestB14_ChunkPadding(t *testing.T) {
	t.Parallel()
	key := newSecret()
	aead := need[cipher.AEAD](t)(chacha20poly1305.NewX(key))
	plain := make([]byte, minChunk-chacha20poly1305.Overhead)
	plain[len(plain)-1] = 1
	chunk := aead.Seal(nil, chunkNonce(0), plain, []byte(sealGroupState))
	lie := &sealedState{Chunks: [][]byte{chunk}, Index: sha256.Sum256(chunk), Key: key}
	if _, err := serve(lie).fetch(t, lie); !errors.Is(err, ErrBadGroupState) {
		t.Errorf("padding that is not zero: %v, want ErrBadGroupState", err)
	}
}

// TestB14_TreeOfAnotherEpoch: chunks that open and belong together, and hold the tree of an
// earlier epoch. The Welcome names the tree's hash.
func TestB14_TreeOfAnotherEpoch(t *testing.T) {
	t.Parallel()
	g := newTestDevice(t).mlsGroup(t, &policy{Kind: Group, AnyoneAdd: true})
	before := g.RatchetTree()
	kp, secrets := newTestDevice(t).keyPackage(t, nil)
	staged := need[*mls.StagedCommit](t)(g.Commit(mls.CommitParams{Add: []*mls.KeyPackage{kp}, Now: time.Now()}))
	welcome := staged.Welcomes()[0].Message
	for name, c := range map[string]struct {
		tree []byte
		want error
	}{
		"the tree": {staged.Next().RatchetTree(), nil}, "an earlier one": {before, mls.ErrTreeMismatch},
	} {
		state := need[*sealedState](t)(sealState(c.tree))
		tree := need[[]byte](t)(serve(state).fetch(t, state))
		if _, err := mls.Join(welcome, secrets, mls.JoinParams{Tree: tree, Application: application}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
