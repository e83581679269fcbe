package mls

import (
	"bytes"
	"crypto/elliptic"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// certifiable is a signature scheme whose keys stand in X.509 certificates.
type certifiable interface {
	// algorithmIdentifier is the AlgorithmIdentifier of a subjectPublicKeyInfo, in DER; nil
	// where there is none. The key beside it is encoded as in a leaf.
	algorithmIdentifier() []byte
}

// algorithmIdentifier is id-Ed25519 (RFC 8410 section 3).
func (ed25519Scheme) algorithmIdentifier() []byte {
	return []byte{0x30, 5, 6, 3, 0x2b, 0x65, 0x70}
}

// algorithmIdentifier is id-Ed448 (RFC 8410 section 3).
func (ed448Scheme) algorithmIdentifier() []byte {
	return []byte{0x30, 5, 6, 3, 0x2b, 0x65, 0x71}
}

// algorithmIdentifier is id-ecPublicKey with a named curve (RFC 5480 section 2.1.1).
func (s ecdsaScheme) algorithmIdentifier() []byte {
	const ecPublicKey = "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"
	curve := map[elliptic.Curve]string{
		elliptic.P256(): "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
		elliptic.P384(): "\x06\x05\x2b\x81\x04\x00\x22",
		elliptic.P521(): "\x06\x05\x2b\x81\x04\x00\x23",
	}[s.curve]
	if curve == "" {
		return nil
	}
	return append([]byte{0x30, byte(len(ecPublicKey) + len(curve))}, ecPublicKey+curve...)
}

// algorithmIdentifier is id-ml-dsa-44, -65 or -87 (RFC 9881 section 2).
func (s mldsaScheme) algorithmIdentifier() []byte {
	return []byte{0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, s.oid}
}

// checkHolder verifies what RFC 9420 section 5.3 asks of an X.509 credential whoever trusts
// its issuer: the end entity's public key is the key that signs for the leaf. All members
// must come to the same answer whichever release they run, so the certificate is walked to
// its key here and not parsed by crypto/x509, which grows stricter with time. The rest of it,
// and of the chain, is the application's.
func (c Credential) checkHolder(s *suite, key SignaturePublicKey) error {
	if c.Type != CredentialX509 {
		return nil
	}
	if n := len(c.Certificates); n == 0 || n > maxListed {
		return broken("credential.certificate", "%d certificates", n)
	}
	for i, certificate := range c.Certificates {
		if len(certificate) == 0 {
			return broken("credential.certificate", "certificate %d is empty", i)
		}
	}
	algorithm, public, ok := subjectPublicKey(c.Certificates[0])
	if !ok {
		return broken("credential.certificate", "the end entity is no certificate")
	}
	var want []byte
	if scheme, ok := s.signature.(certifiable); ok {
		want = scheme.algorithmIdentifier()
	}
	if want == nil || !bytes.Equal(algorithm, want) {
		return broken("credential.certificate-key", "a key of another algorithm")
	}
	if !bytes.Equal(public, key) {
		return broken("credential.certificate-key", "another key")
	}
	return nil
}

// subjectPublicKey finds AlgorithmIdentifier and key in a certificate (RFC 5280 section 4.1).
func subjectPublicKey(der []byte) (algorithm, key []byte, ok bool) {
	input := cryptobyte.String(der)
	var certificate, tbs, info cryptobyte.String
	var element cryptobyte.String
	if !input.ReadASN1(&certificate, asn1.SEQUENCE) || !input.Empty() ||
		!certificate.ReadASN1(&tbs, asn1.SEQUENCE) ||
		!certificate.SkipASN1(asn1.SEQUENCE) || // signatureAlgorithm
		!certificate.SkipASN1(asn1.BIT_STRING) || !certificate.Empty() ||
		!tbs.SkipOptionalASN1(asn1.Tag(0).Constructed().ContextSpecific()) || // version
		!tbs.SkipASN1(asn1.INTEGER) { // serialNumber
		return nil, nil, false
	}
	for range 4 { // signature, issuer, validity, subject
		if !tbs.SkipASN1(asn1.SEQUENCE) {
			return nil, nil, false
		}
	}
	if !tbs.ReadASN1(&info, asn1.SEQUENCE) || !info.ReadASN1Element(&element, asn1.SEQUENCE) ||
		!info.ReadASN1BitStringAsBytes(&key) || !info.Empty() {
		return nil, nil, false
	}
	return element, key, true
}
