package mls

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// CredentialType says how a credential names its holder (RFC 9420 section 17.5).
type CredentialType uint16

// The credential types of RFC 9420.
const (
	CredentialBasic CredentialType = 1
	CredentialX509  CredentialType = 2
)

// Credential is what a member says it is (RFC 9420 section 5.3). This package gives it no
// meaning: a [CredentialValidator] does.
type Credential struct {
	Type     CredentialType
	Identity []byte // for CredentialBasic
	// Certificates are for CredentialX509: a chain in DER, the end entity first. Its key is
	// the leaf's signature key, which this package checks; who issued it, for whom and until
	// when is for the validator, and so is everything behind the first certificate.
	Certificates [][]byte
}

// CredentialEvent is one of the seven events of RFC 9420 section 5.3.1.
type CredentialEvent int

// The events at which a credential is checked.
const (
	// CredentialKeyPackage: a KeyPackage before it is added.
	CredentialKeyPackage CredentialEvent = iota + 1
	// CredentialJoin: every member of a group that we are joining.
	CredentialJoin
	// CredentialAdd: an Add proposal that was received.
	CredentialAdd
	// CredentialUpdate: an Update proposal with another credential or signature key.
	CredentialUpdate
	// CredentialCommit: a commit's path with another credential or signature key. The path of
	// an external commit always: whoever joins in nobody's place has no predecessor.
	CredentialCommit
	// CredentialExternalSenderAdded: a new entry of an external_senders extension.
	CredentialExternalSenderAdded
	// CredentialExternalSenderUpdated: an entry with another credential for a known key.
	CredentialExternalSenderUpdated
)

// CredentialCheck is what a [CredentialValidator] judges. It must not be changed or kept.
type CredentialCheck struct {
	Event        CredentialEvent
	Suite        Suite
	Credential   Credential
	SignatureKey SignaturePublicKey
	// Predecessor is the credential that this one replaces, nil when there is none. The
	// validator also decides whether one may follow the other.
	Predecessor *Credential
	// LeafExtensions are the leaf's, nil for external senders.
	LeafExtensions []Extension
}

// A CredentialValidator is the authentication service. It must answer by its argument alone:
// an answer that depends on the clock, on storage or on the network would let two members
// disagree on whether a received commit counts. (What needs those, the caller checks before
// it commits or joins, and on receipt turns into an event.) A non-nil error refuses; it
// stays reachable by errors.Is and errors.As in the error that the caller gets. One that is
// a [CommitValidator] too is also asked about commits.
type CredentialValidator interface {
	ValidateCredential(CredentialCheck) error
}

func (c Credential) equal(d Credential) bool {
	return c.Type == d.Type && bytes.Equal(c.Identity, d.Identity) &&
		slices.EqualFunc(c.Certificates, d.Certificates, bytes.Equal)
}

func (c Credential) clone() Credential {
	c.Identity = bytes.Clone(c.Identity)
	certs := slices.Clone(c.Certificates)
	for i := range certs {
		certs[i] = bytes.Clone(certs[i])
	}
	c.Certificates = certs
	return c
}

func writeCredential(w *wire.Writer, c Credential) {
	w.Uint16(uint16(c.Type))
	switch c.Type {
	case CredentialBasic:
		w.Bytes(c.Identity)
	case CredentialX509:
		wire.WriteVector(w, c.Certificates, (*wire.Writer).Bytes)
	default:
		w.Fail(fmt.Errorf("%w: credential type %d", ErrUnsupported, c.Type))
	}
}

// readCredential fails for unknown types: their length is not on the wire.
func readCredential(r *wire.Reader) Credential {
	c := Credential{Type: CredentialType(r.Uint16())}
	switch c.Type {
	case CredentialBasic:
		c.Identity = r.Bytes()
	case CredentialX509:
		empty := 0 // that is none (checkHolder), and many of them would cost many times their length
		c.Certificates = vectorUpTo(r, maxListed, func(r *wire.Reader) []byte {
			b := r.Bytes()
			if len(b) > 0 {
				return b
			}
			if empty++; empty > maxSingle {
				r.Fail(errors.New("a chain of empty certificates"))
			}
			return b
		})
	default:
		r.Fail(fmt.Errorf("%w: credential type %d", ErrUnsupported, c.Type))
	}
	return c
}
