// Package acmetest is a certificate authority for tests: ACME (RFC 8555) over a real socket,
// with challenges that are really dialled (RFC 8737, RFC 8555 section 8.3).
//
// Start with [Start]. It checks what an authority checks: nonces are used once, signatures
// verify, the URL that was signed is the one that was asked. It issues for any name that
// answers its challenge. Names resolve to what [Authority.Resolve] was told.
package acmetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Authority is an authority that runs. It is safe for concurrent use.
type Authority struct {
	server *httptest.Server
	key    *ecdsa.PrivateKey
	root   *x509.Certificate

	mu       sync.Mutex
	nonces   map[string]bool             // guarded by mu: issued and not used
	accounts map[string]*ecdsa.PublicKey // guarded by mu: by URL
	orders   []*order                    // guarded by mu
	tlsAt    map[string]string           // guarded by mu: HOST:PORT for a name's TLS-ALPN-01
	httpAt   map[string]string           // guarded by mu: HOST:PORT for a name's HTTP-01
	closed   bool                        // guarded by mu
	resolved *sync.Cond                  // of mu: tlsAt or closed has changed
	from, to time.Duration               // guarded by mu: dates of the next certificate, from its issue on
	serial   int64                       // guarded by mu
}

// order is for one name, with one authorization.
type order struct {
	name        string
	token       string
	authorized  bool
	failed      bool
	certificate []byte // PEM chain, once finalized
}

// Start starts an authority, which the test's end stops. Its certificates are valid for 90
// days.
func Start(t testing.TB) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &Authority{
		key: key, nonces: make(map[string]bool), accounts: make(map[string]*ecdsa.PublicKey),
		tlsAt: make(map[string]string), httpAt: make(map[string]string), from: -time.Hour, to: 90 * 24 * time.Hour,
	}
	a.resolved = sync.NewCond(&a.mu)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Authority for tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if a.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(a.serve))
	a.server.TLS = &tls.Config{Certificates: []tls.Certificate{a.issueTo(t, "127.0.0.1")}}
	a.server.StartTLS()
	t.Cleanup(func() {
		a.mu.Lock()
		a.closed = true
		a.resolved.Broadcast()
		a.mu.Unlock()
		a.server.Close()
	})
	return a
}

// Directory returns the URL that clients start from.
func (a *Authority) Directory() string { return a.server.URL + "/directory" }

// Roots returns the authority's root, which proves its own server and all that it issues.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

// RootPEM returns the root for a file.
func (a *Authority) RootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})
}

// Resolve tells where name answers TLS-ALPN-01 and HTTP-01 challenges, each HOST:PORT; one
// that is empty is not offered. Until then a challenge for name waits.
func (a *Authority) Resolve(name, tlsAt, httpAt string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tlsAt[name], a.httpAt[name] = tlsAt, httpAt
	a.resolved.Broadcast()
}

// Dates sets the dates of what is issued from here on, counted from then.
func (a *Authority) Dates(from, to time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.from, a.to = from, to
}

// Issued returns how many certificates each name was given.
func (a *Authority) Issued() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := make(map[string]int)
	for _, o := range a.orders {
		if o.certificate != nil {
			n[o.name]++
		}
	}
	return n
}

// serve answers one request. Paths are /ORDER/WHAT, but for those of the directory.
func (a *Authority) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Replay-Nonce", a.nonce())
	switch r.URL.Path {
	case "/directory":
		u := a.server.URL
		answer(w, http.StatusOK, map[string]any{
			"newNonce": u + "/nonce", "newAccount": u + "/account", "newOrder": u + "/order",
			"meta": map[string]any{"termsOfService": u + "/terms"},
		})
		return
	case "/nonce":
		return
	}
	signed, err := a.verify(r)
	if err != nil {
		kind := "malformed"
		if err == errNonce {
			kind = "badNonce"
		}
		answer(w, http.StatusBadRequest, map[string]any{"type": "urn:ietf:params:acme:error:" + kind, "detail": err.Error()})
		return
	}
	switch r.URL.Path {
	case "/account":
		w.Header().Set("Location", signed.account)
		answer(w, http.StatusCreated, map[string]any{"status": "valid"})
		return
	case "/order":
		a.newOrder(w, signed.payload)
		return
	}
	part := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	n, err := strconv.Atoi(part[0])
	a.mu.Lock()
	if err != nil || len(part) != 2 || n >= len(a.orders) {
		a.mu.Unlock()
		http.NotFound(w, r)
		return
	}
	o := a.orders[n]
	a.mu.Unlock()
	a.serveOrder(w, part[1], o, a.server.URL+"/"+part[0]+"/", signed)
}

func answer(w http.ResponseWriter, status int, v any) {
	kind := "application/json"
	if status >= 400 {
		kind = "application/problem+json"
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func random() string {
	b := make([]byte, 16)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
