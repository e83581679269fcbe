package mls

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealpost/sealpost/internal/wire"
)

// authority issues certificates. It is a CredentialValidator that knows its own, and wants a
// name to stay who it is.
type authority struct {
	key  ed25519.PrivateKey
	root *x509.Certificate
}

var errNotIssued = errors.New("not issued by the authority")

func newAuthority(t tb) *authority {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	a := &authority{key: key}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	if err != nil {
		t.Fatal(err)
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	a.root = must(x509.ParseCertificate(der))(t)
	return a
}

// certificate is one for a key of any kind.
func (a *authority) certificate(t tb, public crypto.PublicKey, name string) []byte {
	t.Helper()
	return must(x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name, Organization: []string{"Sealpost's tests"}},
		NotBefore: testNow.Add(-time.Minute), NotAfter: testNow.Add(time.Minute), DNSNames: []string{name},
	}, a.root, public, a.key))(t)
}

// credential is a chain for a signature key.
func (a *authority) credential(t tb, key SignaturePrivateKey, name string) Credential {
	t.Helper()
	var public crypto.PublicKey
	switch s := suites[key.Suite()].signature.(type) {
	case ed25519Scheme:
		public = ed25519.PublicKey(key.Public())
	case ecdsaScheme:
		public = must(ecdsa.ParseUncompressedPublicKey(s.curve, key.Public()))(t)
	default:
		t.Fatalf("crypto/x509 has no certificates for %v", key.Suite())
	}
	return Credential{Type: CredentialX509, Certificates: [][]byte{a.certificate(t, public, name), a.root.Raw}}
}

func (a *authority) ValidateCredential(c CredentialCheck) error {
	if c.Credential.Type != CredentialX509 || len(c.Credential.Certificates) == 0 {
		return errNotIssued
	}
	end, err := x509.ParseCertificate(c.Credential.Certificates[0])
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.root)
	// Not now: whether a commit counts must not depend on when it is read.
	if _, err := end.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: end.NotBefore}); err != nil {
		return errors.Join(errNotIssued, err)
	}
	if c.Predecessor == nil || c.Predecessor.Type != CredentialX509 {
		return nil
	}
	before, err := x509.ParseCertificate(c.Predecessor.Certificates[0])
	if err != nil || before.Subject.CommonName != end.Subject.CommonName {
		return errNotIssued
	}
	return nil
}

// issuable reports whether crypto/x509 can issue certificates for a suite's keys.
func issuable(id Suite) bool {
	switch suites[id].signature.(type) {
	case ed25519Scheme, ecdsaScheme:
		return true
	}
	return false
}

// certified runs a test for every such suite.
func certified(t *testing.T, run func(*testing.T, Suite)) {
	eachSuite(t, func(t *testing.T, id Suite) {
		if !issuable(id) {
			t.Skip("crypto/x509 has no certificates of this scheme")
		}
		run(t, id)
	})
}

func (a *authority) keyPackage(t tb, id Suite, name string) (*KeyPackage, *KeyPackageSecrets) {
	t.Helper()
	key := signatureKeyOf(t, id)
	kp, secrets, err := NewKeyPackage(KeyPackageConfig{
		Suite: id, Credential: a.credential(t, key, name), SignatureKey: key,
		NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return kp, secrets
}

// pair is a group of two with certificates, who both ask the authority.
func (a *authority) pair(t tb, id Suite) (*Group, *Group) {
	t.Helper()
	key, app := signatureKeyOf(t, id), Application{Credentials: a}
	founder := must(NewGroup(GroupConfig{
		Suite: id, GroupID: []byte("group"), Credential: a.credential(t, key, "a"), SignatureKey: key, Application: app, Now: testNow,
	}))(t)
	kp, secrets := a.keyPackage(t, id, "b")
	c := must(founder.Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow}))(t)
	if err := founder.Merge(c); err != nil {
		t.Fatal(err)
	}
	return founder, must(Join(c.Welcomes()[0].Message, secrets, JoinParams{Tree: founder.RatchetTree(), Application: app, Now: testNow}))(t)
}

// TestX509: members with certificates found, join, and change key and certificate by commit
// and by Update; the validator gets the chain as it was given, and its refusal counts.
func TestX509(t *testing.T) {
	certified(t, func(t *testing.T, id Suite) {
		a := newAuthority(t)
		alice, bob := a.pair(t, id)
		say(t, bob, []*Group{alice}, "with a certificate")

		key := signatureKeyOf(t, id)
		renewed := a.credential(t, key, "a")
		c := must(alice.Commit(CommitParams{NewSignatureKey: key, NewCredential: &renewed}))(t)
		deliver(t, c.Message(), []*Group{bob})
		if err := alice.Merge(c); err != nil {
			t.Fatal(err)
		}
		if m, _ := bob.Member(0); !m.Credential.equal(renewed) || !bytes.Equal(m.SignatureKey, key.Public()) {
			t.Error("the new certificate has not arrived")
		}

		key = signatureKeyOf(t, id)
		renewed = a.credential(t, key, "b")
		update := must(bob.Propose(ProposalParams{Update: true, NewSignatureKey: key, NewCredential: &renewed}))(t)
		must(alice.Process(update))(t)
		must(bob.Process(update))(t)
		c = must(alice.Commit(CommitParams{IncludePending: true}))(t)
		deliver(t, c.Message(), []*Group{bob})
		if err := alice.Merge(c); err != nil {
			t.Fatal(err)
		}
		agree(t, []*Group{alice, bob})
		say(t, alice, []*Group{bob}, "with another")

		key = signatureKeyOf(t, id)
		eve := a.credential(t, key, "eve")
		if _, err := alice.Commit(CommitParams{NewSignatureKey: key, NewCredential: &eve}); !errors.Is(err, errNotIssued) {
			t.Errorf("another name in place of one's own: %v, want the validator's error", err)
		}
		kp, _ := newAuthority(t).keyPackage(t, id, "c")
		if err := kp.Verify(testNow, a); !errors.Is(err, errNotIssued) {
			t.Errorf("a certificate of another authority: %v, want the validator's error", err)
		}
	})
}

// badChains break the rule of their name for the given key.
func badChains(t tb, a *authority, key SignaturePrivateKey) map[string][]Credential {
	t.Helper()
	chain := func(certificates ...[]byte) Credential {
		return Credential{Type: CredentialX509, Certificates: certificates}
	}
	good := a.credential(t, key, "b").Certificates[0]
	long := append(bytes.Clone(good), 0)
	of := func(id Suite) Credential { return a.credential(t, signatureKeyOf(t, id), "b") }
	other := of(key.Suite())
	algorithm := append(suites[key.Suite()].signature.(certifiable).algorithmIdentifier(), byte(asn1.BIT_STRING))
	unlike := bytes.Clone(algorithm)
	unlike[len(unlike)-2] ^= 1
	return map[string][]Credential{
		"credential.certificate": {
			chain(), chain(nil), chain([]byte("no certificate"), good), chain(long),
			chain(certificateShape(key, endOfKey)), chain(certificateShape(key, endOfCertificate)), chain(good, nil),
		},
		"credential.certificate-key": {
			other, chain(other.Certificates[0], good), chain(bytes.Replace(good, algorithm, unlike, 1)), chain(a.root.Raw, good),
			of(SuiteX25519AES128Ed25519), of(SuiteP256AES128P256), of(SuiteP384AES256P384), of(SuiteP521AES256P521),
		},
	}
}

// Places in a certificate where nothing may follow.
const (
	endOfKey = iota + 1
	endOfCertificate
)

// certificateShape is a certificate for a key with nothing else in it, and with something at
// a place where nothing may be.
func certificateShape(key SignaturePrivateKey, surplus int) []byte {
	var b cryptobyte.Builder
	nothing := func(*cryptobyte.Builder) {}
	here := func(b *cryptobyte.Builder, place int) {
		if place == surplus {
			b.AddASN1(asn1.NULL, nothing)
		}
	}
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1) // serial number of a version 1 certificate
			for range 4 {
				b.AddASN1(asn1.SEQUENCE, nothing)
			}
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(suites[key.Suite()].signature.(certifiable).algorithmIdentifier())
				b.AddASN1BitString(key.Public())
				here(b, endOfKey)
			})
		})
		b.AddASN1(asn1.SEQUENCE, nothing)
		b.AddASN1BitString(nil)
		here(b, endOfCertificate)
	})
	return b.BytesOrPanic()
}

// TestX509Prefixes: what is left of a certificate that was cut anywhere is none.
func TestX509Prefixes(t *testing.T) {
	eachSuite(t, func(t *testing.T, id Suite) {
		row, key := suites[id], signatureKeyOf(t, id)
		if _, ok := row.signature.(certifiable); !ok {
			t.Skip("no certificates for this scheme")
		}
		certificates := [][]byte{certificateShape(key, 0)}
		if issuable(id) {
			certificates = append(certificates, newAuthority(t).credential(t, key, "b").Certificates[0])
		}
		for _, whole := range certificates {
			check := func(b []byte) error {
				return Credential{Type: CredentialX509, Certificates: [][]byte{b}}.checkHolder(row, key.Public())
			}
			if err := check(whole); err != nil {
				t.Error(err)
			}
			for i := range whole {
				wantRule(t, fmt.Sprintf("the first %d bytes", i), check(whole[:i]), "credential.certificate")
			}
		}
	})
}

// TestX509Rules: whoever signs with a key that is not the certificate's is nobody's member,
// also where no validator is asked.
func TestX509Rules(t *testing.T) {
	certified(t, func(t *testing.T, id Suite) {
		a := newAuthority(t)
		groups := trioOf(t, id)
		_, secrets := keyPackageOf(t, id, "b")
		for rule, chains := range badChains(t, a, secrets.signatureKey) {
			for i, cred := range chains {
				what := fmt.Sprintf("%s %d", rule, i)
				_, _, err := NewKeyPackage(KeyPackageConfig{
					Suite: id, Credential: cred, SignatureKey: secrets.signatureKey, NotBefore: testNow, NotAfter: testNow.Add(time.Hour),
				})
				wantRule(t, what+" in an own KeyPackage", err, rule)
				if i > 3 {
					continue // one check serves all places
				}
				forged := forge(t, id, func(_ *KeyPackage, l *leafNode) { l.credential = cred })
				wantRule(t, what+" in a KeyPackage", forged.Verify(testNow, nil), rule)
				msg := must(hack(t, groups[0].Clone(), []*proposal{{kind: proposalAdd, add: forged}}, withoutPath, wireFormatPrivate, nil))(t)
				_, err = groups[1].Process(msg)
				wantRule(t, what+" in an Add", err, rule)
				if !errors.Is(err, ErrInvalidCommit) {
					t.Errorf("%s: %v, want ErrInvalidCommit", what, err)
				}
				_, err = groups[0].Commit(CommitParams{Extensions: new(oneSender(secrets.signatureKey.Public(), cred))})
				wantRule(t, what+" of an external sender", err, rule)
				_, err = NewGroup(GroupConfig{Suite: id, GroupID: []byte("g"), Credential: cred, SignatureKey: secrets.signatureKey, Now: testNow})
				wantRule(t, what+" of a founder", err, rule)
			}
		}
		good := a.credential(t, secrets.signatureKey, "b")
		must(groups[0].Commit(CommitParams{Extensions: new(oneSender(secrets.signatureKey.Public(), good))}))(t)
	})
}

// oneSender is the external_senders extension with one sender.
func oneSender(key SignaturePublicKey, cred Credential) []Extension {
	var w wire.Writer
	w.Nested(func(w *wire.Writer) {
		w.Bytes(key)
		writeCredential(w, cred)
	})
	return []Extension{{Type: ExtensionExternalSenders, Data: mustFinish(&w)}}
}

// TestX509KeyAndCredentialChangeTogether: a member cannot change one without the other,
// neither in a commit nor in an Update.
func TestX509KeyAndCredentialChangeTogether(t *testing.T) {
	certified(t, func(t *testing.T, id Suite) {
		a := newAuthority(t)
		alice, bob := a.pair(t, id)
		key := signatureKeyOf(t, id)
		cred := a.credential(t, key, "a")
		for _, p := range []CommitParams{{NewSignatureKey: key}, {NewCredential: &cred}} {
			_, err := alice.Commit(p)
			wantRule(t, "own commit", err, "credential.certificate-key")
			// The same from somebody whose program does not look.
			msg := must(hack(t, alice.Clone(), nil, func(b *commitBuilder) {
				leaf := b.commit.path.leaf
				if p.NewCredential != nil {
					leaf.credential = cred
				} else {
					leaf.signatureKey, b.signatureKey = key.Public(), key
				}
				if err := leaf.sign(suites[id], b.signatureKey, alice.ID(), 0); err != nil {
					t.Fatal(err)
				}
			}, wireFormatPrivate, nil))(t)
			_, err = bob.Process(msg)
			wantRule(t, "received commit", err, "credential.certificate-key")
		}
		for _, p := range []ProposalParams{{Update: true, NewSignatureKey: key}, {Update: true, NewCredential: &cred}} {
			_, err := alice.Propose(p)
			wantRule(t, "own Update", err, "credential.certificate-key")
		}
	})
}
