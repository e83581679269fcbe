package mls

import (
	"bytes"

	"github.com/sealpost/sealpost/internal/wire"
)

// ExternalSender is somebody outside who may make proposals to a group (RFC 9420 section
// 12.1.8.1).
type ExternalSender struct {
	SignatureKey SignaturePublicKey
	Credential   Credential
}

// EncodeExternalSenders encodes the content of [ExtensionExternalSenders] in a group context.
// Its senders are known by their place in it.
func EncodeExternalSenders(list []ExternalSender) []byte {
	return encode(list, func(w *wire.Writer, list []ExternalSender) {
		wire.WriteVector(w, list, writeExternalSender)
	})
}

func writeExternalSender(w *wire.Writer, s ExternalSender) {
	w.Bytes(s.SignatureKey)
	writeCredential(w, s.Credential)
}

// ParseExternalSenders is the inverse of [EncodeExternalSenders]; what it returns is a copy. What
// does not decode is [ErrInvalid].
func ParseExternalSenders(data []byte) ([]ExternalSender, error) {
	senders, err := parse(bytes.Clone(data), func(r *wire.Reader) []ExternalSender {
		return vectorUpTo(r, maxExternalSenders, func(r *wire.Reader) ExternalSender {
			return ExternalSender{SignatureKey: r.Bytes(), Credential: readCredential(r)}
		})
	})
	if err != nil {
		return nil, brokenBy("extension.external-senders", err, "does not parse")
	}
	return senders, nil
}

// listExternalSenders are those that a group context names, none without the extension.
func listExternalSenders(extensions []Extension) ([]ExternalSender, error) {
	data, ok := findExtension(extensions, ExtensionExternalSenders)
	if !ok {
		return nil, nil
	}
	return ParseExternalSenders(data)
}

// knownSenders are the external senders of an epoch, to be found without going through them.
type knownSenders struct {
	same  map[string]bool        // by all that they are
	byKey map[string]*Credential // the last one with a key
}

func knowSenders(list []ExternalSender) knownSenders {
	known := knownSenders{make(map[string]bool, len(list)), make(map[string]*Credential, len(list))}
	for i, s := range list {
		known.same[string(encode(s, writeExternalSender))] = true
		known.byKey[string(s.SignatureKey)] = &list[i].Credential
	}
	looked(len(list))
	return known
}

// judge asks the application about a sender that is new, or that has another credential than
// before.
func (s ExternalSender) judge(v CredentialValidator, row *suite, before knownSenders) error {
	if err := s.Credential.checkHolder(row, s.SignatureKey); err != nil {
		return err
	}
	check := CredentialCheck{
		Event: CredentialExternalSenderAdded, Suite: row.id, Credential: s.Credential, SignatureKey: s.SignatureKey,
	}
	if looked(1); before.same[string(encode(s, writeExternalSender))] {
		return nil
	}
	if predecessor := before.byKey[string(s.SignatureKey)]; predecessor != nil {
		check.Event, check.Predecessor = CredentialExternalSenderUpdated, predecessor
	}
	if v == nil {
		return nil
	}
	if err := v.ValidateCredential(check); err != nil {
		return brokenBy("extension.external-senders", err, "refused by the application")
	}
	return nil
}
