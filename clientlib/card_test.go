package clientlib

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
)

// card returns what the device hands over in person.
func (d *testDevice) card(t testing.TB, handle string) ContactCard {
	t.Helper()
	kp, _ := d.keyPackage(t, nil)
	return ContactCard{Handle: handle, Chain: d.chain, KeyPackage: kp.Bytes()}
}

// offline opens a fresh client that fails the test when it dials.
func offline(t *testing.T) *Client {
	t.Helper()
	c := need[*Client](t)(Open(Config{
		Path: filepath.Join(t.TempDir(), "store"), Key: [32]byte(newSecret()),
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			t.Error("a card needs the network")
			return nil, net.ErrClosed
		},
	}))
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestCardText(t *testing.T) {
	t.Parallel()
	card := newTestDevice(t).card(t, "alice")
	for len(card.String())%4 != 2 { // so that the last character has bits to spare
		card.Handle += "e"
	}
	text := card.String()
	if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Errorf("the text form is more than base64url: %q", text)
	}
	short := ContactCard{Handle: card.Handle, Chain: card.Chain}.String()
	if len(text) > 6144 || len(short) > 512 { // a QR code holds 2,953
		t.Errorf("the text form has %d characters, without the KeyPackage %d", len(text), len(short))
	}
	if got, err := ParseContactCard(text); err != nil || !reflect.DeepEqual(got, card) {
		t.Errorf("a card does not survive its text form: %v", err)
	}
	if got, err := ParseContactCard(text[:70] + "\r\n" + text[70:] + "\n"); err != nil || !reflect.DeepEqual(got, card) {
		t.Errorf("a card that a mail program has wrapped: %v", err)
	}
	last := text[:len(text)-1] + string(text[len(text)-1]+1)
	for name, bad := range map[string]string{
		"empty": "", "cut": text[:len(text)-4], "padded": text + "=", "space": " " + text,
		"more": text + "AAAA", "other alphabet": "++//" + text[4:], "stray bits": last, "words": "not a card at all",
		"version 2": "Ag" + text[2:], "too large": ContactCard{Chain: [][]byte{make([]byte, maxCard)}}.String(),
	} {
		if _, err := ParseContactCard(bad); !errors.Is(err, ErrBadCard) {
			t.Errorf("%s: %v, want ErrBadCard", name, err)
		}
	}
}

func TestCardIsAContact(t *testing.T) {
	t.Parallel()
	alice := newTestDevice(t)
	c := offline(t)
	card := need[ContactCard](t)(ParseContactCard(alice.card(t, "alice").String()))
	if id, err := c.AddCard(t.Context(), card); err != nil || id != alice.account {
		t.Fatalf("adding a card: %v, %v", id, err)
	}
	if handle, err := c.Handle(t.Context(), alice.account); err != nil || handle != "alice" {
		t.Errorf("the contact is called %q: %v", handle, err)
	}
	// A device more does not make it another account.
	laptop := newSecret().signer()
	entry := need[[]byte](t)(keyserver.AddDevice(alice.chain, alice.key, laptop))
	longer := ContactCard{Handle: "alice", Chain: append(slices.Clone(alice.chain), entry), KeyPackage: card.KeyPackage}
	if id, err := c.AddCard(t.Context(), longer); err != nil || id != alice.account {
		t.Errorf("adding a longer card: %v, %v", id, err)
	}
}

// TestB01_CardTampered: a card whose chain or KeyPackage was changed on its way, or put
// together from two, is refused and leaves no contact.
func TestB01_CardTampered(t *testing.T) {
	t.Parallel()
	alice, eve := newTestDevice(t), newTestDevice(t)
	good, evil := alice.card(t, "alice"), eve.card(t, "alice")
	ghost := newSecret().signer()
	byGhost := need[[]byte](t)(keyserver.AddDevice(eve.chain, eve.key, ghost))
	removed := need[[]byte](t)(keyserver.RemoveDevice(alice.chain, alice.recovery, keyserver.DeviceOf(alice.key)))
	noWay, _ := alice.keyPackage(t, func(cfg *mls.KeyPackageConfig) { cfg.Extensions = nil })
	badWay, _ := alice.keyPackage(t, func(cfg *mls.KeyPackageConfig) { cfg.Extensions[0].Data = []byte{1} })
	stale, _ := alice.keyPackage(t, func(cfg *mls.KeyPackageConfig) {
		cfg.NotBefore, cfg.NotAfter = time.Now().Add(-packageLife), time.Now().Add(-time.Minute)
	})
	_, otherLeaf := alice.leaf(t)
	ghostLeaf, _ := alice.keyPackage(t, func(cfg *mls.KeyPackageConfig) { cfg.Credential = otherLeaf })
	certified, _ := alice.keyPackage(t, func(cfg *mls.KeyPackageConfig) {
		template := &x509.Certificate{SerialNumber: big.NewInt(1)}
		certificate := need[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, ed25519.PublicKey(cfg.SignatureKey.Public()), eve.key))
		cfg.Credential = mls.Credential{Type: mls.CredentialX509, Certificates: [][]byte{certificate}}
	})
	chain := func(entries ...[]byte) ContactCard { return ContactCard{Chain: entries, KeyPackage: good.KeyPackage} }
	with := func(kp *mls.KeyPackage) ContactCard { return ContactCard{Chain: alice.chain, KeyPackage: kp.Bytes()} }
	cards := map[string]ContactCard{
		"no chain":                    chain(),
		"chain cut":                   chain(alice.chain[0][:len(alice.chain[0])-1]),
		"root twice":                  chain(alice.chain[0], alice.chain[0]),
		"device of another chain":     chain(alice.chain[0], byGhost),
		"device removed":              chain(alice.chain[0], removed),
		"KeyPackage of another":       {Chain: alice.chain, KeyPackage: evil.KeyPackage},
		"chain of another":            {Chain: eve.chain, KeyPackage: good.KeyPackage},
		"KeyPackage cut":              {Chain: alice.chain, KeyPackage: good.KeyPackage[:len(good.KeyPackage)-1]},
		"KeyPackage and a byte":       {Chain: alice.chain, KeyPackage: append(bytes.Clone(good.KeyPackage), 0)},
		"KeyPackage that is over":     with(stale),
		"no way to reach the device":  with(noWay),
		"damaged way to the device":   with(badWay),
		"credential of another leaf":  with(ghostLeaf),
		"credential without a device": with(certified),
	}
	c := offline(t)
	for name, card := range cards {
		if _, err := c.AddCard(t.Context(), card); !errors.Is(err, ErrBadCard) {
			t.Errorf("%s: %v, want ErrBadCard", name, err)
		}
	}
	root := alice.chain[0]
	for i := range root {
		changed := bytes.Clone(root)
		changed[i] ^= 1 << (i % 8)
		if _, err := c.AddCard(t.Context(), chain(changed)); !errors.Is(err, ErrBadCard) {
			t.Fatalf("bit %d of byte %d of the chain flipped: %v, want ErrBadCard", i%8, i, err)
		}
	}
	for i := 0; i < len(good.KeyPackage); i += 3 {
		changed := good
		changed.KeyPackage = bytes.Clone(good.KeyPackage)
		changed.KeyPackage[i] ^= 1 << (i % 8)
		if _, err := c.AddCard(t.Context(), changed); !errors.Is(err, ErrBadCard) {
			t.Fatalf("bit %d of byte %d of the KeyPackage flipped: %v, want ErrBadCard", i%8, i, err)
		}
	}
	for _, id := range []keyserver.AccountID{alice.account, eve.account} {
		if _, err := c.eng.known(t.Context(), id); !errors.Is(err, ErrUnknownAccount) {
			t.Errorf("a refused card left a contact: %v", err)
		}
	}
}

// TestA23_PackageOfAnotherSuite: it verifies, and is refused all the same: the group has one
// suite, and a commit that adds another fails for all whom it adds. A suite that the device does
// not state in its chain is none of its own.
func TestA23_PackageOfAnotherSuite(t *testing.T) {
	t.Parallel()
	d := newTestDevice(t)
	other := mls.SuiteP256AES128P256
	for _, states := range [][]mls.Suite{suites, append(slices.Clone(suites), other)} {
		d.chain = [][]byte{need[[]byte](t)(keyserver.NewAccount(d.recovery, d.key, states...))}
		d.account = need[*keyserver.Account](t)(keyserver.VerifyChain(d.chain)).ID
		packageOfAnotherSuite(t, d, other, slices.Contains(states, other))
	}
}

func packageOfAnotherSuite(t *testing.T, d *testDevice, other mls.Suite, stated bool) {
	kp, _ := d.keyPackage(t, func(cfg *mls.KeyPackageConfig) {
		key := need[mls.SignaturePrivateKey](t)(other.GenerateSignatureKey())
		identity := need[[]byte](t)(keyserver.SignCredential(d.key, d.account, key.Public(), uint16(other), time.Now().Add(credentialOf)))
		cfg.Suite, cfg.SignatureKey, cfg.Credential = other, key, mls.Credential{Type: mls.CredentialBasic, Identity: identity}
	})
	account := need[*keyserver.Account](t)(keyserver.VerifyChain(d.chain))
	device := need[*keyserver.Credential](t)(parseCredential(kp.Credential())).Device
	if _, err := checkAddition(kp.Bytes(), account, device, bestSuite, true); !errors.Is(err, keyserver.ErrPackage) {
		t.Errorf("a package of %v, stated: %v: %v, want ErrPackage", other, stated, err)
	}
	// With the group's own suite it would be good: the suite is what is wrong with it.
	if _, err := checkAddition(kp.Bytes(), account, device, other, true); (err == nil) != stated {
		t.Errorf("in a group of %v, stated: %v: %v", other, stated, err)
	}
}
