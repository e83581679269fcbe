package clientlib

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// secret is key material. It prints as "redacted", whatever the verb, so that a record
// that ends up in a log or an error shows nothing.
type secret []byte

func (secret) String() string             { return "redacted" }
func (secret) GoString() string           { return "redacted" }
func (secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("redacted")) }
func (secret) LogValue() slog.Value       { return slog.StringValue("redacted") }

func newSecret() secret {
	s := make(secret, 32)
	rand.Read(s)
	return s
}

func (s secret) signer() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(s) }

// derive expands s for one purpose (RFC 5869).
func (s secret) derive(label string, context ...[]byte) secret {
	var w wire.Writer
	w.Bytes([]byte(label))
	for _, c := range context {
		w.Bytes(c)
	}
	info, err := w.Finish()
	if err != nil {
		panic(err) // contexts are fixed-size ids
	}
	out, err := hkdf.Key(sha256.New, s, nil, string(info), 32)
	if err != nil {
		panic(err) // 32 bytes are within HKDF's bound
	}
	return out
}

// readerKey is the device's reader key in one queue. The ticket's public key goes in, so a
// member who was removed and returns has another key than before (zero for a creator).
func (s secret) readerKey(queue relay.QueueID, ticket relay.PublicKey) ed25519.PrivateKey {
	return s.derive(deriveReader, queue[:], ticket[:]).signer()
}

// adminKey is the device's admin key in one queue.
func (s secret) adminKey(queue relay.QueueID) ed25519.PrivateKey {
	return s.derive(deriveAdmin, queue[:]).signer()
}

func publicKey(k ed25519.PrivateKey) relay.PublicKey {
	return relay.PublicKey(k.Public().(ed25519.PublicKey))
}

func newIdempotencyID() (id relay.IdempotencyID) {
	rand.Read(id[:])
	return id
}
