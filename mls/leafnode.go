package mls

import (
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
)

// Lifetime is when a KeyPackage's leaf may be added (RFC 9420 section 7.2), in seconds on
// the wire.
type Lifetime struct{ NotBefore, NotAfter time.Time }

// lifetime is Lifetime as it travels: seconds since 1970, any value.
type lifetime struct{ notBefore, notAfter uint64 }

// maxUnix keeps hostile lifetimes within what time.Time can hold: the year 9999.
const maxUnix = 253402300799

func (l lifetime) public() Lifetime {
	return Lifetime{
		NotBefore: time.Unix(int64(min(l.notBefore, maxUnix)), 0).UTC(),
		NotAfter:  time.Unix(int64(min(l.notAfter, maxUnix)), 0).UTC(),
	}
}

// check verifies that now lies within l.
func (l lifetime) check(now time.Time) error {
	switch p := l.public(); {
	case now.Before(p.NotBefore):
		return fmt.Errorf("%w: not valid yet", ErrExpired)
	case now.After(p.NotAfter):
		return fmt.Errorf("%w: no longer valid", ErrExpired)
	}
	return nil
}

// checkLength verifies that l is no longer than that; below zero nothing is too long.
func (l lifetime) checkLength(longest time.Duration) error {
	if l.notAfter < l.notBefore {
		return fmt.Errorf("%w: lifetime ends before it begins", ErrExpired)
	}
	if longest >= 0 && l.notAfter-l.notBefore > uint64(longest/time.Second) {
		return fmt.Errorf("%w: lifetime is longer than %v", ErrExpired, longest)
	}
	return nil
}

// leafNode is LeafNode (section 7.2). It is immutable once it stands in a tree.
type leafNode struct {
	encryptionKey []byte
	signatureKey  SignaturePublicKey
	credential    Credential
	capabilities  capabilities
	source        uint8
	lifetime      lifetime // source key_package
	parentHash    []byte   // source commit
	extensions    []Extension
	signature     []byte
}

func writeLeafNode(w *wire.Writer, l *leafNode) {
	l.writeUnsigned(w)
	w.Bytes(l.signature)
}

func (l *leafNode) writeUnsigned(w *wire.Writer) {
	w.Bytes(l.encryptionKey)
	w.Bytes(l.signatureKey)
	writeCredential(w, l.credential)
	writeCapabilities(w, l.capabilities)
	w.Uint8(l.source)
	switch l.source {
	case sourceKeyPackage:
		w.Uint64(l.lifetime.notBefore)
		w.Uint64(l.lifetime.notAfter)
	case sourceCommit:
		w.Bytes(l.parentHash)
	}
	writeExtensions(w, l.extensions)
}

func readLeafNode(r *wire.Reader) *leafNode {
	l := &leafNode{
		encryptionKey: r.Bytes(), signatureKey: r.Bytes(),
		credential: readCredential(r), capabilities: readCapabilities(r),
		source: r.Uint8(),
	}
	switch l.source {
	case sourceKeyPackage:
		l.lifetime = lifetime{notBefore: r.Uint64(), notAfter: r.Uint64()}
	case sourceUpdate:
	case sourceCommit:
		l.parentHash = r.Bytes()
	default:
		r.Fail(fmt.Errorf("leaf node source %d", l.source))
	}
	l.extensions = readExtensions(r)
	l.signature = r.Bytes()
	return l
}

// tbs writes LeafNodeTBS. Group and index are part of it unless the leaf is from a KeyPackage.
func (l *leafNode) tbs(groupID []byte, index LeafIndex) func(*wire.Writer) {
	return func(w *wire.Writer) {
		l.writeUnsigned(w)
		if l.source != sourceKeyPackage {
			w.Bytes(groupID)
			w.Uint32(uint32(index))
		}
	}
}

func (l *leafNode) sign(s *suite, key SignaturePrivateKey, groupID []byte, index LeafIndex) error {
	if t := l.credential.Type; t != CredentialBasic && t != CredentialX509 {
		return fmt.Errorf("%w: credential type %d", ErrUnsupported, t)
	}
	sig, err := s.signWritten(key, "LeafNodeTBS", l.tbs(groupID, index))
	l.signature = sig
	return err
}

func (l *leafNode) verifySignature(s *suite, groupID []byte, index LeafIndex) error {
	if err := s.verifyWritten(l.signatureKey, "LeafNodeTBS", l.tbs(groupID, index), l.signature); err != nil {
		return brokenBy("leaf.signature", err, "leaf %d", index)
	}
	return nil
}

// checkItself verifies all of section 7.3 that needs nothing but the leaf: its own keys,
// extensions and capabilities.
func (l *leafNode) checkItself(s *suite) error {
	if err := s.checkPublicKey(l.encryptionKey); err != nil {
		return brokenBy("leaf.encryption-key", err, "not a key of the suite")
	}
	if err := l.credential.checkHolder(s, l.signatureKey); err != nil {
		return err
	}
	if err := checkExtensionList(l.extensions, inLeaf); err != nil {
		return err
	}
	if t, ok := lacking(beyondDefault(l.extensions), l.capabilities.extensions); ok {
		return broken("leaf.extension-support", "type %#04x is not among the capabilities", uint16(t))
	}
	if err := checkKnownExtensions(l.extensions); err != nil {
		return err
	}
	if !l.capabilities.hasCredential(l.credential.Type) {
		return broken("leaf.credential-support", "own type %d is not among the capabilities", l.credential.Type)
	}
	if !containsVersion(l.capabilities) || !containsSuite(l.capabilities, s.id) {
		return broken("leaf.suite-support", "version or suite is not among the capabilities")
	}
	return nil
}

func containsVersion(c capabilities) bool {
	return slices.Contains(c.versions, versionMLS10)
}

func containsSuite(c capabilities, id Suite) bool {
	return slices.Contains(c.suites, id)
}

// judge asks the caller's validator, where there is one.
func (l *leafNode) judge(v CredentialValidator, event CredentialEvent, s *suite, predecessor *Credential) error {
	if v == nil {
		return nil
	}
	err := v.ValidateCredential(CredentialCheck{
		Event: event, Suite: s.id, Credential: l.credential, SignatureKey: l.signatureKey,
		Predecessor: predecessor, LeafExtensions: l.extensions,
	})
	if err != nil {
		return brokenBy("leaf.credential", err, "refused by the application")
	}
	return nil
}
