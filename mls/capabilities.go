package mls

import (
	"crypto/rand"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// capabilities is Capabilities (RFC 9420 section 7.2).
type capabilities struct {
	versions    []uint16
	suites      []Suite
	extensions  []ExtensionType
	proposals   []ProposalType
	credentials []CredentialType
}

func writeCapabilities(w *wire.Writer, c capabilities) {
	wire.WriteVector(w, c.versions, writeUint[uint16])
	wire.WriteVector(w, c.suites, writeUint[Suite])
	wire.WriteVector(w, c.extensions, writeUint[ExtensionType])
	wire.WriteVector(w, c.proposals, writeUint[ProposalType])
	wire.WriteVector(w, c.credentials, writeUint[CredentialType])
}

func readCapabilities(r *wire.Reader) capabilities {
	return capabilities{
		versions:    readPoints[uint16](r),
		suites:      readPoints[Suite](r),
		extensions:  readPoints[ExtensionType](r),
		proposals:   readPoints[ProposalType](r),
		credentials: readPoints[CredentialType](r),
	}
}

// readPoints reads a vector of code points into a slice of their number: there are five such
// vectors in every leaf.
func readPoints[T ~uint16](r *wire.Reader) []T {
	sub := r.Sub()
	if sub.Len() == 0 {
		return nil
	}
	out := make([]T, sub.Len()/2)
	for i := range out {
		out[i] = T(sub.Uint16())
	}
	if sub.Len() > 0 {
		r.Fail(wire.ErrTruncated)
		return nil
	}
	return out
}

// grease is a random reserved value (section 13.5), which keeps receivers honest about
// ignoring what they do not know.
func grease() uint16 {
	var b [1]byte
	_, _ = rand.Read(b[:]) // never fails, by the documentation of crypto/rand
	n := uint16(b[0]%15) << 4
	return (n|0x0a)<<8 | n | 0x0a
}

func isGrease(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// newCapabilities lists what this package does and what the application says it does: the
// extension types that it understands, in leaves, KeyPackages and group contexts, and types of
// proposals beyond those of RFC 9420.
func newCapabilities(s Suite, supported []ExtensionType, proposals []ProposalType, used ...[]Extension) capabilities {
	c := capabilities{
		versions:    []uint16{versionMLS10},
		suites:      append(Suites(), Suite(grease())),
		credentials: []CredentialType{CredentialBasic, CredentialX509, CredentialType(grease())},
	}
	if !slices.Contains(c.suites, s) {
		c.suites = append(c.suites, s)
	}
	for _, t := range proposals {
		if !t.isDefault() && !isGrease(uint16(t)) && !slices.Contains(c.proposals, t) {
			c.proposals = append(c.proposals, t)
		}
	}
	c.proposals = append(c.proposals, ProposalType(grease()))
	add := func(t ExtensionType) {
		if !t.isDefault() && !isGrease(uint16(t)) && !slices.Contains(c.extensions, t) {
			c.extensions = append(c.extensions, t)
		}
	}
	for _, t := range supported {
		add(t)
	}
	for _, es := range used {
		for _, e := range es {
			add(e.Type)
		}
	}
	c.extensions = append(c.extensions, ExtensionType(grease()))
	return c
}

func (c capabilities) hasExtension(t ExtensionType) bool {
	return t.isDefault() || slices.Contains(c.extensions, t)
}

func (c capabilities) hasCredential(t CredentialType) bool {
	return slices.Contains(c.credentials, t)
}
