package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestMissing: every folder in which something new is to stand is synced, and none besides.
func TestMissing(t *testing.T) {
	top := t.TempDir()
	for dir, want := range map[string][]string{
		top:                               nil,
		filepath.Join(top, "a"):           {top},
		filepath.Join(top, "a", "b", "c"): {filepath.Join(top, "a", "b"), filepath.Join(top, "a"), top},
	} {
		if parents, err := missing(dir); err != nil || !slices.Equal(parents, want) {
			t.Errorf("%s: %q, %v", dir, parents, err)
		}
	}
}

func TestMake(t *testing.T) {
	top := t.TempDir()
	deep := filepath.Join(top, "a", "b")
	for range 2 {
		if err := Make(deep); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(filepath.Dir(deep)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	file := filepath.Join(top, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Make(filepath.Join(file, "in", "a", "file")); err == nil {
		t.Error("a folder is in a file")
	}
	if err := Sync(filepath.Join(top, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	t.Chdir(top)
	if err := Make("relative"); err != nil {
		t.Error(err)
	}
}
