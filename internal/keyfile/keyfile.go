// Package keyfile keeps a secret in a file of its own.
//
// Start with [Key] for 32 random bytes, [Read] for a key that is there or missing but never
// made, and with [LoadOrCreate] for anything else. A file
// appears complete or not at all, is readable by its owner alone, and is never
// overwritten: something outside (a client's pin, a sealed store) depends on what it
// holds, so only a person replaces it.
//
// Out of scope: passphrases and key stores of the operating system.
package keyfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/sealpost/sealpost/internal/folder"
)

// maxSize bounds what is read of a file that may be anything, in bytes.
const maxSize = 16 << 10

// ErrUnusable: the file holds something else than was asked for, or others than its owner
// may read it. Nothing was changed; a person decides.
var ErrUnusable = errors.New("unusable key file")

// Key returns the 32 random bytes in the file at path, which it makes if there is none; the
// folder must exist. The file holds exactly these bytes, so an operator can make one with
// any source of randomness. Safe to call from two processes at once: both get the same key.
//
// Errors: ErrUnusable and those of the file system.
func Key(path string) ([32]byte, error) {
	b, err := LoadOrCreate(path, func() ([]byte, error) {
		b := make([]byte, 32)
		rand.Read(b) // never fails (crypto/rand)
		return b, nil
	})
	return whole(path, b, err)
}

// Read is [Key] for a file that must be there: fs.ErrNotExist if it is not.
func Read(path string) ([32]byte, error) {
	b, err := load(path, private)
	return whole(path, b, err)
}

// ReadCredential is [Read] for a file that systemd handed to a service (systemd.exec(5),
// LoadCredential=). Its folder is the service's alone; the file may say that its group reads
// it, which is how an access list looks that names the service's user.
func ReadCredential(path string) ([32]byte, error) {
	b, err := load(path, credential)
	return whole(path, b, err)
}

// whole checks a key's length.
func whole(path string, b []byte, err error) ([32]byte, error) {
	if err != nil {
		return [32]byte{}, err
	}
	if len(b) != 32 {
		return [32]byte{}, fmt.Errorf("%w: %s holds %d bytes, not 32", ErrUnusable, path, len(b))
	}
	return [32]byte(b), nil
}

// LoadOrCreate returns the content of the file at path, at most 16 KiB of it. If there is
// no such file, create makes the content of a new one, mode 0600.
func LoadOrCreate(path string, create func() ([]byte, error)) ([]byte, error) {
	b, err := load(path, private)
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	secret, err := create()
	if err != nil {
		return nil, err
	}
	if err := write(path, secret); err != nil {
		return nil, err
	}
	// Read back rather than kept: of two processes that start at once, both use what is on
	// disk.
	return load(path, private)
}

// Permissions that a file must not have.
const (
	private    fs.FileMode = 0o077
	credential fs.FileMode = 0o037
)

func load(path string, forbidden fs.FileMode) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no regular file", ErrUnusable, path)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&forbidden != 0 {
		return nil, fmt.Errorf("%w: others may read or write %s (mode %v); chmod it to 600 if nobody has", ErrUnusable, path, info.Mode().Perm())
	}
	return io.ReadAll(io.LimitReader(f, maxSize))
}

// write makes the file complete or not at all: it is written and synced under another name,
// then linked, which fails if the name was taken meanwhile (then the other's secret stands,
// and that is no error). A crash leaves at most a stray temporary file with a secret that
// nobody has used.
func write(path string, secret []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(secret)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return folder.Sync(dir)
}
