package tlscert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// LetsEncrypt is the directory of the authority that most use.
const LetsEncrypt = autocert.DefaultACMEDirectory

// ChallengeProto is the protocol of TLS-ALPN-01 challenges (RFC 8737), which the TLS listener
// offers besides its own.
const ChallengeProto = acme.ALPNProto

// Our own limits, each with its reason.
const (
	firstRetry  = 2 * time.Minute  // after a refusal; the library remembers one for a minute
	lastRetry   = time.Hour        // authorities count failures by the hour
	lookEvery   = 12 * time.Hour   // for a renewal that does not come
	answerTime  = 30 * time.Second // of the authority, for one request
	lateQuarter = 4                // a renewal is due at a third of the lifetime, and late at a quarter
)

// Errors of a handshake; the peer hears an alert.
var (
	// ErrName: the client asked for a name that is not in the configuration, or for none.
	ErrName = errors.New("tlscert: not a name of this server")
	// ErrPending: the authority has given no certificate for the name yet.
	ErrPending = errors.New("tlscert: no certificate yet")
	// ErrFolder: others than its owner may read the folder of the private keys.
	ErrFolder = errors.New("tlscert: others may read the folder of the certificates' keys; chmod it to 700")
)

// ACMEConfig says for what names to get certificates, and from whom. Whoever fills it in has
// agreed to the authority's terms. All but Email and Roots are required.
type ACMEConfig struct {
	Domains   []string       // host names in lower case; each has a certificate of its own
	Email     string         // where the authority writes about trouble
	Directory string         // the authority's URL, https
	Roots     *x509.CertPool // that prove the authority's own server; nil: the system's
	Folder    string         // for keys and certificates; made with mode 0700
	Log       *slog.Logger
}

// ACME gets certificates and renews them when a third of their time is left. It is safe for
// concurrent use.
//
// Only [ACME.Run] asks the authority, never a handshake: strangers could otherwise use up what
// the authority grants in an hour, and wait for it on our sockets. All keys are ECDSA P-256,
// which every TLS 1.3 peer of ours understands; asked with a hello that offers TLS 1.3 suites
// only, as QUIC's does, the library would get a second certificate, for an RSA key.
type ACME struct {
	domains []string // static
	log     *slog.Logger
	manager *autocert.Manager

	mu    sync.Mutex
	ready map[string]bool // guarded by mu: names that have a certificate
}

// OpenACME makes the folder; it asks nobody. Errors: ErrFolder and those of the file system.
func OpenACME(cfg ACMEConfig) (*ACME, error) {
	if err := os.MkdirAll(cfg.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("tlscert: %w", err)
	}
	info, err := os.Stat(cfg.Folder)
	if err != nil {
		return nil, fmt.Errorf("tlscert: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, ErrFolder
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: cfg.Roots}
	return &ACME{
		domains: slices.Clone(cfg.Domains), log: cfg.Log, ready: make(map[string]bool),
		manager: &autocert.Manager{
			Prompt:     autocert.AcceptTOS,
			Cache:      autocert.DirCache(cfg.Folder), // files of mode 0600
			HostPolicy: autocert.HostWhitelist(cfg.Domains...),
			Email:      cfg.Email,
			Client: &acme.Client{
				DirectoryURL: cfg.Directory,
				HTTPClient:   &http.Client{Transport: transport, Timeout: answerTime},
				UserAgent:    "sealpost",
			},
		},
	}, nil
}

// GetCertificate answers TLS-ALPN-01 challenges, and gives the certificate of the name that is
// asked for. Errors: ErrName, ErrPending.
func (a *ACME) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if !slices.Contains(a.domains, name) {
		return nil, ErrName
	}
	if slices.Equal(hello.SupportedProtos, []string{ChallengeProto}) {
		return a.manager.GetCertificate(hello)
	}
	a.mu.Lock()
	ready := a.ready[name]
	a.mu.Unlock()
	if !ready {
		return nil, ErrPending
	}
	return a.certificate(name)
}

// certificate asks the library in words that always mean the one ECDSA certificate of name. It
// gets one if there is none, which takes up to five minutes.
func (a *ACME) certificate(name string) (*tls.Certificate, error) {
	return a.manager.GetCertificate(&tls.ClientHelloInfo{
		ServerName: name, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
}

// HTTP makes the authority's HTTP-01 challenges possible as well, and returns what answers
// them; it serves nothing else. It belongs on port 80. Call it before Run.
func (a *ACME) HTTP() http.Handler {
	answer := a.manager.HTTPHandler(http.NotFoundHandler())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			http.NotFound(w, r)
			return
		}
		answer.ServeHTTP(w, r)
	})
}

// Run gets a certificate for each name, from the folder or the authority, and says in the log
// what does not work; it returns when ctx ends, which does not interrupt the authority. The
// listeners are open before it is called: they are what the authority tries.
func (a *ACME) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, name := range a.domains {
		all.Go(func() { a.keep(ctx, name) })
	}
	all.Wait()
}

func (a *ACME) keep(ctx context.Context, name string) {
	for retry := firstRetry; ; retry = min(2*retry, lastRetry) {
		_, err := a.certificate(name)
		if err == nil {
			break
		}
		a.log.Error("the authority gives no certificate", "domain", name, "error", err, "again_in", retry)
		if !wait(ctx, retry) {
			return
		}
	}
	a.mu.Lock()
	a.ready[name] = true
	a.mu.Unlock()
	a.log.Info("a certificate is in force", "domain", name)
	for wait(ctx, lookEvery) {
		if cert, err := a.certificate(name); err == nil && late(cert.Leaf, time.Now()) {
			a.log.Error("the certificate was not renewed", "domain", name, "until", cert.Leaf.NotAfter.UTC().Format(time.DateOnly))
		}
	}
}

// late tells whether a certificate should have been renewed by now; the library does not say
// that it failed to.
func late(cert *x509.Certificate, now time.Time) bool {
	return cert.NotAfter.Sub(now) < cert.NotAfter.Sub(cert.NotBefore)/lateQuarter
}

// wait reports whether d passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
