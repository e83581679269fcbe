package mls

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// Kinds of state that is stored in one piece; the first byte of each. The second byte is
// stateVersion. A group is stored in records.
const (
	stateKeyPackage  = 1
	stateStaged      = 4
	statePublicGroup = 5

	stateVersion = 1
)

// sealState encodes a piece of state: kind, version, body, SHA-256 of all that. The digest
// finds damage, not tampering: whoever stores the state encrypts it.
func sealState(kind uint8, body func(*wire.Writer)) ([]byte, error) {
	var w wire.Writer
	w.Uint8(kind)
	w.Uint8(stateVersion)
	body(&w)
	b, err := w.Finish()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// openState is the inverse of sealState. Every failure is [ErrCorrupt]. The body gets a
// reader of a copy of b and calls its Finish.
func openState(kind uint8, b []byte, body func(*wire.Reader) error) error {
	n := len(b) - sha256.Size
	if n < 2 {
		return fmt.Errorf("%w: truncated", ErrCorrupt)
	}
	if sum := sha256.Sum256(b[:n]); !bytes.Equal(sum[:], b[n:]) {
		return fmt.Errorf("%w: checksum", ErrCorrupt)
	}
	if b[0] != kind || b[1] != stateVersion {
		return fmt.Errorf("%w: kind %d version %d", ErrCorrupt, b[0], b[1])
	}
	if err := body(wire.NewReader(bytes.Clone(b[2:n]))); err != nil {
		if errors.Is(err, ErrCorrupt) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}
