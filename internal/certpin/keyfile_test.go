package certpin

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestKeyIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := OpenDevelopment(dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, KeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("key file: %v, %v", info.Mode(), err)
	}
	second, err := OpenDevelopment(dir, "relay.example", "192.0.2.1")
	if err != nil || second.Pin() != first.Pin() {
		t.Fatalf("another pin after a restart: %v", err)
	}
	cert, _ := second.GetCertificate(nil)
	for _, host := range []string{"relay.example", "192.0.2.1"} {
		if err := cert.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Fatalf("%d files in the folder, want the key alone", len(left))
	}
}

func TestConcurrentStartsShareOneKey(t *testing.T) {
	dir := t.TempDir()
	var pins [8]Pin
	var wg sync.WaitGroup
	for i := range pins {
		wg.Go(func() {
			d, err := OpenDevelopment(dir)
			if err != nil {
				t.Error(err)
				return
			}
			pins[i] = d.Pin()
		})
	}
	wg.Wait()
	for _, p := range pins {
		if p != pins[0] {
			t.Fatal("two processes started with different keys")
		}
	}
}

func TestUnusableKeyFileIsKept(t *testing.T) {
	p384 := "-----BEGIN PRIVATE KEY-----\nMIG2AgEAMBAGByqGSM49AgEGBSuBBAAi\n-----END PRIVATE KEY-----\n"
	for name, text := range map[string]string{"empty": "", "garbage": "garbage", "other key": p384, "huge": strings.Repeat("x", 1<<20)} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), KeyFile)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenDevelopment(filepath.Dir(path)); !errors.Is(err, ErrKeyFile) {
				t.Fatalf("got %v, want ErrKeyFile", err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != text {
				t.Fatal("the file was changed")
			}
		})
	}
}

func TestKeyFileOthersMayReadIsRefused(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenDevelopment(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, KeyFile), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDevelopment(dir); !errors.Is(err, ErrKeyFile) {
		t.Fatalf("got %v, want ErrKeyFile", err)
	}
}

func TestDevelopmentIsNeverPrinted(t *testing.T) {
	d, err := OpenDevelopment(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "d", d)
	text, _ := d.MarshalText()
	for _, s := range []string{fmt.Sprint(d), fmt.Sprintf("%+v", d), fmt.Sprintf("%#v", d), fmt.Sprintf("%x", d), string(text)} {
		if s != redacted {
			t.Errorf("printed as %.40q", s)
		}
	}
	if !strings.Contains(log.String(), `"d":"redacted"`) {
		t.Errorf("logged as %q", log.String())
	}
}
