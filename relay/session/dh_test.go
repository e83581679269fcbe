package session

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/flynn/noise"
)

// The handshake's own X25519 is noise's, with names in place of private keys.
func TestDHAgreesWithNoise(t *testing.T) {
	peer, err := noise.DH25519.GenerateKeypair(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := NewPrivateKey([32]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	keys := &dh{static: key.key}
	if _, err := keys.DH(ephemeralName, peer.Public); !errors.Is(err, errKey) {
		t.Errorf("an ephemeral key that was never generated: %v", err)
	}
	own, err := keys.GenerateKeypair(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(own.Private, keys.ephemeral.Bytes()) {
		t.Error("noise is given the private key")
	}
	for name, public := range map[string][]byte{string(staticName): key.key.PublicKey().Bytes(), string(own.Private): own.Public} {
		got, err := keys.DH([]byte(name), peer.Public)
		want, werr := noise.DH25519.DH(peer.Private, public)
		if err != nil || werr != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x (%v, %v)", name, got, want, err, werr)
		}
	}
	if _, err := keys.DH(staticName, make([]byte, 32)); err == nil {
		t.Error("a point of small order is taken")
	}
	if _, err := (&dh{}).DH(staticName, peer.Public); !errors.Is(err, errKey) {
		t.Errorf("a client has no static key: %v", err)
	}
}
