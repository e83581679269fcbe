package keyfile

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestKeyStaysAndIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "storage.key")
	first, err := Key(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Key(path); err != nil || again != first {
		t.Fatalf("the second call gave another key: %v", err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v", info.Mode().Perm())
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Fatalf("temporary files stay behind: %v", left)
	}
	other, err := Key(path + "2")
	if err != nil || other == first {
		t.Fatalf("two files hold the same key: %v", err)
	}
}

func TestTwoWhoStartAtOnceGetOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	keys := make([][32]byte, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = Key(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] || k == [32]byte{} {
			t.Fatal("they differ")
		}
	}
}

func TestUnusableFilesAreLeftAlone(t *testing.T) {
	cases := map[string]struct {
		content string
		mode    os.FileMode
	}{
		"short":    {"too short", 0o600},
		"empty":    {"", 0o600},
		"long":     {string(make([]byte, 33)), 0o600},
		"readable": {string(make([]byte, 32)), 0o644},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "k")
			if err := os.WriteFile(path, []byte(c.content), c.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := Key(path); !errors.Is(err, ErrUnusable) {
				t.Fatalf("got %v, want ErrUnusable", err)
			}
			if got, _ := os.ReadFile(path); string(got) != c.content {
				t.Fatal("the file was changed")
			}
		})
	}
	if _, err := Key(t.TempDir()); !errors.Is(err, ErrUnusable) {
		t.Fatalf("a folder: got %v, want ErrUnusable", err)
	}
}

func TestNoFolderNoKey(t *testing.T) {
	if _, err := Key(filepath.Join(t.TempDir(), "missing", "k")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
}
