package tlscert

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/tlscert/acmetest"
)

// pair is an operator's certificate in two files.
type pair struct{ certificate, key string }

// put writes files that an authority issued, with modification times of their own: a test is
// faster than some file systems' clocks.
func (p pair) put(t *testing.T, chain, key []byte, modified time.Time) {
	t.Helper()
	for path, text := range map[string][]byte{p.certificate: chain, p.key: key} {
		err := os.WriteFile(path, text, 0o600)
		if err := errors.Join(err, os.Chtimes(path, modified, modified)); err != nil {
			t.Fatal(err)
		}
	}
}

// leafOf returns the certificate in force.
func leafOf(t *testing.T, f *Files) *x509.Certificate {
	t.Helper()
	cert, err := f.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return cert.Leaf
}

// TestFilesAreReadAgain: a new pair is taken without a restart, at most a minute later or when
// asked to; a pair that cannot be used leaves the old one in force, and says so.
func TestFilesAreReadAgain(t *testing.T) {
	authority := acmetest.Start(t)
	dir, now := t.TempDir(), time.Now()
	files := pair{filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")}
	chain, key := authority.Pair(t, "relay.example.org")
	files.put(t, chain, key, now)
	var log strings.Builder
	f, err := OpenFiles(files.certificate, files.key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	f.now = func() time.Time { return now }
	first := leafOf(t, f)

	chain, key = authority.Pair(t, "relay.example.org")
	files.put(t, chain, key, now.Add(time.Second))
	if !leafOf(t, f).Equal(first) {
		t.Error("the files are looked at for each handshake")
	}
	now = now.Add(checkEvery)
	second := leafOf(t, f)
	if second.Equal(first) {
		t.Fatal("a new pair is not taken")
	}

	later, otherKey := authority.Pair(t, "relay.example.org")
	authority.Dates(-2*time.Hour, -time.Hour)
	expired, expiredKey := authority.Pair(t, "relay.example.org")
	authority.Dates(time.Hour, 2*time.Hour)
	early, earlyKey := authority.Pair(t, "relay.example.org")
	for name, broken := range map[string][2][]byte{
		"empty": {nil, nil}, "garbage": {[]byte("garbage"), key}, "another key": {later, key}, "cut": {later[:len(later)/2], otherKey},
		"expired": {expired, expiredKey}, "not yet valid": {early, earlyKey},
	} {
		log.Reset()
		now = now.Add(checkEvery)
		files.put(t, broken[0], broken[1], now)
		if !leafOf(t, f).Equal(second) || strings.Count(log.String(), "the old one stays") != 1 {
			t.Errorf("%s: %s", name, log.String())
		}
		now = now.Add(checkEvery)
		if leafOf(t, f); strings.Count(log.String(), "the old one stays") != 1 {
			t.Errorf("%s: it is complained about again and again", name)
		}
	}
	if err := os.Remove(files.key); err != nil {
		t.Fatal(err)
	}
	now = now.Add(checkEvery)
	if !leafOf(t, f).Equal(second) {
		t.Error("a key that is gone takes the certificate with it")
	}

	files.put(t, later, otherKey, now)
	f.Reload()
	if leafOf(t, f).Equal(second) {
		t.Error("not read again when asked to")
	}
	now = now.Add(-time.Hour) // a clock that is set back does not stop the looks
	if leafOf(t, f); !f.checked.Equal(now) {
		t.Error("the files are looked at no more")
	}
}

func TestFilesMustHoldAPair(t *testing.T) {
	authority := acmetest.Start(t)
	dir := t.TempDir()
	files := pair{filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")}
	chain, _ := authority.Pair(t, "a.example.org")
	_, key := authority.Pair(t, "a.example.org")
	if _, err := OpenFiles(files.certificate, files.key, slog.New(slog.DiscardHandler)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing files: %v", err)
	}
	files.put(t, chain, key, time.Now())
	if _, err := OpenFiles(files.certificate, files.key, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a key of another certificate is taken")
	}
	authority.Dates(-2*time.Hour, -time.Hour)
	chain, key = authority.Pair(t, "a.example.org")
	files.put(t, chain, key, time.Now())
	var log strings.Builder
	if _, err := OpenFiles(files.certificate, files.key, slog.New(slog.NewTextHandler(&log, nil))); err != nil ||
		!strings.Contains(log.String(), "clients will refuse") {
		t.Errorf("an expired certificate: %v, %s", err, log.String())
	}
}
