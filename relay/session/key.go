package session

import (
	"crypto/ecdh"
	"fmt"
	"io"
	"log/slog"

	"github.com/sealpost/sealpost/relay"
)

// PrivateKey is a relay's static X25519 key. It prints as "redacted". The zero PrivateKey
// is no key.
type PrivateKey struct {
	key *ecdh.PrivateKey
}

// NewPrivateKey makes a key of 32 random bytes (RFC 7748 section 5; clamped on use).
func NewPrivateKey(secret [32]byte) (PrivateKey, error) {
	k, err := ecdh.X25519().NewPrivateKey(secret[:])
	if err != nil {
		return PrivateKey{}, fmt.Errorf("session: relay key: %w", err)
	}
	return PrivateKey{k}, nil
}

// Public returns the public half, which stands in the relay's address.
func (k PrivateKey) Public() relay.RelayKey { return relay.RelayKey(k.key.PublicKey().Bytes()) }

// Format prints "redacted" for every verb.
func (PrivateKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "redacted") }

// LogValue keeps the key out of logs.
func (PrivateKey) LogValue() slog.Value { return slog.StringValue("redacted") }

// MarshalText keeps the key out of JSON and the like.
func (PrivateKey) MarshalText() ([]byte, error) { return []byte("redacted"), nil }
