package mls

import "crypto/ecdh"

// lowOrderProbe is any scalar: after clamping it is a multiple of the cofactor, so a point of
// low order gives the all-zero output, which crypto/ecdh refuses.
var lowOrderProbe = [32]byte{1}

func agreesX25519(pub []byte) error {
	p, err := ecdh.X25519().NewPublicKey(pub)
	if err != nil {
		return err
	}
	probe, err := ecdh.X25519().NewPrivateKey(lowOrderProbe[:])
	if err != nil {
		return err
	}
	_, err = probe.ECDH(p)
	return err
}
