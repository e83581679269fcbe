package session

import (
	"crypto/ecdh"
	"errors"
	"io"

	"github.com/flynn/noise"
)

// dh is X25519 (RFC 7748) for one handshake. It keeps the handshake's private keys, and gives
// noise names of them: crypto/ecdh computes the public half of every private key that it is
// handed as bytes, which would double the work of a handshake.
type dh struct {
	static    *ecdh.PrivateKey // the relay's; nil with a client
	ephemeral *ecdh.PrivateKey // once it is generated
}

// The names of the keys.
var (
	staticName    = []byte("static")
	ephemeralName = []byte("ephemeral")
)

var errKey = errors.New("session: a private key that the handshake does not have")

// GenerateKeypair implements [noise.DHFunc]: it makes the ephemeral key.
func (d *dh) GenerateKeypair(random io.Reader) (noise.DHKey, error) {
	var secret [32]byte
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return noise.DHKey{}, err
	}
	key, err := ecdh.X25519().NewPrivateKey(secret[:])
	if err != nil {
		return noise.DHKey{}, err
	}
	d.ephemeral = key
	return noise.DHKey{Private: ephemeralName, Public: key.PublicKey().Bytes()}, nil
}

// DH implements [noise.DHFunc]. A point of small order, whose result would be zero, is an
// error.
func (d *dh) DH(name, public []byte) ([]byte, error) {
	key := d.static
	if string(name) == string(ephemeralName) {
		key = d.ephemeral
	}
	if key == nil {
		return nil, errKey
	}
	point, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return key.ECDH(point)
}

// DHLen implements [noise.DHFunc].
func (*dh) DHLen() int { return noise.DH25519.DHLen() }

// DHName implements [noise.DHFunc].
func (*dh) DHName() string { return noise.DH25519.DHName() }
