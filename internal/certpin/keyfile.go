package certpin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// KeyFile is the name of the development key inside its folder.
const KeyFile = "development-tls.key"

// maxKeyFile bounds what is read of a file that may be anything: a P-256 key in
// PEM has some 240 bytes.
const maxKeyFile = 16 << 10

// ErrKeyFile: the file holds no ECDSA P-256 key in PKCS #8 and PEM, or others
// than its owner may read it. It is never overwritten: clients have pinned the
// key that once was in it, so a person decides.
var ErrKeyFile = errors.New("certpin: unusable key file")

func loadOrCreateKey(dir string) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(dir, KeyFile)
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createKey(dir, path); err != nil {
		return nil, err
	}
	// Read back rather than kept: of two processes that start at once, both
	// use the key that is on disk.
	return loadKey(path)
}

func loadKey(path string) (*ecdsa.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("certpin: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("certpin: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: others may read or write it (mode %v)", ErrKeyFile, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("certpin: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%w: no PEM private key in it", ErrKeyFile)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: no PKCS #8 key in it", ErrKeyFile)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: its key is not ECDSA P-256", ErrKeyFile)
	}
	return key, nil
}

// createKey makes the key file complete or not at all: it is written and synced
// under another name, then linked, which fails if the name was taken meanwhile
// (then the other's key stands, and that is no error). A crash leaves at most a
// stray temporary file with a key nobody has seen.
func createKey(dir, path string) error {
	key, err := newKey()
	if err != nil {
		return fmt.Errorf("certpin: making a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("certpin: encoding the key: %w", err)
	}
	f, err := os.CreateTemp(dir, KeyFile+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("certpin: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("certpin: writing the key: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("certpin: %w", err)
	}
	return syncDir(dir)
}

// syncDir makes the new name durable. Windows cannot sync a folder and its file
// system journals names by itself.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("certpin: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("certpin: syncing the folder: %w", err)
	}
	return nil
}
