package certpin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/keyfile"
)

// KeyFile is the name of the development key inside its folder.
const KeyFile = "development-tls.key"

// ErrKeyFile: the file holds no ECDSA P-256 key in PKCS #8 and PEM, or others
// than its owner may read it. It is never overwritten: clients have pinned the
// key that once was in it, so a person decides.
var ErrKeyFile = keyfile.ErrUnusable

func loadOrCreateKey(dir string) (*ecdsa.PrivateKey, error) {
	text, err := keyfile.LoadOrCreate(filepath.Join(dir, KeyFile), newKey)
	if err != nil {
		return nil, fmt.Errorf("certpin: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("certpin: %w: no PEM private key in it", ErrKeyFile)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certpin: %w: no PKCS #8 key in it", ErrKeyFile)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("certpin: %w: its key is not ECDSA P-256", ErrKeyFile)
	}
	return key, nil
}

func newKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certpin: making a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("certpin: encoding the key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
