// Package tlscert is where a server's TLS certificate comes from when an operator has a name
// for it: files that somebody else renews, or an authority that speaks ACME (RFC 8555).
//
// Start with [OpenFiles] or [OpenACME]. Each has a GetCertificate for tls.Config, which the
// same process uses for TCP and QUIC, so that both always present one certificate. A server
// without a name keeps a self-signed one (internal/certpin).
//
// Out of scope: revocation, and stapling of its answers.
package tlscert

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// checkEvery is how often the files are looked at.
const checkEvery = time.Minute

// ErrDates: the certificate is not valid at this time.
var ErrDates = errors.New("tlscert: the certificate has expired, or is not valid yet")

// Files is a certificate in two PEM files that are read again when they change. It is safe
// for concurrent use.
type Files struct {
	certificate, key string // paths; static
	log              *slog.Logger
	now              func() time.Time

	mu      sync.Mutex
	current *tls.Certificate // guarded by mu; replaced, never changed
	seen    [2]stamp         // guarded by mu: the files as they were last read, well or not
	checked time.Time        // guarded by mu
}

// stamp is by what a file's change is noticed.
type stamp struct {
	modified time.Time
	size     int64
}

// OpenFiles reads a chain and its key. Errors are those of the file system, and of files that
// do not hold a pair. A certificate whose dates are wrong is used all the same, and logged:
// the files may be replaced before anybody comes.
func OpenFiles(certificate, key string, log *slog.Logger) (*Files, error) {
	f := &Files{certificate: certificate, key: key, log: log, now: time.Now}
	cert, err := f.load()
	if errors.Is(err, ErrDates) {
		log.Error("clients will refuse the certificate", "error", err)
	} else if err != nil {
		return nil, err
	}
	f.current, f.checked = cert, f.now()
	return f, nil
}

// GetCertificate returns the pair in force, for tls.Config. At most once a minute it looks
// whether the files have changed. The argument is not used and may be nil.
func (f *Files) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.checked) >= checkEvery || now.Before(f.checked) {
		f.checked = now
		if f.stamps() != f.seen {
			f.replace()
		}
	}
	return f.current, nil
}

// Reload reads the files now, whether they seem to have changed or not.
func (f *Files) Reload() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checked = f.now()
	f.replace()
}

// replace takes what is in the files, or says why not and keeps what is in force. f.mu is held.
func (f *Files) replace() {
	cert, err := f.load()
	if err != nil {
		f.log.Error("the new certificate cannot be used, the old one stays", "error", err)
		return
	}
	f.current = cert
	f.log.Info("a new certificate is in force", "until", cert.Leaf.NotAfter.UTC().Format(time.DateOnly))
}

// load reads the pair. The stamps are taken first: files that change while they are read are
// read again at the next look.
func (f *Files) load() (*tls.Certificate, error) {
	f.seen = f.stamps()
	cert, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return nil, fmt.Errorf("tlscert: %w", err)
	}
	if now := f.now(); now.After(cert.Leaf.NotAfter) || now.Before(cert.Leaf.NotBefore) {
		return &cert, ErrDates
	}
	return &cert, nil
}

func (f *Files) stamps() (s [2]stamp) {
	for i, path := range []string{f.certificate, f.key} {
		if info, err := os.Stat(path); err == nil {
			s[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return s
}
