package tsmls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// Members with X.509 certificates. ts-mls looks at none of them; package mls has the chain
// verified, and its keys are those that sign.
func TestCertificates(t *testing.T) {
	p := startPeer(t)
	for _, suite := range []mls.Suite{mls.SuiteX25519AES128Ed25519, mls.SuiteP256AES128P256, mls.SuiteP384AES256P384} {
		for _, f := range founders {
			t.Run(suite.String()+"/founded by "+f[0][:2], func(t *testing.T) {
				a := newAuthority(t)
				meet(newSessionOf(t, p, suite, f[0], a), f[0], f[1])
				if a.asked == 0 {
					t.Error("nobody's certificate was looked at")
				}
			})
		}
	}
}

// authority issues certificates and, as package mls' validator, knows its own again.
type authority struct {
	key   ed25519.PrivateKey
	root  *x509.Certificate
	roots *x509.CertPool
	asked int
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, root: root, roots: x509.NewCertPool()}
	a.roots.AddCert(root)
	return a
}

// identity is a fresh key with a chain that ends at the root.
func (a *authority) identity(t *testing.T, suite mls.Suite, name string) identity {
	t.Helper()
	key, err := suite.GenerateSignatureKey()
	if err != nil {
		t.Fatal(err)
	}
	var public crypto.PublicKey = ed25519.PublicKey(key.Public())
	if curve := map[mls.Suite]elliptic.Curve{
		mls.SuiteP256AES128P256: elliptic.P256(), mls.SuiteP384AES256P384: elliptic.P384(),
	}[suite]; curve != nil {
		if public, err = ecdsa.ParseUncompressedPublicKey(curve, key.Public()); err != nil {
			t.Fatal(err)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}, a.root, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	chain := [][]byte{der, a.root.Raw}
	return identity{name: name, key: &key, credential: mls.Credential{Type: mls.CredentialX509, Certificates: chain}}
}

// ValidateCredential verifies the chain at a time that does not depend on when it is asked.
func (a *authority) ValidateCredential(c mls.CredentialCheck) error {
	a.asked++
	if c.Credential.Type != mls.CredentialX509 {
		return errors.New("no certificate")
	}
	end, err := x509.ParseCertificate(c.Credential.Certificates[0])
	if err != nil {
		return err
	}
	_, err = end.Verify(x509.VerifyOptions{Roots: a.roots, CurrentTime: end.NotBefore})
	return err
}
