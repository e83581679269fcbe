package mls

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

var testNow = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

const testExtension ExtensionType = 0xf0a1

// unknownSuite is a suite that no table has: reserved to be unknown (section 13.5).
const unknownSuite Suite = 0x0a0a

// another is a suite that is not s.
func another(s Suite) Suite {
	if s == SuiteP256AES128P256 {
		return DefaultSuite
	}
	return SuiteP256AES128P256
}

// tb is what testing.T and rapid.T have in common here.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func must[T any](v T, err error) func(tb) T {
	return func(t tb) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Helpers named …Of take a suite; those without use the default one.

func signatureKey(t tb) SignaturePrivateKey { return signatureKeyOf(t, DefaultSuite) }

func signatureKeyOf(t tb, s Suite) SignaturePrivateKey {
	t.Helper()
	return must(s.GenerateSignatureKey())(t)
}

// sample are suites with each of the HPKE implementations and kinds of signature.
var sample = []Suite{DefaultSuite, SuiteP256AES128P256, SuiteX448AES256Ed448, SuiteMLKEM768X25519AES256Ed25519, SuiteMLKEM768AES256MLDSA65}

// eachSuite runs a test for every suite of the table, and with -short for the sample.
func eachSuite(t *testing.T, run func(*testing.T, Suite)) {
	for _, s := range Suites() {
		if testing.Short() && !slices.Contains(sample, s) {
			continue
		}
		t.Run(s.String(), func(t *testing.T) { run(t, s) })
	}
}

func basic(name string) Credential {
	return Credential{Type: CredentialBasic, Identity: []byte(name)}
}

func keyPackage(t tb, name string) (*KeyPackage, *KeyPackageSecrets) {
	t.Helper()
	return keyPackageOf(t, DefaultSuite, name)
}

func keyPackageOf(t tb, s Suite, name string) (*KeyPackage, *KeyPackageSecrets) {
	t.Helper()
	kp, secrets, err := NewKeyPackage(KeyPackageConfig{
		Suite: s, Credential: basic(name), SignatureKey: signatureKeyOf(t, s),
		NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(24 * time.Hour),
		SupportedExtensions: []ExtensionType{testExtension},
	})
	if err != nil {
		t.Fatal(err)
	}
	return kp, secrets
}

func newGroup(t tb, name string) *Group {
	t.Helper()
	return newGroupOf(t, DefaultSuite, name)
}

func newGroupOf(t tb, s Suite, name string) *Group {
	t.Helper()
	return must(NewGroup(GroupConfig{
		Suite: s, GroupID: []byte("group"), Credential: basic(name),
		SignatureKey: signatureKeyOf(t, s), Now: testNow, SupportedExtensions: []ExtensionType{testExtension},
		Extensions: []Extension{{Type: testExtension, Data: []byte("first")}},
	}))(t)
}

// add has g add the named clients in one commit, which g merges; others process it.
func add(t tb, g *Group, others []*Group, p CommitParams, names ...string) []*Group {
	t.Helper()
	var secrets []*KeyPackageSecrets
	for _, name := range names {
		kp, s := keyPackageOf(t, g.Suite(), name)
		p.Add, secrets = append(p.Add, kp), append(secrets, s)
	}
	p.Now = testNow
	c := must(g.Commit(p))(t)
	deliver(t, c.Message(), others)
	if err := g.Merge(c); err != nil {
		t.Fatal(err)
	}
	var joined []*Group
	for i, s := range secrets {
		joined = append(joined, must(Join(c.Welcomes()[i].Message, s, JoinParams{Tree: g.RatchetTree(), Now: testNow}))(t))
	}
	return joined
}

// deliver has every group process and merge a commit.
func deliver(t tb, msg []byte, groups []*Group) {
	t.Helper()
	for _, g := range groups {
		c, ok := must(g.Process(msg))(t).(*StagedCommit)
		if !ok {
			t.Fatalf("leaf %d did not see a commit", g.OwnLeaf())
		}
		if err := g.Merge(c); err != nil {
			t.Fatal(err)
		}
	}
}

// agree fails unless all groups are in the same epoch of the same history, with private keys
// that fit the tree.
func agree(t tb, groups []*Group) {
	t.Helper()
	for _, g := range groups {
		if !bytes.Equal(g.EpochAuthenticator(), groups[0].EpochAuthenticator()) || g.Epoch() != groups[0].Epoch() ||
			!bytes.Equal(g.RatchetTree(), groups[0].RatchetTree()) || !bytes.Equal(g.at.interim, groups[0].at.interim) {
			t.Fatalf("leaf %d in epoch %d and leaf %d in epoch %d disagree",
				g.OwnLeaf(), g.Epoch(), groups[0].OwnLeaf(), groups[0].Epoch())
		}
		if len(g.at.held.prune(g.at.tree)) != len(g.at.held) || g.at.held[g.at.own.node()] == nil {
			t.Fatalf("leaf %d holds keys that are not in the tree", g.OwnLeaf())
		}
	}
}

func say(t tb, from *Group, to []*Group, text string) {
	t.Helper()
	msg := must(from.Encrypt([]byte(text), []byte("aad")))(t)
	for _, g := range to {
		if g == from {
			continue
		}
		m, ok := must(g.Process(msg))(t).(*ApplicationMessage)
		if !ok || string(m.Data) != text || string(m.AAD) != "aad" || m.Sender != from.OwnLeaf() {
			t.Fatalf("leaf %d got %+v, want %q", g.OwnLeaf(), m, text)
		}
	}
}

// reload stores a group and loads it again.
func reload(t tb, g *Group) *Group {
	t.Helper()
	again := must(LoadGroup(stored(g), g.app))(t)
	if !bytes.Equal(fingerprint(t, again), fingerprint(t, g)) {
		t.Fatalf("leaf %d differs after being stored", g.OwnLeaf())
	}
	return again
}

// stored is all of a group's state.
func stored(g *Group) []Record {
	fresh := g.Clone()
	fresh.saved, fresh.saving, fresh.listed = nil, nil, nil // nothing is stored
	return fresh.Save()
}

// trio is a group of three in an epoch that began with a path.
func trio(t tb) []*Group {
	t.Helper()
	return trioOf(t, DefaultSuite)
}

func trioOf(t tb, s Suite) []*Group {
	t.Helper()
	a := newGroupOf(t, s, "a")
	groups := append([]*Group{a}, add(t, a, nil, CommitParams{Path: true}, "b", "c")...)
	agree(t, groups)
	return groups
}

func second[T any](_ T, err error) error { return err }

func ratchetsOf(g *Group, l LeafIndex) leafRatchets {
	ratchets, _ := g.keys.ratchets(l)
	return ratchets
}
