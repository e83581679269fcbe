package keyserver

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
)

// The kinds of chain entries.
const (
	kindRoot         uint8 = 1
	kindAddDevice    uint8 = 2
	kindRemoveDevice uint8 = 3
	kindSuites       uint8 = 4
)

// entry is one link of an account's chain (PROTOCOL.md section 2).
type entry struct {
	kind     uint8
	prev     [32]byte // SHA-256 of the entry before, with its signatures; not in a root
	by       [32]byte // the key that signs: a device, the recovery key in a root or removal
	device   DeviceID // added or removed; in a statement of suites the one that signs
	suites   []mls.Suite
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
	if e.kind != kindSuites {
		w.Raw(e.device[:])
	}
	if e.kind == kindRoot {
		w.Raw(e.nonce[:])
	}
	if e.kind != kindRemoveDevice {
		wire.WriteVector(w, e.suites, func(w *wire.Writer, s mls.Suite) { w.Uint16(uint16(s)) })
	}
}

// consented reports whether the entry is signed by the device that it adds, too.
func (e *entry) consented() bool { return e.kind == kindRoot || e.kind == kindAddDevice }

func (e *entry) MarshalWire(w *wire.Writer) {
	e.content(w)
	w.Raw(e.bySig[:])
	if e.consented() {
		w.Raw(e.consents[:])
	}
}

func (e *entry) UnmarshalWire(r *wire.Reader) {
	if v := r.Uint8(); r.Err() == nil && v != version {
		r.Fail(fmt.Errorf("entry of version %d: %w", v, ErrChain))
	}
	if e.kind = r.Uint8(); r.Err() == nil && (e.kind < kindRoot || e.kind > kindSuites) {
		r.Fail(fmt.Errorf("entry of kind %d: %w", e.kind, ErrChain))
	}
	if e.kind != kindRoot {
		r.Copy(e.prev[:])
	}
	r.Copy(e.by[:])
	if e.device = e.by; e.kind != kindSuites {
		r.Copy(e.device[:])
	}
	if e.kind == kindRoot {
		r.Copy(e.nonce[:])
	}
	if e.kind != kindRemoveDevice {
		e.suites = wire.Vector(r, func(r *wire.Reader) mls.Suite { return mls.Suite(r.Uint16()) })
		if !canonical(e.suites) {
			r.Fail(fmt.Errorf("suites are not in ascending order, or more than %d: %w", MaxSuites, ErrChain))
		}
	}
	r.Copy(e.bySig[:])
	if e.consented() {
		r.Copy(e.consents[:])
	}
}

// canonical reports whether a list of suites has the one form in which an entry states them.
func canonical(suites []mls.Suite) bool {
	for i := range suites {
		if i > 0 && suites[i] <= suites[i-1] {
			return false
		}
	}
	return len(suites) <= MaxSuites
}

// verify checks the entry's own signatures, not whether the signer may sign.
func (e *entry) verify() error {
	content := toBeSigned(labelEntry, e.content)
	if !signedBy(e.by, content, e.bySig[:]) {
		return fmt.Errorf("entry is not signed by the key that it names: %w", ErrChain)
	}
	if e.consented() && !signedBy(e.device, content, e.consents[:]) {
		return fmt.Errorf("entry is not signed by the device that it adds: %w", ErrChain)
	}
	return nil
}

// sign fills in the signatures and encodes the entry. consent is nil where it adds no device.
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
