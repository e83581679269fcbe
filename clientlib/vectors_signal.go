package clientlib

import (
	"crypto/ed25519"
	"fmt"

	"github.com/sealpost/sealpost/internal/vectorfile"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// signalVector is a sealed signal and all that it is made of.
type signalVector struct {
	Name           string         `json:"name"`
	CipherSuite    uint16         `json:"cipher_suite"`
	ExporterSecret vectorfile.Hex `json:"exporter_secret"`
	Queue          vectorfile.Hex `json:"queue"`
	SignalKey      vectorfile.Hex `json:"signal_key"`
	HintKey        vectorfile.Hex `json:"hint_key"`
	Kind           uint8          `json:"kind"`
	Leaf           uint32         `json:"leaf"`
	Counter        uint64         `json:"counter"`
	LeafSeed       vectorfile.Hex `json:"leaf_seed"`
	LeafKey        vectorfile.Hex `json:"leaf_key"`
	Signed         vectorfile.Hex `json:"signed"` // content of SignWithLabel
	Signature      vectorfile.Hex `json:"signature"`
	Nonce          vectorfile.Hex `json:"nonce"`
	AAD            vectorfile.Hex `json:"aad"`
	Body           vectorfile.Hex `json:"body"`
	Sealed         vectorfile.Hex `json:"sealed"`
	Error          string         `json:"error"`
}

func checkSignalVector(v *signalVector) error {
	keys, err := vectorEpoch(v.CipherSuite, v.ExporterSecret, v.Queue)
	if err != nil {
		return err
	}
	var sealed [relay.SignalSize]byte
	if err := vectorfile.First(
		vectorfile.Fill("sealed", sealed[:], v.Sealed),
		vectorfile.Bytes("the signal key", keys.signal, v.SignalKey),
		vectorfile.Bytes("the hint key", keys.hint, v.HintKey)); err != nil {
		return err
	}
	s, err := keys.openSignal(sealed)
	if err == nil {
		err = mls.Suite(v.CipherSuite).Verify(mls.SignaturePublicKey(v.LeafKey), signSignal, s.signed(keys.queue), s.Signature)
	}
	if err != nil || v.Error != "" {
		return vectorfile.Refused(err, v.Error, vectorErrors)
	}
	if len(v.Nonce) != nonceSize || len(v.LeafSeed) != ed25519.SeedSize {
		return fmt.Errorf("a nonce of %d bytes, a seed of %d", len(v.Nonce), len(v.LeafSeed))
	}
	public := ed25519.NewKeyFromSeed(v.LeafSeed).Public().(ed25519.PublicKey)
	body, err := wire.Marshal(s)
	again, err2 := keys.sealSignalWith(v.Nonce, s)
	return vectorfile.First(err, err2,
		vectorfile.Value("the kind", uint8(s.Kind), v.Kind),
		vectorfile.Value("the leaf", uint32(s.Leaf), v.Leaf),
		vectorfile.Value("the counter", s.Counter, v.Counter),
		vectorfile.Bytes("the signature", s.Signature, v.Signature),
		vectorfile.Bytes("the leaf's key", public, v.LeafKey),
		vectorfile.Bytes("what is signed", s.signed(keys.queue), v.Signed),
		vectorfile.Bytes("the associated data", keys.aad(kindOfSignal), v.AAD),
		vectorfile.Bytes("the body", body, v.Body),
		vectorfile.Bytes("the signal sealed again", again[:], v.Sealed))
}
