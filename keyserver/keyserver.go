// Package keyserver is the vocabulary, the wire format and the client of the Sealpost key
// server: accounts as signed chains of devices, pools of MLS KeyPackages of which each is
// handed out once, and sealed chunks of group state by their hash. PROTOCOL.md beside this
// file is normative.
//
// Start with [NewClient] to talk to a server, and with [VerifyChain] for what a client must
// believe: a chain's signatures, never the server's word. [SignCredential] and
// [Credential.Verify] are the identity inside an MLS leaf, [CheckPackage] is what both sides
// ask of a KeyPackage.
//
// The server is the subpackage httpserver over directory (accounts and pools) and groupstate
// (chunks). Out of scope here: who may register (later: invitations and tokens), and the
// transparency log, which will make a split view of the directory visible.
//
// Everything but [Client] is pure: no clock, no network, no storage. What is encoded here is
// fixed by the version numbers and labels inside; a change of meaning gets a new label.
package keyserver

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"log/slog"

	"github.com/sealpost/sealpost/internal/edkey"
	"github.com/sealpost/sealpost/internal/wire"
)

// The protocol's constants. Every signature covers its label first, so that none of them
// means anything in another place.
const (
	// MediaType is the Content-Type of every request and answer.
	MediaType = "application/sealpost"

	// version is the first byte of every chain entry and credential.
	version = 1

	labelEntry      = "sealpost account entry 1"
	labelCredential = "sealpost credential 1"
	labelRegister   = "sealpost register 1"
	labelUpload     = "sealpost upload 1"
	labelStock      = "sealpost stock 1"
)

// AccountID names an account: SHA-256 of its chain's first entry. It is no secret, yet it
// names a person: it prints itself for a contact card and is redacted in logs.
type AccountID [32]byte

// String returns the id in lower-case hex, the form of contact cards and command lines.
func (a AccountID) String() string { return hex.EncodeToString(a[:]) }

// LogValue keeps account ids out of structured logs.
func (AccountID) LogValue() slog.Value { return slog.StringValue("redacted") }

// ParseAccountID reads the form that [AccountID.String] writes.
func ParseAccountID(s string) (AccountID, error) {
	var a AccountID
	if len(s) != 2*len(a) {
		return a, fmt.Errorf("account id has %d characters, not %d: %w", len(s), 2*len(a), ErrInvalid)
	}
	if _, err := hex.Decode(a[:], []byte(s)); err != nil || a.String() != s {
		return AccountID{}, fmt.Errorf("account id is not lower-case hex: %w", ErrInvalid)
	}
	return a, nil
}

// DeviceID names a device: its Ed25519 public key.
type DeviceID [ed25519.PublicKeySize]byte

// String returns the id in lower-case hex.
func (d DeviceID) String() string { return hex.EncodeToString(d[:]) }

// LogValue keeps device ids out of structured logs.
func (DeviceID) LogValue() slog.Value { return slog.StringValue("redacted") }

// DeviceOf returns the id of the device that holds key.
func DeviceOf(key ed25519.PrivateKey) DeviceID {
	return DeviceID(key.Public().(ed25519.PublicKey))
}

// CheckHandle tells whether h can be a handle: 1 to 64 bytes of a-z, 0-9, dot, underscore and
// hyphen. One spelling only, so that no two handles look or compare alike.
func CheckHandle(h string) error {
	if len(h) == 0 || len(h) > MaxHandle {
		return fmt.Errorf("handle has %d bytes, not 1 to %d: %w", len(h), MaxHandle, ErrInvalid)
	}
	for i := range len(h) {
		c := h[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return fmt.Errorf("handle holds a byte outside a-z 0-9 . _ -: %w", ErrInvalid)
		}
	}
	return nil
}

// toBeSigned returns label and what fill writes: the bytes under a signature.
func toBeSigned(label string, fill func(*wire.Writer)) []byte {
	var w wire.Writer
	w.Bytes([]byte(label))
	fill(&w)
	b, err := w.Finish()
	if err != nil {
		// Only a vector above 1 GiB ends here, and all that we sign is bounded far below. No
		// signature verifies over nothing.
		return nil
	}
	return b
}

// signedBy tells whether sig is key's Ed25519 signature over content. Empty content, which
// only a failed [toBeSigned] returns, is signed by nobody.
func signedBy(key [32]byte, content, sig []byte) bool {
	return len(content) > 0 && len(sig) == ed25519.SignatureSize && edkey.Verify(key[:], content, sig)
}
