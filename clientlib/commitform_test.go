package clientlib

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// enclosed is the envelope of a small commit.
func enclosed(t testing.TB, keys *epochKeys, message []byte) []byte {
	t.Helper()
	envelope, blob, _, err := encloseCommit(keys, message, maxInline)
	if err != nil || blob != nil {
		t.Fatalf("not a small commit: %v", err)
	}
	return envelope
}

// TestQ08_LargeCommitIsABlob: a commit beyond an envelope of 64 KiB stands in a blob, one
// within does not, and both come back as they were.
func TestQ08_LargeCommitIsABlob(t *testing.T) {
	t.Parallel()
	keys, next := testEpochs(t)
	for _, size := range []int{1, maxInline, maxInline + 1, 1 << 20} {
		message := bytes.Repeat([]byte{7}, size)
		envelope, blob, hash, err := encloseCommit(keys, message, maxInline)
		if err != nil {
			t.Fatal(err)
		}
		if large := size > maxInline; large != (blob != nil) || len(envelope) > 64<<10 || large && len(envelope) != minEnvelope {
			t.Errorf("%d bytes: an envelope of %d and a blob of %d", size, len(envelope), len(blob))
		}
		var kept []relay.Hash
		if blob != nil {
			if kept = []relay.Hash{hash}; sha256.Sum256(blob) != hash {
				t.Errorf("%d bytes: the blob has another name", size)
			}
		}
		c, err := discloseCommit(keys, envelope, kept)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.commitMessage(blob); err != nil || !bytes.Equal(got, message) {
			t.Errorf("%d bytes come back as %d: %v", size, len(got), err)
		}
		if _, err := discloseCommit(next, envelope, kept); !errors.Is(err, errOtherEpoch) {
			t.Errorf("%d bytes, in another epoch: %v", size, err)
		}
	}
}

// TestQ01_CommitWithoutItsBlob: whoever names a blob that the entry does not keep, names none,
// or keeps other bytes under the name, has made a dud for everybody.
func TestQ01_CommitWithoutItsBlob(t *testing.T) {
	t.Parallel()
	keys, _ := testEpochs(t)
	envelope, blob, hash, err := encloseCommit(keys, make([]byte, maxInline+1), maxInline)
	if err != nil {
		t.Fatal(err)
	}
	for name, kept := range map[string][]relay.Hash{"none": nil, "another": {{1}}} {
		if _, err := discloseCommit(keys, envelope, kept); !errors.Is(err, errBadCommit) {
			t.Errorf("the entry keeps %s: %v", name, err)
		}
	}
	c := need[*commitContent](t)(discloseCommit(keys, envelope, []relay.Hash{{1}, hash}))
	for name, b := range map[string][]byte{
		"nothing": nil, "cut": blob[:len(blob)-1], "longer": append(bytes.Clone(blob), 0), "other": make([]byte, len(blob)),
	} {
		if _, err := c.commitMessage(b); !errors.Is(err, errBadCommit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestR16_CommitContents: what is neither a commit nor a reference, cut anywhere, is refused,
// and a size beyond what anybody fetches.
func TestR16_CommitContents(t *testing.T) {
	t.Parallel()
	keys, _ := testEpochs(t)
	ref := append(append([]byte{commitInBlob}, make([]byte, 64)...), 0, 0, 0, 0, 0, 0, 1, 0)
	huge := append(append([]byte{commitInBlob}, make([]byte, 64)...), 0, 0, 0, 0, 1, 0, 0, 1)
	if err := wire.Unmarshal(ref, new(commitContent)); err != nil {
		t.Fatal(err)
	}
	bad := [][]byte{{}, {0}, {3, 1, 2}, append(bytes.Clone(ref), 0), huge}
	for n := range ref {
		bad = append(bad, ref[:n])
	}
	for _, b := range bad {
		envelope := need[[]byte](t)(keys.seal(relay.KindCommit, b))
		if _, err := discloseCommit(keys, envelope, []relay.Hash{{}}); !errors.Is(err, errBadCommit) {
			t.Errorf("%x: %v", b, err)
		}
	}
}
