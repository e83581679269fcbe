package mls

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"
)

// FuzzStored: state that is stored in one piece, with a checksum that fits it, loads into what
// is stored in the same bytes again, or is ErrCorrupt, or of another epoch. (FuzzLoadGroup is
// for what is stored in records.)
func FuzzStored(f *testing.F) {
	groups := trio(f)
	kp, secrets := keyPackage(f, "d")
	c := must(groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, Remove: []LeafIndex{1}, Now: testNow}))(f)
	removing := must(groups[1].Process(c.Message()))(f).(*StagedCommit)
	for _, sealed := range [][]byte{
		must(secrets.MarshalBinary())(f), must(c.MarshalBinary())(f), must(removing.MarshalBinary())(f),
	} {
		f.Add(sealed[:len(sealed)-sha256.Size])
	}
	load := func(b []byte) (interface{ MarshalBinary() ([]byte, error) }, error) {
		if len(b) > 0 && b[0] == stateKeyPackage {
			return UnmarshalKeyPackageSecrets(b)
		}
		return groups[0].LoadCommit(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := sha256.Sum256(b)
		sealed := append(bytes.Clone(b), sum[:]...)
		loaded, err := load(sealed)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrStale) {
				t.Fatal(err)
			}
			return
		}
		if again := must(loaded.MarshalBinary())(t); !bytes.Equal(again, sealed) {
			t.Errorf("%x is stored as %x", sealed, again)
		}
	})
}
