package oneorder

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// goroot is the installed toolchain's.
func goroot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// The installed toolchain's sources take every change, and what comes of it is still Go.
func TestOverlay(t *testing.T) {
	installed, dir := goroot(t), t.TempDir()
	checkout, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	path, err := Overlay(installed, checkout, dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var overlay struct{ Replace map[string]string }
	if err := json.Unmarshal(b, &overlay); err != nil {
		t.Fatal(err)
	}
	for from, to := range overlay.Replace {
		if _, err := os.Stat(from); err != nil {
			t.Error(err)
		}
		if _, err := parser.ParseFile(token.NewFileSet(), to, nil, 0); err != nil {
			t.Error(err)
		}
	}
	for root, list := range map[string][]change{filepath.Join(installed, "src"): changes, checkout: witnesses} {
		for _, c := range list {
			b, err := os.ReadFile(overlay.Replace[filepath.Join(root, filepath.FromSlash(c.file))])
			if err != nil || !strings.Contains(string(b), c.new) {
				t.Errorf("%s does not have %q: %v", c.file, c.new, err)
			}
		}
	}
}

// Another toolchain's sources are refused, and not half changed.
func TestOverlayOfAnotherToolchain(t *testing.T) {
	installed := goroot(t)
	for _, c := range changes {
		root := t.TempDir()
		for _, other := range changes {
			b, err := os.ReadFile(filepath.Join(installed, "src", filepath.FromSlash(other.file)))
			if err != nil {
				t.Fatal(err)
			}
			text := string(b)
			if other.file == c.file {
				text = strings.Replace(text, c.old, "another text", 1)
			}
			path := filepath.Join(root, "src", filepath.FromSlash(other.file))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if path, err := Overlay(root, "../../..", t.TempDir()); !errors.Is(err, ErrToolchain) || path != "" {
			t.Errorf("without %q: %q, %v", c.old, path, err)
		}
	}
	if _, err := Overlay(installed, t.TempDir(), t.TempDir()); !errors.Is(err, ErrToolchain) {
		t.Errorf("without the module: %v", err)
	}
	if _, err := Overlay(t.TempDir(), "../../..", t.TempDir()); !errors.Is(err, ErrToolchain) {
		t.Errorf("with no sources: %v", err)
	}
}
