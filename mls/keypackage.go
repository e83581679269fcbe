package mls

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
)

// KeyPackage is what a client publishes so that others can add it to groups (RFC 9420
// section 10). It is immutable.
type KeyPackage struct {
	suite      Suite
	initKey    []byte
	leaf       *leafNode
	extensions []Extension
	signature  []byte
}

func writeKeyPackage(w *wire.Writer, kp *KeyPackage) {
	kp.writeUnsigned(w)
	w.Bytes(kp.signature)
}

func (kp *KeyPackage) writeUnsigned(w *wire.Writer) {
	w.Uint16(versionMLS10)
	w.Uint16(uint16(kp.suite))
	w.Bytes(kp.initKey)
	writeLeafNode(w, kp.leaf)
	writeExtensions(w, kp.extensions)
}

func readKeyPackage(r *wire.Reader) *KeyPackage {
	if v := r.Uint16(); r.Err() == nil && v != versionMLS10 {
		r.Fail(fmt.Errorf("%w: protocol version %d", ErrUnsupported, v))
	}
	return &KeyPackage{
		suite: Suite(r.Uint16()), initKey: r.Bytes(), leaf: readLeafNode(r),
		extensions: readExtensions(r), signature: r.Bytes(),
	}
}

func (kp *KeyPackage) tbs() []byte {
	var w wire.Writer
	kp.writeUnsigned(&w)
	return mustFinish(&w)
}

// ParseKeyPackage decodes a KeyPackage (not wrapped in an MLSMessage). It checks no
// signature: that is [KeyPackage.Verify]. What does not decode is [ErrMalformed].
func ParseKeyPackage(b []byte) (*KeyPackage, error) {
	return parse(bytes.Clone(b), readKeyPackage)
}

// Bytes is the encoded KeyPackage.
func (kp *KeyPackage) Bytes() []byte { return encode(kp, writeKeyPackage) }

// Ref is the KeyPackageRef, by which a Welcome names this package. It is nil if the suite is
// not supported, since the suite decides the hash.
func (kp *KeyPackage) Ref() []byte {
	s, err := kp.suite.lookup()
	if err != nil {
		return nil
	}
	return s.refHash("MLS 1.0 KeyPackage Reference", kp.Bytes())
}

// Suite is the cipher suite that the package is for.
func (kp *KeyPackage) Suite() Suite { return kp.suite }

// InitKey is the HPKE key to which a Welcome is encrypted.
func (kp *KeyPackage) InitKey() []byte { return bytes.Clone(kp.initKey) }

// Credential is the leaf's.
func (kp *KeyPackage) Credential() Credential { return kp.leaf.credential.clone() }

// SignatureKey is the leaf's.
func (kp *KeyPackage) SignatureKey() SignaturePublicKey { return bytes.Clone(kp.leaf.signatureKey) }

// Lifetime is the leaf's.
func (kp *KeyPackage) Lifetime() Lifetime { return kp.leaf.lifetime.public() }

// Extension returns an extension of the package itself.
func (kp *KeyPackage) Extension(t ExtensionType) ([]byte, bool) {
	data, ok := findExtension(kp.extensions, t)
	return bytes.Clone(data), ok
}

// LeafExtension returns an extension of the package's leaf.
func (kp *KeyPackage) LeafExtension(t ExtensionType) ([]byte, bool) {
	data, ok := findExtension(kp.leaf.extensions, t)
	return bytes.Clone(data), ok
}

// Supports reports whether the package's owner understands the extension type, in group
// contexts as well.
func (kp *KeyPackage) Supports(t ExtensionType) bool { return kp.leaf.capabilities.hasExtension(t) }

// Verify checks everything that does not depend on a group (section 10.1): both signatures,
// the leaf, the keys, the lifetime at now, and the credential by v (nil judges none). An
// error matches [ErrInvalid], or [ErrExpired] for the lifetime alone.
func (kp *KeyPackage) Verify(now time.Time, v CredentialValidator) error {
	return kp.verify(now, v, MaxLifetime)
}

func (kp *KeyPackage) verify(now time.Time, v CredentialValidator, longest time.Duration) error {
	if err := kp.check(); err != nil {
		return err
	}
	return kp.accept(now, v, longest)
}

// accept is the rest of verify, of a package that was checked.
func (kp *KeyPackage) accept(now time.Time, v CredentialValidator, longest time.Duration) error {
	s, err := kp.suite.lookup()
	if err != nil {
		return err
	}
	if err := kp.leaf.judge(v, CredentialKeyPackage, s, nil); err != nil {
		return err
	}
	if err := kp.leaf.lifetime.checkLength(longest); err != nil {
		return err
	}
	return kp.leaf.lifetime.check(now)
}

// check is the part of Verify that comes out alike for everybody at any time.
func (kp *KeyPackage) check() error {
	s, err := kp.suite.lookup()
	if err != nil {
		return err
	}
	if kp.leaf.source != sourceKeyPackage {
		return broken("keypackage.source", "leaf node source %d", kp.leaf.source)
	}
	if err := s.verifyWithLabel(kp.leaf.signatureKey, "KeyPackageTBS", kp.tbs(), kp.signature); err != nil {
		return brokenBy("keypackage.signature", err, "package")
	}
	if err := kp.leaf.verifySignature(s, nil, 0); err != nil {
		return err
	}
	if err := kp.leaf.checkItself(s); err != nil {
		return err
	}
	if err := s.checkPublicKey(kp.initKey); err != nil {
		return brokenBy("keypackage.init-key", err, "not a key of the suite")
	}
	if bytes.Equal(kp.initKey, kp.leaf.encryptionKey) {
		return broken("keypackage.init-key", "same as the leaf's encryption key")
	}
	if err := checkExtensionList(kp.extensions, inKeyPackage); err != nil {
		return err
	}
	return checkKnownExtensions(kp.extensions)
}

// KeyPackageConfig is what goes into a KeyPackage.
type KeyPackageConfig struct {
	Suite        Suite
	Credential   Credential
	SignatureKey SignaturePrivateKey // of this suite
	// NotBefore and NotAfter bound the lifetime, at most [MaxLifetime] apart; they are cut to
	// whole seconds.
	NotBefore, NotAfter time.Time
	Extensions          []Extension // of the package
	LeafExtensions      []Extension // of the leaf, which stands in every group joined with it
	// SupportedExtensions are further types that the application understands, such as those
	// it puts into group contexts. Types used above are listed by themselves.
	SupportedExtensions []ExtensionType
	// SupportedProposals are the types beyond RFC 9420 that the application understands: its
	// own and those of draft-ietf-mls-extensions.
	SupportedProposals []ProposalType
	// Components are the application's, announced in the leaf if it supports
	// [ExtensionAppDataDictionary].
	Components []ComponentID
	// LastResort marks a package that may be handed out more than once, when all others are
	// used up.
	LastResort bool
}

// markLastResort puts the component last_resort_key_package into a package's dictionary.
func markLastResort(es []Extension) ([]Extension, error) {
	list, _, err := dictionary(es)
	if err != nil {
		return nil, err
	}
	return withDictionary(es, withComponent(list, ComponentData{Component: ComponentLastResort}))
}

// LastResort reports whether the package may be handed out more than once
// (draft-ietf-mls-extensions, last_resort_key_package).
func (kp *KeyPackage) LastResort() bool {
	list, _, err := dictionary(kp.extensions)
	if err != nil {
		return false
	}
	_, ok := findComponent(list, ComponentLastResort)
	return ok
}

// NewKeyPackage makes a KeyPackage with fresh keys (RFC 9420 section 10). The secrets belong to
// this package alone and are deleted when a group has been joined with it. Errors:
// [ErrUnsupported] for the suite, [ErrExpired] for the lifetime, [ErrInvalid] for extensions or a
// credential against the RFC. A signature key of another suite is refused.
func NewKeyPackage(cfg KeyPackageConfig) (*KeyPackage, *KeyPackageSecrets, error) {
	s, err := cfg.Suite.lookup()
	if err != nil {
		return nil, nil, err
	}
	if cfg.NotBefore.Unix() < 0 || cfg.NotAfter.Unix() < 0 {
		return nil, nil, fmt.Errorf("%w: lifetime before 1970", ErrExpired)
	}
	if cfg.LastResort {
		if cfg.Extensions, err = markLastResort(cfg.Extensions); err != nil {
			return nil, nil, err
		}
	}
	initKey, err := s.generateHPKE()
	if err != nil {
		return nil, nil, err
	}
	leafKey, err := s.generateHPKE()
	if err != nil {
		return nil, nil, err
	}
	leaf := &leafNode{
		encryptionKey: leafKey.pub, signatureKey: cfg.SignatureKey.Public(), credential: cfg.Credential.clone(),
		capabilities: newCapabilities(cfg.Suite, cfg.SupportedExtensions, cfg.SupportedProposals, cfg.Extensions, cfg.LeafExtensions),
		source:       sourceKeyPackage,
		lifetime:     lifetime{notBefore: uint64(cfg.NotBefore.Unix()), notAfter: uint64(cfg.NotAfter.Unix())},
		extensions:   cloneExtensions(cfg.LeafExtensions),
	}
	if leaf.extensions, err = announceComponents(leaf.extensions, leaf.capabilities.extensions, cfg.Components); err != nil {
		return nil, nil, err
	}
	if err := leaf.lifetime.checkLength(MaxLifetime); err != nil {
		return nil, nil, err
	}
	if err := leaf.sign(s, cfg.SignatureKey, nil, 0); err != nil {
		return nil, nil, err
	}
	kp := &KeyPackage{suite: s.id, initKey: initKey.pub, leaf: leaf, extensions: cloneExtensions(cfg.Extensions)}
	if kp.signature, err = s.signWithLabel(cfg.SignatureKey, "KeyPackageTBS", kp.tbs()); err != nil {
		return nil, nil, err
	}
	if err := kp.check(); err != nil {
		return nil, nil, err
	}
	return kp, &KeyPackageSecrets{kp: kp, initKey: initKey, leafKey: leafKey, signatureKey: cfg.SignatureKey}, nil
}

// KeyPackageSecrets are the private keys of one KeyPackage, with the package itself. They
// cannot be printed.
type KeyPackageSecrets struct {
	kp           *KeyPackage
	initKey      *hpkePrivate
	leafKey      *hpkePrivate
	signatureKey SignaturePrivateKey
}

// KeyPackage is the public part.
func (k *KeyPackageSecrets) KeyPackage() *KeyPackage { return k.kp }

// Format prints "redacted" for every verb.
func (*KeyPackageSecrets) Format(f fmt.State, _ rune) { printRedacted(f) }

// MarshalBinary encodes the secrets, and the package with them, for encrypted storage.
func (k *KeyPackageSecrets) MarshalBinary() ([]byte, error) {
	return sealState(stateKeyPackage, func(w *wire.Writer) {
		writeKeyPackage(w, k.kp)
		w.Bytes(mustPrivate(k.initKey))
		w.Bytes(mustPrivate(k.leafKey))
		w.Bytes(k.signatureKey.key())
	})
}

// UnmarshalKeyPackageSecrets is the inverse of [KeyPackageSecrets.MarshalBinary]. What does
// not decode, or whose keys do not belong together, is [ErrCorrupt].
func UnmarshalKeyPackageSecrets(b []byte) (*KeyPackageSecrets, error) {
	k := new(KeyPackageSecrets)
	err := openState(stateKeyPackage, b, func(r *wire.Reader) error {
		k.kp = readKeyPackage(r)
		initKey, leafKey, signatureKey := r.Bytes(), r.Bytes(), r.Bytes()
		if err := r.Finish(); err != nil {
			return err
		}
		s, err := k.kp.suite.lookup()
		if err != nil {
			return err
		}
		if k.initKey, err = s.parseHPKE(initKey); err != nil {
			return err
		}
		if k.leafKey, err = s.parseHPKE(leafKey); err != nil {
			return err
		}
		if k.signatureKey, err = s.id.ParseSignatureKey(signatureKey); err != nil {
			return err
		}
		if !bytes.Equal(k.initKey.pub, k.kp.initKey) || !bytes.Equal(k.leafKey.pub, k.kp.leaf.encryptionKey) ||
			!bytes.Equal(k.signatureKey.pub, k.kp.leaf.signatureKey) {
			return errors.New("keys of another package")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}
