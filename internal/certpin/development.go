package certpin

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"time"
)

const (
	// lifetime stays below the 14 days that browsers accept for a certificate
	// known by its hash (WebTransport's serverCertificateHashes).
	lifetime = 13 * 24 * time.Hour
	// renewBefore leaves days, not minutes, to clients that hold the
	// certificate's hash rather than its key.
	renewBefore = 3 * 24 * time.Hour
	// backdate is how far a client's clock may be behind the server's.
	backdate = time.Hour
)

// Development is a self-signed certificate that renews itself under a key that
// is kept in a file, so clients pin the key. It is safe for concurrent use. It
// holds a private key and is never printed.
type Development struct {
	key   *ecdsa.PrivateKey // static
	pin   Pin               // static
	hosts []string          // static

	mu      sync.Mutex
	current *tls.Certificate // guarded by mu; replaced, never changed
}

// OpenDevelopment loads the key in dir, or makes one (ECDSA P-256, PKCS #8 in
// PEM, mode 0600) if there is none; dir must exist. The certificates name
// hosts, host names or IP addresses; without any they name localhost and both
// loopback addresses.
//
// Errors: ErrKeyFile for a file that holds no such key or that others may read,
// and those of the file system.
func OpenDevelopment(dir string, hosts ...string) (*Development, error) {
	key, err := loadOrCreateKey(dir)
	if err != nil {
		return nil, err
	}
	if len(hosts) == 0 {
		hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	d := &Development{key: key, hosts: hosts}
	cert, err := d.GetCertificate(nil)
	if err != nil {
		return nil, err
	}
	d.pin = Of(cert.Leaf)
	return d, nil
}

// Pin returns what clients pin. It stays the same for as long as the key file.
func (d *Development) Pin() Pin { return d.pin }

// ServerConfig returns a TLS 1.3 server configuration that presents this
// certificate. Session tickets are off: a resumed session would outlive the
// certificate it was opened under.
func (d *Development) ServerConfig() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		GetCertificate:         d.GetCertificate,
		SessionTicketsDisabled: true,
	}
}

// GetCertificate returns the certificate in force, for tls.Config. It makes a
// new one when fewer than three days of the last are left, or when the clock
// went back before its first. The argument is not used and may be nil.
func (d *Development) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if d.current == nil || d.current.Leaf.NotAfter.Sub(now) < renewBefore || now.Before(d.current.Leaf.NotBefore) {
		cert, err := d.issue(now)
		if err != nil {
			return nil, err
		}
		d.current = cert
	}
	return d.current, nil
}

func (d *Development) issue(now time.Time) (*tls.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("certpin: drawing a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)), // RFC 5280 4.1.2.2: not zero
		Subject:               pkix.Name{CommonName: "Sealpost development"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(lifetime - backdate),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, h := range d.hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, d.key.Public(), d.key)
	if err != nil {
		return nil, fmt.Errorf("certpin: signing the certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certpin: reading the certificate back: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: d.key, Leaf: leaf}, nil
}

const redacted = "redacted"

// Format prints nothing of the key, whatever the verb.
func (d *Development) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue logs nothing of the key.
func (d *Development) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText encodes nothing of the key.
func (d *Development) MarshalText() ([]byte, error) { return []byte(redacted), nil }
