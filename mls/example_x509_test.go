package mls_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// authority is a CredentialValidator that trusts one issuer. That the certificate holds the
// leaf's signature key, package mls has checked.
type authority struct {
	key  ed25519.PrivateKey
	root *x509.Certificate
}

func newAuthority() *authority {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	check(err)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der := must(x509.CreateCertificate(rand.Reader, root, root, key.Public(), key))
	return &authority{key: key, root: must(x509.ParseCertificate(der))}
}

// issue makes a credential for a signature key.
func (a *authority) issue(name string, key mls.SignaturePublicKey) mls.Credential {
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Minute),
	}
	der := must(x509.CreateCertificate(rand.Reader, certificate, a.root, ed25519.PublicKey(key), a.key))
	return mls.Credential{Type: mls.CredentialX509, Certificates: [][]byte{der}}
}

func (a *authority) ValidateCredential(c mls.CredentialCheck) error {
	if c.Credential.Type != mls.CredentialX509 {
		return errors.New("no certificate")
	}
	certificate, err := x509.ParseCertificate(c.Credential.Certificates[0])
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.root)
	// The clock must not decide here, or two members could disagree: see CredentialValidator.
	_, err = certificate.Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: certificate.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

// Members whose credentials are X.509 certificates. Who trusts which issuer is the
// application's.
func ExampleCredentialValidator() {
	ours, theirs := newAuthority(), newAuthority()
	app := mls.Application{Credentials: ours}
	all := clients("alice", "bob", "mallory")
	for i, issuer := range []*authority{ours, ours, theirs} {
		all[i].Credential = issuer.issue(string(all[i].Credential.Identity), all[i].SignatureKey.Public())
	}
	members := meet(app, all[:2])
	for _, m := range members[1].Members() {
		certificate := must(x509.ParseCertificate(m.Credential.Certificates[0]))
		fmt.Println(certificate.DNSNames)
	}

	kp, _ := keyPackage(all[2])
	_, err := members[0].Commit(mls.CommitParams{Add: []*mls.KeyPackage{kp}, Now: now})
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	fmt.Println("unknown authority:", unknown)
	// Output:
	// [alice]
	// [bob]
	// unknown authority: true
}
