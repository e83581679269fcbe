package mls

import (
	"iter"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// EncodeWireFormats encodes WireFormats (draft-ietf-mls-extensions), the content of
// [ExtensionSupportedWireFormats] in a leaf and of [ExtensionRequiredWireFormats] in a group
// context. The five formats of RFC 9420 need not be listed.
func EncodeWireFormats(formats []uint16) []byte {
	return encode(formats, func(w *wire.Writer, list []uint16) { wire.WriteVector(w, list, writeUint[uint16]) })
}

func wireFormats(es []Extension, t ExtensionType) ([]uint16, error) {
	data, ok := findExtension(es, t)
	if !ok {
		return nil, nil
	}
	list, err := parse(data, func(r *wire.Reader) []uint16 { return wire.Vector(r, readUint[uint16]) })
	if err != nil {
		return nil, brokenBy("extension.wire-formats", err, "does not parse")
	}
	return list, nil
}

// checkWireFormats verifies that members support the wire formats that the group's context
// requires.
func checkWireFormats(members iter.Seq2[LeafIndex, *leafNode], extensions []Extension) error {
	required, err := wireFormats(extensions, ExtensionRequiredWireFormats)
	if err != nil {
		return err
	}
	required = slices.DeleteFunc(required, func(f uint16) bool { return f >= wireFormatPublic && f <= wireFormatKeyPackage })
	if len(required) == 0 {
		return nil
	}
	required = distinct(required)
	for l, leaf := range members {
		supported, err := wireFormats(leaf.extensions, ExtensionSupportedWireFormats)
		if err != nil {
			return err
		}
		if f, ok := lacking(required, supported); ok {
			return broken("group.wire-format-support", "leaf %d lacks wire format %#04x", l, f)
		}
	}
	return nil
}
