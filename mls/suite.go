package mls

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hpke"
	"fmt"
	"hash"
	"slices"
)

// Suite is a cipher suite (RFC 9420 section 5.1 and 17.1). All members of a group use the
// same one.
type Suite uint16

// A suite is one row of the table: all that differs between cipher suites.
type suite struct {
	id         Suite
	algorithms Suite // the row that this one repeats under another number, or id
	name       string
	stack      string // whose number it is, where it is neither registered nor ours
	hpke       hpkeScheme
	aead
	kdf
	signature signatureScheme
}

// aead is an AEAD under the names of HPKE and of MLS.
type aead struct {
	forHPKE hpke.AEAD
	newAEAD func(key []byte) (cipher.AEAD, error)
	nk, nn  int // key and nonce, bytes
}

// kdf is HKDF over a hash, which is also the suite's hash.
type kdf struct {
	forHPKE hpke.KDF
	hash    func() hash.Hash
	nh      int // KDF.Nh and the hash's size, bytes
}

// Suites lists the suites of RFC 9420 and of draft-ietf-mls-pq-ciphersuites, all of which this
// package implements, in ascending order. Every KeyPackage and group made here announces them,
// and no number of another stack but that of its own suite.
func Suites() []Suite {
	var out []Suite
	for id, row := range suites {
		if row.stack == "" {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// Supported reports whether this package implements s, be it under a number of another stack.
func (s Suite) Supported() bool { return suites[s] != nil }

// Algorithms is the suite with the same algorithms that [Suites] lists, or s itself where none
// has: two numbers of one set of algorithms are two suites, whose members do not meet.
func (s Suite) Algorithms() Suite {
	if row := suites[s]; row != nil {
		return row.algorithms
	}
	return s
}

// String is the name in the registry or the draft, or the number of a suite that is not there.
// A number of another stack follows the name.
func (s Suite) String() string {
	switch row := suites[s]; {
	case row == nil:
		return fmt.Sprintf("suite %#04x", uint16(s))
	case row.algorithms != s:
		return fmt.Sprintf("%s (%#04x, %s)", row.name, uint16(s), row.stack)
	default:
		return row.name
	}
}

func (s Suite) lookup() (*suite, error) {
	if row := suites[s]; row != nil {
		return row, nil
	}
	return nil, fmt.Errorf("%w: %v", ErrUnsupported, s)
}

func newAESGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// sum hashes the concatenation of parts.
func (s *suite) sum(parts ...[]byte) []byte {
	h := s.hash()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}
