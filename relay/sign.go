package relay

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/internal/edkey"
	"github.com/sealpost/sealpost/internal/wire"
)

// Binding is what the signatures of a session are bound to. The handshake hash makes a
// captured proof worthless in every other session (ATTACKS R04); the relay's key is what
// a LEAVE, deposited long before, is bound to instead.
type Binding struct {
	RelayKey  RelayKey
	Handshake Hash // Noise's h after the second handshake message
}

// Signer signs message with the private half of key. It fails with [ErrNoKey] when it has
// none. Implementations may be called from several goroutines.
type Signer func(key PublicKey, message []byte) (Signature, error)

// ErrNoKey is a Signer's answer for a key that it does not hold. Nothing was signed.
var ErrNoKey = errors.New("relay: no private key for this public key")

// Keys returns a Signer that holds the given private keys.
func Keys(private ...ed25519.PrivateKey) Signer {
	return func(key PublicKey, message []byte) (Signature, error) {
		for _, p := range private { // one or two
			if PublicKey(p.Public().(ed25519.PublicKey)) == key {
				return Signature(ed25519.Sign(p, message)), nil
			}
		}
		return Signature{}, ErrNoKey
	}
}

// The purposes of signatures. No two frames share one, so no signature fits another frame.
const (
	purposeRead      = "read"
	purposeWrite     = "write"
	purposeCreate    = "create"
	purposeConfigure = "configure"
	purposeCommit    = "commit"
	purposeAdmins    = "admins"
	purposeRekey     = "rekey"
	purposeKnock     = "knock"
	purposeDelete    = "delete"
)

// signed returns the bytes that a session's signature is over.
func (b Binding) signed(purpose string, queue QueueID, digest Hash) []byte {
	var w wire.Writer
	w.Bytes([]byte("sealpost relay 1 " + purpose))
	w.Raw(b.Handshake[:])
	w.Raw(queue[:])
	w.Raw(digest[:])
	out, _ := w.Finish() // cannot fail: every field is short
	return out
}

func (b Binding) sign(s Signer, key PublicKey, purpose string, queue QueueID, digest Hash) (Signature, error) {
	sig, err := s(key, b.signed(purpose, queue, digest))
	if err != nil {
		return Signature{}, fmt.Errorf("signing %s: %w", purpose, err)
	}
	return sig, nil
}

func (b Binding) verify(key PublicKey, sig Signature, purpose string, queue QueueID, digest Hash) error {
	return verify(key, sig, b.signed(purpose, queue, digest))
}

// verify checks one signature (RFC 8032 section 5.1.7). Keys of small order are refused: a zero
// key, named by mistake as a reader or writer, would open a queue to all who know its id.
func verify(key PublicKey, sig Signature, message []byte) error {
	if !edkey.Verify(key[:], message, sig[:]) {
		return ErrBadProof
	}
	return nil
}

// digestOf hashes what fields writes: the fields of a frame that its signature covers.
func digestOf(fields func(*wire.Writer)) (sum Hash, err error) {
	err = wire.Use(fields, func(b []byte) { sum = sha256.Sum256(b) })
	return sum, err
}

// idempotencyDigest is SHA-256(type || fields). Signatures are left out of it: a retry over
// a new session carries others.
func idempotencyDigest(t FrameType, fields func(*wire.Writer)) Hash {
	sum, err := digestOf(func(w *wire.Writer) {
		w.Uint8(uint8(t))
		fields(w)
	})
	if err != nil {
		// Only a vector above 1 GiB gets here, which no frame can hold. Hash what cannot be
		// any frame's fields, so that the caller compares unequal.
		return sha256.Sum256(nil)
	}
	return sum
}
