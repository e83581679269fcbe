package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kept is a server's data folder, its storage key elsewhere, and a store that was used.
func kept(t *testing.T) (home, config, key string) {
	t.Helper()
	home = t.TempDir()
	config, key = filepath.Join(home, "c.toml"), filepath.Join(home, "secret.key")
	text := "listen = \"127.0.0.1:0\"\ndata = \"data\"\nstorage-key = \"secret.key\"\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, home, "serve", "--config", config)
	dialBoth(t, greeted(t, p))
	p.kill()
	return home, config, key
}

// The storage key may live elsewhere, and then nothing of it is in the data folder. Without it
// the stores do not open, nor are they replaced by empty ones; and no other key is made.
func TestStorageKeyElsewhere(t *testing.T) {
	home, config, key := kept(t)
	if _, err := os.Stat(filepath.Join(home, "data", storageKeyFile)); err == nil {
		t.Error("a storage key lies in the data folder all the same")
	}
	secret, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(name, want string) {
		t.Helper()
		p := start(t, home, "serve", "--config", config)
		if status, out := p.wait(); status != 1 || out != "" || !strings.Contains(p.stderr.String(), want) {
			t.Errorf("%s: status %d, %q", name, status, p.stderr.String())
		}
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	refused("missing", "secret.key is missing")
	if _, err := os.Stat(key); err == nil {
		t.Fatal("a key was made beside a store that needs another")
	}
	for name, c := range map[string]struct {
		content []byte
		mode    os.FileMode
		want    string
	}{
		"wrong":          {bytes.Repeat([]byte{7}, 32), 0o600, "is another key than the stores in"},
		"short":          {secret[:31], 0o600, "holds 31 bytes, not 32"},
		"group readable": {secret, 0o640, "chmod it to 600"},
		"world readable": {secret, 0o604, "chmod it to 600"},
	} {
		if err := os.WriteFile(key, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(key, c.mode); err != nil {
			t.Fatal(err)
		}
		refused(name, c.want)
		if err := os.Chmod(key, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(key, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	dialBoth(t, greeted(t, start(t, home, "serve", "--config", config)))
}

// TestStorageKeyGoneFromTheFolder: the same with the key's usual place.
func TestStorageKeyGoneFromTheFolder(t *testing.T) {
	home := t.TempDir()
	data := filepath.Join(home, "data")
	p := start(t, home, "serve", "--data", data, "--listen", "127.0.0.1:0")
	greeted(t, p)
	p.kill()
	if err := os.Remove(filepath.Join(data, storageKeyFile)); err != nil {
		t.Fatal(err)
	}
	p = start(t, home, "serve", "--data", data, "--listen", "127.0.0.1:0")
	if status, _ := p.wait(); status != 1 || !strings.Contains(p.stderr.String(), "is missing") {
		t.Errorf("status %d, %q", status, p.stderr.String())
	}
	if _, err := os.Stat(filepath.Join(data, storageKeyFile)); err == nil {
		t.Error("another key was made")
	}
}

// TestStorageKeyAsACredential: systemd's is found by itself, also where its access list makes
// it look readable by a group; it is used in place of the folder's, and never made.
func TestStorageKeyAsACredential(t *testing.T) {
	home, given := t.TempDir(), t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", given)
	credential, data := filepath.Join(given, storageKeyFile), filepath.Join(home, "data")
	run := func() *process { return start(t, home, "serve", "--data", data, "--listen", "127.0.0.1:0") }
	if err := os.WriteFile(credential, bytes.Repeat([]byte{7}, 32), 0o440); err != nil {
		t.Fatal(err)
	}
	p := run()
	dialBoth(t, greeted(t, p))
	p.kill()
	if _, err := os.Stat(filepath.Join(data, storageKeyFile)); err == nil {
		t.Error("a storage key lies in the data folder all the same")
	}
	if err := os.WriteFile(filepath.Join(data, storageKeyFile), bytes.Repeat([]byte{7}, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	p = run()
	greeted(t, p)
	p.logs("the data folder holds a storage key too")
	p.kill()
	for name, change := range map[string]func() error{
		"world readable": func() error { return os.Chmod(credential, 0o444) },
		"empty":          func() error { os.Chmod(credential, 0o600); return os.Truncate(credential, 0) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		p = run()
		if status, _ := p.wait(); status != 1 || !strings.Contains(p.stderr.String(), "systemd credential") {
			t.Errorf("%s: status %d, %q", name, status, p.stderr.String())
		}
	}
	config := filepath.Join(home, "c.toml")
	text := "listen = \"127.0.0.1:0\"\ndata = \"data\"\nstorage-key = \"" + credential + "\"\n"
	if err := os.Remove(credential); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, home, "serve", "--config", config)
	if status, _ := p.wait(); status != 1 || !strings.Contains(p.stderr.String(), "systemd credential") {
		t.Errorf("named and missing: status %d, %q", status, p.stderr.String())
	}
	if _, err := os.Stat(credential); err == nil {
		t.Error("a credential was made")
	}
}
