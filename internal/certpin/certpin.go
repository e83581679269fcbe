// Package certpin names a TLS server by the hash of its public key, and keeps
// the self-signed certificate of a server that has no other.
//
// A client starts with ClientConfig; a server without a certificate of its own
// starts with OpenDevelopment. A pin outlives the certificate: it is the hash
// of the SubjectPublicKeyInfo (RFC 7469 section 2.4, without its HTTP header),
// so certificates may be renewed for as long as the key stays.
//
// Out of scope: ACME and an operator's own files (internal/tlscert), and
// revocation.
package certpin

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Errors of a handshake with a pinned server. All are final for the address
// that held the pin; errors.Is finds them in what a TLS or WebSocket dial
// returns.
var (
	// ErrMismatch: the server proved another key than the pinned one, which is
	// an interceptor or a server that lost its key.
	ErrMismatch = errors.New("certpin: the server's key is not the pinned one")
	// ErrValidity: the pinned key's certificate is not valid at this time; one
	// of the two clocks may be wrong.
	ErrValidity = errors.New("certpin: the server's certificate is not valid now")
	// ErrUsage: the pinned key's certificate was not made for TLS servers.
	ErrUsage = errors.New("certpin: the server's certificate is not for server authentication")
	// ErrFormat: the text is not a pin.
	ErrFormat = errors.New("certpin: a pin is 32 bytes in base64url without padding")
)

// A Pin is the SHA-256 of a certificate's SubjectPublicKeyInfo in DER. It is
// public.
type Pin [sha256.Size]byte

// Of returns the pin of cert's public key.
func Of(cert *x509.Certificate) Pin { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }

// String returns the pin in base64url without padding (RFC 4648 section 5).
func (p Pin) String() string { return base64.RawURLEncoding.EncodeToString(p[:]) }

// MarshalText returns what String returns.
func (p Pin) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText accepts exactly what String returns; all else is ErrFormat and
// leaves p as it was.
func (p *Pin) UnmarshalText(text []byte) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(string(text))
	// The decoder skips line ends, so the round trip is compared as well: one
	// pin has one spelling.
	if err != nil || len(b) != len(p) || base64.RawURLEncoding.EncodeToString(b) != string(text) {
		return ErrFormat
	}
	copy(p[:], b)
	return nil
}

// Parse is UnmarshalText as a function.
func Parse(s string) (p Pin, err error) {
	err = p.UnmarshalText([]byte(s))
	return p, err
}

// ClientConfig returns the configuration of a TLS 1.3 client for serverName (a
// host name or IP address without port).
//
// Without a pin the system's roots and serverName decide, as usual. With a pin
// the pinned key alone decides: the chain and the name in the certificate say
// nothing more, but its dates and its usage for server authentication are
// still checked. That the server holds the key is proven by the handshake
// itself (RFC 8446 section 4.4.3). The pin is copied. Each call returns a new
// configuration, which the caller may change before its first use.
func ClientConfig(serverName string, pin *Pin) *tls.Config {
	cfg := &tls.Config{ServerName: serverName, MinVersion: tls.VersionTLS13}
	if pin == nil {
		return cfg
	}
	want := *pin
	// Safe only together with VerifyConnection, which crypto/tls calls on every
	// handshake, resumed ones included, before any application data.
	cfg.InsecureSkipVerify = true
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return ErrMismatch
		}
		return want.verify(state.PeerCertificates[0], time.Now())
	}
	return cfg
}

// verify checks the key first: what the dates of a stranger's certificate are
// is nothing the caller should act on.
func (p Pin) verify(cert *x509.Certificate, now time.Time) error {
	got := Of(cert)
	if subtle.ConstantTimeCompare(p[:], got[:]) != 1 {
		return ErrMismatch
	}
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return fmt.Errorf("%w: it lasts from %s to %s", ErrValidity,
			cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339))
	}
	if !forServers(cert) {
		return ErrUsage
	}
	return nil
}

// forServers applies RFC 5280 sections 4.2.1.3 and 4.2.1.12: an absent
// extension restricts nothing.
func forServers(cert *x509.Certificate) bool {
	if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return false
	}
	if len(cert.ExtKeyUsage) == 0 && len(cert.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.ContainsFunc(cert.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageServerAuth || u == x509.ExtKeyUsageAny
	})
}
