package mls

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
)

// SignaturePublicKey is a signature key in its suite's encoding (RFC 9420 section 5.1.1).
type SignaturePublicKey []byte

// SignaturePrivateKey signs for one leaf. It cannot be printed or logged; its bytes come out
// of [SignaturePrivateKey.MarshalBinary] only. The zero value signs nothing.
type SignaturePrivateKey struct {
	suite Suite
	key   secret
	pub   SignaturePublicKey
}

// signatureScheme is the part of a suite that signs.
type signatureScheme interface {
	generate() (private, public []byte, err error)
	public(private []byte) ([]byte, error)
	sign(private, message []byte) ([]byte, error)
	verify(public, message, signature []byte) error
}

var errSignature = errors.New("signature does not verify")

// ed25519Scheme is RFC 8032; private keys are the 32-byte seed.
type ed25519Scheme struct{}

func (ed25519Scheme) generate() (private, public []byte, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	return priv.Seed(), pub, nil
}

func (ed25519Scheme) public(private []byte) ([]byte, error) {
	if len(private) != ed25519.SeedSize {
		return nil, errors.New("ed25519 seed has the wrong length")
	}
	return ed25519.NewKeyFromSeed(private).Public().(ed25519.PublicKey), nil
}

func (s ed25519Scheme) sign(private, message []byte) ([]byte, error) {
	if len(private) != ed25519.SeedSize {
		return nil, errors.New("ed25519 seed has the wrong length")
	}
	return ed25519.Sign(ed25519.NewKeyFromSeed(private), message), nil
}

func (ed25519Scheme) verify(public, message, signature []byte) error {
	if len(public) != ed25519.PublicKeySize {
		return errors.New("ed25519 public key has the wrong length")
	}
	if !ed25519.Verify(public, message, signature) {
		return errSignature
	}
	return nil
}

// GenerateSignatureKey makes a fresh signature key of suite s.
func (s Suite) GenerateSignatureKey() (SignaturePrivateKey, error) {
	row, err := s.lookup()
	if err != nil {
		return SignaturePrivateKey{}, err
	}
	priv, pub, err := row.signature.generate()
	if err != nil {
		return SignaturePrivateKey{}, err
	}
	return SignaturePrivateKey{suite: s, key: priv, pub: pub}, nil
}

// ParseSignatureKey is the inverse of [SignaturePrivateKey.MarshalBinary].
func (s Suite) ParseSignatureKey(b []byte) (SignaturePrivateKey, error) {
	row, err := s.lookup()
	if err != nil {
		return SignaturePrivateKey{}, err
	}
	pub, err := row.signature.public(b)
	if err != nil {
		return SignaturePrivateKey{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return SignaturePrivateKey{suite: s, key: append(secret(nil), b...), pub: pub}, nil
}

// Verify checks a signature made by [SignaturePrivateKey.Sign] or [Group.Sign] under the
// same label: VerifyWithLabel of RFC 9420 section 5.1.2. A failure matches [ErrInvalid].
func (s Suite) Verify(pub SignaturePublicKey, label string, content, signature []byte) error {
	row, err := s.lookup()
	if err != nil {
		return err
	}
	if err := row.verifyWithLabel(pub, label, content, signature); err != nil {
		return brokenBy("signature", err, "label %q", label)
	}
	return nil
}

// Public returns the public half.
func (k SignaturePrivateKey) Public() SignaturePublicKey {
	return append(SignaturePublicKey(nil), k.pub...)
}

// Suite returns the suite that the key is for.
func (k SignaturePrivateKey) Suite() Suite { return k.suite }

// Sign is SignWithLabel of RFC 9420 section 5.1.2; labels of our own must differ from the
// RFC's, which end in "TBS".
func (k SignaturePrivateKey) Sign(label string, content []byte) ([]byte, error) {
	row, err := k.suite.lookup()
	if err != nil {
		return nil, err
	}
	return row.signWithLabel(k, label, content)
}

// MarshalBinary returns the private key's bytes, for encrypted storage.
func (k SignaturePrivateKey) MarshalBinary() ([]byte, error) {
	return append([]byte(nil), k.key...), nil
}

// Format prints "redacted" for every verb.
func (SignaturePrivateKey) Format(f fmt.State, _ rune) { printRedacted(f) }

// String returns "redacted".
func (SignaturePrivateKey) String() string { return redacted }

// GoString returns "redacted".
func (SignaturePrivateKey) GoString() string { return redacted }

// LogValue returns "redacted".
func (SignaturePrivateKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "redacted".
func (SignaturePrivateKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }
