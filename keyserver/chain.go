package keyserver

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// The kinds of chain entries.
const (
	kindRoot         uint8 = 1
	kindAddDevice    uint8 = 2
	kindRemoveDevice uint8 = 3
)

// entry is one link of an account's chain (PROTOCOL.md section 2).
type entry struct {
	kind     uint8
	prev     [32]byte // SHA-256 of the entry before, with its signatures; not in a root
	by       [32]byte // the key that signs: a device, the recovery key in a root or removal
	device   DeviceID // added or removed
	nonce    [16]byte // only in a root: two accounts of the same keys are two accounts
	bySig    [ed25519.SignatureSize]byte
	consents [ed25519.SignatureSize]byte // the device's own; not in a removal
}

// content writes the entry without its signatures.
func (e *entry) content(w *wire.Writer) {
	w.Uint8(version)
	w.Uint8(e.kind)
	if e.kind != kindRoot {
		w.Raw(e.prev[:])
	}
	w.Raw(e.by[:])
	w.Raw(e.device[:])
	if e.kind == kindRoot {
		w.Raw(e.nonce[:])
	}
}

func (e *entry) MarshalWire(w *wire.Writer) {
	e.content(w)
	w.Raw(e.bySig[:])
	if e.kind != kindRemoveDevice {
		w.Raw(e.consents[:])
	}
}

func (e *entry) UnmarshalWire(r *wire.Reader) {
	if v := r.Uint8(); r.Err() == nil && v != version {
		r.Fail(fmt.Errorf("entry of version %d: %w", v, ErrChain))
	}
	if e.kind = r.Uint8(); r.Err() == nil && (e.kind < kindRoot || e.kind > kindRemoveDevice) {
		r.Fail(fmt.Errorf("entry of kind %d: %w", e.kind, ErrChain))
	}
	if e.kind != kindRoot {
		r.Copy(e.prev[:])
	}
	r.Copy(e.by[:])
	r.Copy(e.device[:])
	if e.kind == kindRoot {
		r.Copy(e.nonce[:])
	}
	r.Copy(e.bySig[:])
	if e.kind != kindRemoveDevice {
		r.Copy(e.consents[:])
	}
}

// verify checks the entry's own signatures, not whether the signer may sign.
func (e *entry) verify() error {
	content := toBeSigned(labelEntry, e.content)
	if !signedBy(e.by, content, e.bySig[:]) {
		return fmt.Errorf("entry is not signed by the key that it names: %w", ErrChain)
	}
	if e.kind != kindRemoveDevice && !signedBy(e.device, content, e.consents[:]) {
		return fmt.Errorf("entry is not signed by the device that it adds: %w", ErrChain)
	}
	return nil
}

// sign fills in the signatures and encodes the entry. consent is nil for a removal.
func (e *entry) sign(by, consent ed25519.PrivateKey) ([]byte, error) {
	content := toBeSigned(labelEntry, e.content)
	e.bySig = [64]byte(ed25519.Sign(by, content))
	if consent != nil {
		e.consents = [64]byte(ed25519.Sign(consent, content))
	}
	return wire.Marshal(e)
}

func parseEntry(b []byte) (*entry, error) {
	if len(b) > MaxEntry {
		return nil, fmt.Errorf("entry of %d bytes: %w", len(b), ErrChain)
	}
	var e entry
	if err := wire.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChain, err)
	}
	return &e, nil
}

// EntryHash returns the hash that the next entry of a chain names, and of the first entry
// the account's id.
func EntryHash(entry []byte) [32]byte { return sha256.Sum256(entry) }
