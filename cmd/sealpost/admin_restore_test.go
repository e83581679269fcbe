package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/backup"
)

// TestA14_KilledRestore: a restore is killed at random moments. What it leaves is a server that is
// complete and sound, or a folder that serve refuses, or nothing.
func TestA14_KilledRestore(t *testing.T) {
	home := t.TempDir()
	key := filepath.Join(home, "key")
	if err := os.WriteFile(key, goldenKey, 0o600); err != nil {
		t.Fatal(err)
	}
	left := make(map[string]int)
	for round := range 12 {
		dir := filepath.Join(home, "again", string(rune('a'+round)))
		p := start(t, home, "admin", "restore", goldenBackup, dir, "--storage-key", key)
		look := time.NewTicker(time.Millisecond)
		for range rand.IntN(600) {
			<-look.C
		}
		look.Stop()
		p.kill()
		_, unfinished := os.Lstat(filepath.Join(dir, restoringFile))
		_, begun := os.Lstat(filepath.Join(dir, relayFolder))
		switch {
		case unfinished == nil:
			left["refused"]++
			s := start(t, home, "serve", "--data", dir, "--listen", "127.0.0.1:0")
			if status, _ := s.wait(); status != 1 || !strings.Contains(s.stderr.String(), "not finished") {
				t.Errorf("an unfinished restore is served: status %d, %s", status, s.stderr.String())
			}
			if status, _, errs := admin(t, home, "check", "--data", dir); status != 1 || !strings.Contains(errs, "not finished") {
				t.Errorf("an unfinished restore is checked: status %d, %s", status, errs)
			}
			if status, _, errs := admin(t, home, "restore", goldenBackup, dir, "--storage-key", key); status != 1 || !strings.Contains(errs, "not empty") {
				t.Errorf("over an unfinished restore: status %d, %s", status, errs)
			}
		case errors.Is(begun, fs.ErrNotExist):
			left["nothing"]++
		default:
			left["whole"]++
			if status, out, errs := admin(t, home, "check", "--data", dir); status != 0 {
				t.Errorf("a restore that is not marked: status %d, %s%s", status, out, errs)
			}
		}
	}
	t.Log(left)
}

// TestRestoreWithAKeyElsewhere: where the configuration names the storage key it is used from
// there, and no copy of it lies in the data folder.
func TestRestoreWithAKeyElsewhere(t *testing.T) {
	home := t.TempDir()
	key, dir, config := filepath.Join(home, "key"), filepath.Join(home, "again"), filepath.Join(home, "c.toml")
	if err := os.WriteFile(key, goldenKey, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte("data = \"again\"\nlisten = \"127.0.0.1:0\"\nstorage-key = \"key\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out, errs := admin(t, home, "restore", goldenBackup, dir, "--config", config); status != 0 {
		t.Fatalf("%s%s", out, errs)
	}
	if _, err := os.Lstat(filepath.Join(dir, storageKeyFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the key lies in the data folder, too")
	}
	// Nor when a copy is named beside it; and another key is refused before anything is made.
	named, copied, wrong := filepath.Join(home, "named"), filepath.Join(home, "copy"), filepath.Join(home, "wrong")
	for file, key := range map[string][]byte{copied: goldenKey, wrong: bytes.Repeat([]byte{8}, 32)} {
		if err := os.WriteFile(file, key, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if status, _, errs := admin(t, home, "restore", goldenBackup, named, "--config", config, "--storage-key", wrong); status != 1 || !strings.Contains(errs, "another key") {
		t.Errorf("another key: status %d, %s", status, errs)
	}
	if _, err := os.Lstat(named); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something was made for another key")
	}
	status, out, errs := admin(t, home, "restore", goldenBackup, named, "--config", config, "--storage-key", copied)
	if status != 0 || !strings.Contains(out, "key was not copied") || !strings.Contains(out, "Suspend again") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	if _, err := os.Lstat(filepath.Join(named, storageKeyFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the named copy lies in the data folder")
	}
	greeted(t, start(t, home, "serve", "--config", config))
	if status, out, errs := admin(t, home, "check", "--config", config); status != 0 || !strings.Contains(out, "server runs") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
}

// other reads one file the first time, and another one when it is read again.
type other struct {
	io.ReadSeeker
	next io.ReadSeeker
	read bool
}

func (o *other) Seek(offset int64, whence int) (int64, error) {
	if o.read {
		o.ReadSeeker = o.next
	}
	o.read = true
	return o.ReadSeeker.Seek(offset, whence)
}

// TestRestoreOfABackupThatChanges: what is put into the folder is what was verified, or nothing.
func TestRestoreOfABackupThatChanges(t *testing.T) {
	home := t.TempDir()
	c := &restoreCommand{File: goldenBackup, Dir: filepath.Join(home, "again"), StorageKey: filepath.Join(home, "key")}
	if err := os.WriteFile(c.StorageKey, goldenKey, 0o600); err != nil {
		t.Fatal(err)
	}
	storage, err := c.storage()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(goldenBackup)
	if err != nil {
		t.Fatal(err)
	}
	key, err := backupKey(storage)
	if err != nil {
		t.Fatal(err)
	}
	var later bytes.Buffer
	w, err := backup.NewWriter(&later, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f := &other{ReadSeeker: bytes.NewReader(b), next: bytes.NewReader(later.Bytes())}
	if _, err := c.restore(t.Context(), f, storage, new(survey)); err == nil || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("it is restored: %v", err)
	}
	if left, err := os.ReadDir(c.Dir); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
