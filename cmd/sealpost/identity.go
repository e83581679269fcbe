package main

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/folder"
	"github.com/sealpost/sealpost/internal/keyfile"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay/session"
)

// Names inside the server's data folder. The folders are also what their stores' keys are
// derived for, so a store works under no other name.
const (
	storageKeyFile = "storage.key" // root of the stores' keys, unless the configuration names another file
	relayKeyFile   = "relay.key"   // X25519 private key of the relay's sessions; another key is another relay
	relayFolder    = "relay"
	blobsFolder    = "blobs" // the relay's
	keysFolder     = "keyserver"
)

// identity is what makes a server this server.
type identity struct {
	relay   session.PrivateKey
	storage shard.Key // never seals anything itself, see storeKey
}

// openIdentity makes the data folder if it is missing (0700) and reads the server's keys, or
// makes them. A start that was killed half way leaves keys that the next one uses.
func openIdentity(cfg serveConfig, log *slog.Logger) (identity, error) {
	if err := folder.Make(cfg.Data); err != nil {
		return identity{}, fmt.Errorf("data folder: %w", err)
	}
	storage, err := openStorageKey(cfg, log)
	if err != nil {
		return identity{}, err
	}
	secret, err := keyfile.Key(filepath.Join(cfg.Data, relayKeyFile))
	if err != nil {
		return identity{}, fmt.Errorf("relay key: %w", err)
	}
	relay, err := session.NewPrivateKey(secret)
	if err != nil {
		return identity{}, fmt.Errorf("relay key: %w", err)
	}
	return identity{relay: relay, storage: storage}, nil
}

// storeKey derives the key of the stores in folder, so that no record of one server opens, or
// has the same name, in the other's.
func storeKey(root shard.Key, folder string) (shard.Key, error) {
	b, err := derive(root, "sealpost store "+folder)
	return shard.Key(b), err
}

// derive returns the key for one use of root, which itself seals nothing.
func derive(root shard.Key, label string) (key [32]byte, err error) {
	b, err := hkdf.Key(sha256.New, root[:], nil, label, len(key))
	if err != nil {
		return key, err
	}
	return [32]byte(b), nil
}
