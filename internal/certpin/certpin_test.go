package certpin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// handshake runs one TLS handshake over a pipe and returns the client's error.
func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s := tls.Server(a, server)
		if s.Handshake() == nil {
			s.Write([]byte("x"))
		}
		s.NetConn().Close()
	}()
	c := tls.Client(b, client)
	err := c.Handshake()
	if err == nil {
		// TLS 1.3 clients are done before the server has agreed to anything.
		_, err = c.Read(make([]byte, 1))
	}
	b.Close()
	<-done
	return err
}

// selfSigned makes a certificate from template with times around now.
func selfSigned(t *testing.T, template x509.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	if template.NotBefore.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestPinnedHandshake(t *testing.T) {
	server := x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	now := time.Now()
	cases := map[string]struct {
		template x509.Certificate
		other    bool // pin another key
		want     error
	}{
		"right key, any name":    {template: server},
		"no usage extension":     {},
		"other key":              {template: server, other: true, want: ErrMismatch},
		"client certificate":     {template: x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, want: ErrUsage},
		"key may not sign":       {template: x509.Certificate{KeyUsage: x509.KeyUsageKeyEncipherment}, want: ErrUsage},
		"expired":                {template: x509.Certificate{NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}, want: ErrValidity},
		"not yet valid":          {template: x509.Certificate{NotBefore: now.Add(time.Hour), NotAfter: now.Add(2 * time.Hour)}, want: ErrValidity},
		"expired and not pinned": {template: x509.Certificate{NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}, other: true, want: ErrMismatch},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cert := selfSigned(t, c.template)
			pin := Of(cert.Leaf)
			if c.other {
				pin = Of(selfSigned(t, server).Leaf)
			}
			err := handshake(t, &tls.Config{Certificates: []tls.Certificate{*cert}}, ClientConfig("relay.example", &pin))
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestWithoutPinTheRootsDecide(t *testing.T) {
	cert := selfSigned(t, x509.Certificate{DNSNames: []string{"relay.example"}})
	cfg := &tls.Config{Certificates: []tls.Certificate{*cert}}
	err := handshake(t, cfg, ClientConfig("relay.example", nil))
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		t.Fatalf("a self-signed server without a pin: got %v", err)
	}
}

func TestOnlyTLS13(t *testing.T) {
	cert := selfSigned(t, x509.Certificate{})
	pin := Of(cert.Leaf)
	old := &tls.Config{Certificates: []tls.Certificate{*cert}, MaxVersion: tls.VersionTLS12}
	if err := handshake(t, old, ClientConfig("relay.example", &pin)); err == nil {
		t.Fatal("a TLS 1.2 server was accepted")
	}
}

func TestPinIsCopied(t *testing.T) {
	cert := selfSigned(t, x509.Certificate{})
	pin := Of(cert.Leaf)
	cfg := ClientConfig("relay.example", &pin)
	clear(pin[:])
	if err := handshake(t, &tls.Config{Certificates: []tls.Certificate{*cert}}, cfg); err != nil {
		t.Fatal(err)
	}
}

func TestText(t *testing.T) {
	pin := Of(selfSigned(t, x509.Certificate{}).Leaf)
	s := pin.String()
	if len(s) != 43 || strings.ContainsAny(s, "+/=") {
		t.Fatalf("%q is not base64url without padding", s)
	}
	if got, err := Parse(s); err != nil || got != pin {
		t.Fatalf("round trip: %v, %v", got, err)
	}
	bad := []string{"", s[:42], s + "A", s + "=", s + "\n", s[:20] + "\r\n" + s[20:], "+" + s[1:], strings.Repeat("A", 42) + "B"}
	for _, b := range bad {
		if _, err := Parse(b); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: got %v, want ErrFormat", b, err)
		}
	}
}

// The pin holds over a restart and over every renewal; a client that pinned
// the key at the start connects a year later.
func TestDevelopmentCertificateRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := OpenDevelopment(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		pin := d.Pin()
		first, _ := d.GetCertificate(nil)
		if got := first.Leaf.NotAfter.Sub(first.Leaf.NotBefore); got != lifetime {
			t.Fatalf("it lasts %v, want %v", got, lifetime)
		}
		time.Sleep(lifetime - backdate - renewBefore)
		if same, _ := d.GetCertificate(nil); same != first {
			t.Fatal("renewed although three days are left")
		}
		time.Sleep(time.Second)
		second, _ := d.GetCertificate(nil)
		if second == first || second.Leaf.SerialNumber.Cmp(first.Leaf.SerialNumber) == 0 {
			t.Fatal("not renewed with less than three days left")
		}
		for range 52 {
			time.Sleep(7 * 24 * time.Hour)
			if err := handshake(t, d.ServerConfig(), ClientConfig("localhost", &pin)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
