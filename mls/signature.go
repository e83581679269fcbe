package mls

import (
	"errors"
	"fmt"
	"log/slog"
)

// SignaturePublicKey is a signature key in its suite's encoding (RFC 9420 section 5.1.1): 32
// bytes for Ed25519 (signatures have 64), 57 for Ed448 (114), for ECDSA the uncompressed point
// of 65, 97 or 133 bytes (DER, up to 72, 104 or 139), for ML-DSA-44, -65 and -87 1,312, 1,952
// and 2,592 bytes (2,420, 3,309 and 4,627).
type SignaturePublicKey []byte

// SignaturePrivateKey signs for one leaf. It cannot be printed or logged; its bytes come out
// of [SignaturePrivateKey.MarshalBinary] only. The zero value signs nothing.
type SignaturePrivateKey struct {
	suite Suite
	pub   SignaturePublicKey
	// Both hold the private key, sign as the scheme uses it: to parse it for each signature
	// would cost as much again. They are functions because fmt reads unexported fields by
	// reflection, past all methods, and of a function it sees no more than the address.
	sign  signFunc
	bytes func() secret
}

type signFunc func(message []byte) ([]byte, error)

// signatureScheme is the part of a suite that signs.
type signatureScheme interface {
	// generate makes a private key.
	generate() (private []byte, err error)
	// load checks a private key and does not keep the slice.
	load(private []byte) (sign signFunc, public []byte, err error)
	verify(public, message, signature []byte) error
}

var errSignature = errors.New("signature does not verify")

// GenerateSignatureKey makes a fresh signature key of suite s.
func (s Suite) GenerateSignatureKey() (SignaturePrivateKey, error) {
	row, err := s.lookup()
	if err != nil {
		return SignaturePrivateKey{}, err
	}
	priv, err := row.signature.generate()
	if err != nil {
		return SignaturePrivateKey{}, err
	}
	return s.ParseSignatureKey(priv)
}

// ParseSignatureKey is the inverse of [SignaturePrivateKey.MarshalBinary]: a seed of Ed25519
// or ML-DSA (32 bytes) or Ed448 (57), or for ECDSA the scalar, big-endian in the curve's full
// length. Anything else is [ErrMalformed].
func (s Suite) ParseSignatureKey(b []byte) (SignaturePrivateKey, error) {
	row, err := s.lookup()
	if err != nil {
		return SignaturePrivateKey{}, err
	}
	sign, pub, err := row.signature.load(b)
	if err != nil {
		return SignaturePrivateKey{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	key := append(secret(nil), b...)
	return SignaturePrivateKey{suite: s, pub: pub, sign: sign, bytes: func() secret { return key }}, nil
}

// Verify checks a signature made by [SignaturePrivateKey.Sign] or [Group.Sign] under the
// same label: VerifyWithLabel of RFC 9420 section 5.1.2. A failure matches [ErrInvalid].
//
// It shows that the key's holder signed the content, not that he made this signature: anybody
// can turn an ECDSA signature (r, s) into (r, n-s), which is as good. So nothing may be told
// apart or recognised by its signature's bytes, or by a hash over them.
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
	return append([]byte(nil), k.key()...), nil
}

// key is nil for the zero value.
func (k SignaturePrivateKey) key() secret {
	if k.bytes == nil {
		return nil
	}
	return k.bytes()
}

func (k SignaturePrivateKey) isZero() bool { return k.bytes == nil }

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
