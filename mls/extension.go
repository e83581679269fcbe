package mls

import (
	"bytes"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// ExtensionType names an extension (RFC 9420 section 17.3).
type ExtensionType uint16

// Extension is one entry of an extension list (RFC 9420 section 13.4).
type Extension struct {
	Type ExtensionType
	Data []byte
}

func (e Extension) equal(other Extension) bool {
	return e.Type == other.Type && bytes.Equal(e.Data, other.Data)
}

func writeExtension(w *wire.Writer, e Extension) {
	w.Uint16(uint16(e.Type))
	w.Bytes(e.Data)
}

func readExtension(r *wire.Reader) Extension {
	return Extension{Type: ExtensionType(r.Uint16()), Data: r.Bytes()}
}

func writeExtensions(w *wire.Writer, es []Extension) { wire.WriteVector(w, es, writeExtension) }

func readExtensions(r *wire.Reader) []Extension { return vectorUpTo(r, maxPoints, readExtension) }

// isDefault reports whether every client knows the type, so that capabilities must not list
// it (section 7.2).
func (t ExtensionType) isDefault() bool {
	return t >= ExtensionApplicationID && t <= ExtensionExternalSenders
}

// beyondDefault lists the types of a list that capabilities must list.
func beyondDefault(es []Extension) []ExtensionType {
	var out []ExtensionType
	for _, e := range es {
		if !e.Type.isDefault() {
			out = append(out, e.Type)
		}
	}
	return out
}

func findExtension(es []Extension, t ExtensionType) ([]byte, bool) {
	for _, e := range es {
		if e.Type == t {
			return e.Data, true
		}
	}
	return nil, false
}

// extensionPlace is a structure that has a list of extensions.
type extensionPlace string

const (
	inLeaf         extensionPlace = "LeafNode"
	inKeyPackage   extensionPlace = "KeyPackage"
	inGroupContext extensionPlace = "GroupContext"
	inGroupInfo    extensionPlace = "GroupInfo"
)

// belongs reports whether a type may stand in a structure (section 17.3, column Message(s)).
// Of other types than those of RFC 9420 this package does not know it.
func (t ExtensionType) belongs(in extensionPlace) bool {
	switch t {
	case ExtensionApplicationID:
		return in == inLeaf
	case extensionRatchetTree, extensionExternalPub:
		return in == inGroupInfo
	case ExtensionRequiredCapabilities, ExtensionExternalSenders:
		return in == inGroupContext
	}
	return true
}

// checkExtensionList: no list holds a type twice (section 13.4), or one that has its place
// elsewhere.
func checkExtensionList(es []Extension, in extensionPlace) error {
	var seen pointSet
	for _, e := range es {
		if seen.has(uint16(e.Type)) {
			return broken("extension.unique", "type %#04x occurs twice", uint16(e.Type))
		}
		if !e.Type.belongs(in) {
			return broken("extension.place", "type %#04x in a %s", uint16(e.Type), in)
		}
		seen.add(uint16(e.Type))
	}
	return nil
}

func cloneExtensions(es []Extension) []Extension {
	out := slices.Clone(es)
	for i := range out {
		out[i].Data = bytes.Clone(out[i].Data)
	}
	return out
}

// requiredCapabilities is RequiredCapabilities (section 11.1).
type requiredCapabilities struct {
	extensions  []ExtensionType
	proposals   []ProposalType
	credentials []CredentialType
}

// readUint reads a uint16 of a named type, for vectors of code points.
func readUint[T ~uint16](r *wire.Reader) T { return T(r.Uint16()) }

func writeUint[T ~uint16](w *wire.Writer, v T) { w.Uint16(uint16(v)) }

// EncodeRequiredCapabilities encodes RequiredCapabilities (RFC 9420 section 11.1), the content of
// [ExtensionRequiredCapabilities] in a group context: what every member must announce, so that
// nobody is added who lacks it. What RFC 9420 demands of everybody need not be listed.
func EncodeRequiredCapabilities(extensions []ExtensionType, proposals []ProposalType, credentials []CredentialType) []byte {
	w := wire.NewWriter(nil)
	wire.WriteVector(w, extensions, writeUint[ExtensionType])
	wire.WriteVector(w, proposals, writeUint[ProposalType])
	wire.WriteVector(w, credentials, writeUint[CredentialType])
	return mustFinish(w)
}

func parseRequiredCapabilities(data []byte) (requiredCapabilities, error) {
	r := wire.NewReader(data)
	rc := requiredCapabilities{
		extensions:  wire.Vector(r, readUint[ExtensionType]),
		proposals:   wire.Vector(r, readUint[ProposalType]),
		credentials: wire.Vector(r, readUint[CredentialType]),
	}
	if err := r.Finish(); err != nil {
		return requiredCapabilities{}, brokenBy("extension.required-capabilities", malformed(err), "does not parse")
	}
	return rc, nil
}
