package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/keyfile"
	"github.com/sealpost/sealpost/internal/shard"
)

// errStorageKey is what all refusals about the storage key are; nothing was changed, and an
// operator decides.
var errStorageKey = errors.New("storage key")

// storageKeyPath returns where the storage key is, and whether systemd put it there.
func storageKeyPath(cfg serveConfig) (path string, credential bool) {
	given := os.Getenv("CREDENTIALS_DIRECTORY") // systemd.exec(5); empty without
	if cfg.StorageKey != "" {
		return cfg.StorageKey, given != "" && filepath.Dir(cfg.StorageKey) == filepath.Clean(given)
	}
	if given != "" {
		path = filepath.Join(given, storageKeyFile)
		if _, err := os.Lstat(path); err == nil {
			return path, true
		}
	}
	return filepath.Join(cfg.Data, storageKeyFile), false
}

// openStorageKey reads the root of the stores' keys. It makes one only where there is no store
// yet: a new key beside a store means that the store's own is missing, and it would be missed
// only once it is too late to look for it.
func openStorageKey(cfg serveConfig, log *slog.Logger) (shard.Key, error) {
	path, credential := storageKeyPath(cfg)
	inside := filepath.Join(cfg.Data, storageKeyFile)
	if path != inside {
		if _, err := os.Lstat(inside); err == nil {
			log.Warn("the data folder holds a storage key too, which is not used; if it is the same, whoever takes the folder has it")
		}
	}
	if credential {
		key, err := keyfile.ReadCredential(path)
		if err != nil {
			err = fmt.Errorf("%w: the systemd credential: %w", errStorageKey, err)
		}
		return key, err
	}
	key, err := keyfile.Read(path)
	switch {
	case err == nil:
		return key, nil
	case !errors.Is(err, fs.ErrNotExist):
		return shard.Key{}, fmt.Errorf("%w: %w", errStorageKey, err)
	}
	stores, err := storesExist(cfg.Data)
	if err != nil {
		return shard.Key{}, fmt.Errorf("%w: %w", errStorageKey, err)
	}
	if stores {
		return shard.Key{}, fmt.Errorf("%w: %s is missing, and the stores in %s can be read only with the key they were made with: "+
			"put it back from where you keep a copy; for a new and empty server choose another data folder", errStorageKey, path, cfg.Data)
	}
	if key, err = keyfile.Key(path); err != nil {
		return shard.Key{}, fmt.Errorf("%w: %w", errStorageKey, err)
	}
	return key, nil
}

// storesExist tells whether anything was ever stored in data.
func storesExist(data string) (bool, error) {
	for _, folder := range []string{relayFolder, keysFolder} {
		entries, err := os.ReadDir(filepath.Join(data, folder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		if len(entries) > 0 {
			return true, nil
		}
	}
	return false, nil
}
