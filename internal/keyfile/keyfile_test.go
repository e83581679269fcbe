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

// A key that is read is never made, and the rules about who may read it are the file's kind's.
func TestReadMakesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	for name, read := range map[string]func(string) ([32]byte, error){"Read": Read, "ReadCredential": ReadCredential} {
		if _, err := read(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s without a file: %v", name, err)
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
		t.Fatalf("it made %v", left)
	}
	want, err := Key(path)
	if err != nil {
		t.Fatal(err)
	}
	for mode, may := range map[os.FileMode][2]bool{ // by Read, by ReadCredential
		0o600: {true, true}, 0o400: {true, true}, 0o440: {false, true}, 0o640: {false, true},
		0o460: {false, false}, 0o404: {false, false}, 0o444: {false, false}, 0o602: {false, false}, 0o450: {false, false},
	} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		for i, read := range []func(string) ([32]byte, error){Read, ReadCredential} {
			got, err := read(path)
			if may[i] && (err != nil || got != want) || !may[i] && !errors.Is(err, ErrUnusable) {
				t.Errorf("mode %v, function %d: %v", mode, i, err)
			}
		}
	}
}
