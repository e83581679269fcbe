package keyserver

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/internal/vectorfile"
	"github.com/sealpost/sealpost/mls"
)

// vectorKinds are the files of test vectors about this package.
var vectorKinds = vectorfile.Kinds{
	"account":           vectorfile.Case(checkAccountVector),
	"credential":        vectorfile.Case(checkCredentialVector),
	"keyserver-address": vectorfile.Case(checkAddressVector),
}

// CheckVectors runs every case of a file of test vectors: account, credential or
// keyserver-address (testvectors/README.md). The error is [vectorfile.ErrFile]; cases that
// fail are in the report.
func CheckVectors(kind string, data []byte) (vectorfile.Report, error) {
	return vectorKinds.Check(kind, data)
}

// vectorErrors are the error classes of the files.
var vectorErrors = map[string]error{"chain": ErrChain, "credential": ErrCredential, "address": ErrInvalid}

// accountVector is a chain and what it says, or a chain that nobody may believe.
type accountVector struct {
	Name     string           `json:"name"`
	Chain    []vectorfile.Hex `json:"chain"` // the entries as they are sent
	Entries  []entryVector    `json:"entries"`
	Account  vectorfile.Hex   `json:"account"`
	Recovery vectorfile.Hex   `json:"recovery"`
	Devices  []vectorfile.Hex `json:"devices"`
	Suites   [][]mls.Suite    `json:"suites"` // of each device
	Removed  []vectorfile.Hex `json:"removed"`
	Head     vectorfile.Hex   `json:"head"`
	Error    string           `json:"error"`
}

// entryVector is an entry's fields, with the private keys that sign it.
type entryVector struct {
	Kind            uint8          `json:"kind"`
	Prev            vectorfile.Hex `json:"prev"`
	By              vectorfile.Hex `json:"by"`
	Device          vectorfile.Hex `json:"device"`
	Nonce           vectorfile.Hex `json:"nonce"`
	Suites          []mls.Suite    `json:"suites"`
	Signed          vectorfile.Hex `json:"signed"`
	BySeed          vectorfile.Hex `json:"by_seed"`
	BySignature     vectorfile.Hex `json:"by_signature"`
	DeviceSeed      vectorfile.Hex `json:"device_seed"`
	DeviceSignature vectorfile.Hex `json:"device_signature"`
	Hash            vectorfile.Hex `json:"hash"`
}

func checkAccountVector(v *accountVector) error {
	chain := make([][]byte, len(v.Chain))
	for i, b := range v.Chain {
		chain[i] = b
	}
	a, err := VerifyChain(chain)
	if err != nil || v.Error != "" {
		return vectorfile.Refused(err, v.Error, vectorErrors)
	}
	if len(v.Entries) != len(chain) {
		return fmt.Errorf("%d entries are explained, of %d", len(v.Entries), len(chain))
	}
	for i, b := range chain {
		if err := v.Entries[i].check(b); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return vectorfile.First(
		vectorfile.Bytes("the account", a.ID[:], v.Account),
		vectorfile.Bytes("the recovery key", a.Recovery, v.Recovery),
		vectorfile.Value("the devices", fmt.Sprint(a.Devices), fmt.Sprint(devicesOf(v.Devices))),
		vectorfile.Value("the devices' suites", fmt.Sprint(suitesOf(a)), fmt.Sprint(v.Suites)),
		vectorfile.Value("the removed devices", fmt.Sprint(a.Removed), fmt.Sprint(devicesOf(v.Removed))),
		vectorfile.Bytes("the head", a.Head[:], v.Head))
}

func suitesOf(a *Account) [][]mls.Suite {
	out := make([][]mls.Suite, len(a.Devices))
	for i, d := range a.Devices {
		out[i] = a.Suites(d)
	}
	return out
}

func devicesOf(list []vectorfile.Hex) []string {
	out := make([]string, len(list))
	for i, d := range list {
		out[i] = hex.EncodeToString(d)
	}
	return out
}

// check compares an entry's fields, and signs it again.
func (v *entryVector) check(b []byte) error {
	e, err := parseEntry(b)
	if err != nil {
		return err
	}
	hash := EntryHash(b)
	if err := vectorfile.First(
		vectorfile.Value("the kind", e.kind, v.Kind),
		vectorfile.Bytes("by", e.by[:], v.By),
		vectorfile.Bytes("what is signed", toBeSigned(labelEntry, e.content), v.Signed),
		vectorfile.Bytes("by's signature", e.bySig[:], v.BySignature),
		vectorfile.Bytes("the hash", hash[:], v.Hash),
		vectorfile.Value("the suites", fmt.Sprint(e.suites), fmt.Sprint(v.Suites)),
		present("the device", e.device[:], v.Device, e.kind != kindSuites),
		present("prev", e.prev[:], v.Prev, e.kind != kindRoot),
		present("the nonce", e.nonce[:], v.Nonce, e.kind == kindRoot),
		present("the device's signature", e.consents[:], v.DeviceSignature, e.consented())); err != nil {
		return err
	}
	by, err := vectorKey("by", v.BySeed, v.By)
	if err != nil {
		return err
	}
	var consent ed25519.PrivateKey
	if e.consented() {
		if consent, err = vectorKey("device", v.DeviceSeed, v.Device); err != nil {
			return err
		}
	} else if v.DeviceSeed != nil {
		return errors.New("only a device that is added signs beside by")
	}
	again, err := e.sign(by, consent)
	return vectorfile.First(err, vectorfile.Bytes("the entry signed again", again, b))
}

// present compares a field that only some kinds of entries have.
func present(what string, got []byte, want vectorfile.Hex, has bool) error {
	if has {
		return vectorfile.Bytes(what, got, want)
	}
	return vectorfile.Bytes(what, nil, want)
}

// vectorKey returns the private key of a seed, whose public half the vector names too.
func vectorKey(what string, seed, public vectorfile.Hex) (ed25519.PrivateKey, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s: a seed of %d bytes", what, len(seed))
	}
	key := ed25519.NewKeyFromSeed(seed)
	return key, vectorfile.Bytes(what+"'s public key", key.Public().(ed25519.PublicKey), public)
}

// addressVector is a key server's address and its parts, or text that is none.
type addressVector struct {
	Name      string          `json:"name"`
	Address   string          `json:"address"`
	Host      string          `json:"host"`
	Port      uint16          `json:"port"`
	Pin       *vectorfile.Hex `json:"pin"`
	Canonical string          `json:"canonical"`
	Error     string          `json:"error"`
}

func checkAddressVector(v *addressVector) error {
	a, err := ParseAddress(v.Address)
	if err != nil || v.Error != "" {
		return vectorfile.Refused(err, v.Error, vectorErrors)
	}
	samePin := a.Pin == nil && v.Pin == nil || a.Pin != nil && v.Pin != nil && bytes.Equal(a.Pin[:], *v.Pin)
	again, err := ParseAddress(v.Canonical)
	return vectorfile.First(err,
		vectorfile.Value("the host", a.Host, v.Host),
		vectorfile.Value("the port", a.Port, v.Port),
		vectorfile.Value("the pin is the vector's", samePin, true),
		vectorfile.Value("the canonical form", a.String(), v.Canonical),
		vectorfile.Value("the canonical form's own", again.String(), v.Canonical))
}
