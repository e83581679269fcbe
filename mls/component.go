package mls

import (
	"fmt"
	"iter"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// ComponentID names a component of the application (draft-ietf-mls-extensions), so that
// parts which know nothing of each other can use one group's keys, extensions and proposals
// without meeting. Ids from 0x8000 are for private use.
type ComponentID uint16

// Components that the draft defines.
const (
	ComponentAppComponents     ComponentID = 1 // which components a leaf supports, or a group requires
	ComponentSafeAAD           ComponentID = 2 // which of them put data into authenticated_data
	ComponentContentMediaTypes ComponentID = 3 // for the application to use
	ComponentLastResort        ComponentID = 4 // marks a KeyPackage
	ComponentAppAck            ComponentID = 5 // for the application to use
)

// ComponentData is what one component says: an entry of an app_data_dictionary extension, an
// item of a safe AAD, or an AppEphemeral proposal.
type ComponentData struct {
	Component ComponentID
	Data      []byte
}

func writeComponentData(w *wire.Writer, d ComponentData) {
	w.Uint16(uint16(d.Component))
	w.Bytes(d.Data)
}

func readComponentData(r *wire.Reader) ComponentData {
	return ComponentData{Component: ComponentID(r.Uint16()), Data: r.Bytes()}
}

// EncodeComponents encodes AppDataDictionary, the content of the extension
// [ExtensionAppDataDictionary], and SafeAAD, the authenticated data of a group whose
// dictionary holds [ComponentSafeAAD]: both are one list in ascending order of components,
// each at most once. Another order is [ErrInvalid].
func EncodeComponents(list []ComponentData) ([]byte, error) {
	if err := checkComponentOrder(list); err != nil {
		return nil, err
	}
	return encode(list, func(w *wire.Writer, list []ComponentData) { wire.WriteVector(w, list, writeComponentData) }), nil
}

// ParseComponents is the inverse of [EncodeComponents]. Errors: [ErrMalformed], [ErrInvalid] for
// another order.
func ParseComponents(b []byte) ([]ComponentData, error) {
	list, err := parse(slices.Clone(b), func(r *wire.Reader) []ComponentData { return vectorUpTo(r, maxPoints, readComponentData) })
	if err != nil {
		return nil, err
	}
	return list, checkComponentOrder(list)
}

func checkComponentOrder(list []ComponentData) error {
	for i := 1; i < len(list); i++ {
		if list[i].Component <= list[i-1].Component {
			return broken("components.order", "component %#04x after %#04x", uint16(list[i].Component), uint16(list[i-1].Component))
		}
	}
	return nil
}

func findComponent(list []ComponentData, id ComponentID) ([]byte, bool) {
	i, ok := slices.BinarySearchFunc(list, id, func(d ComponentData, id ComponentID) int { return int(d.Component) - int(id) })
	if !ok {
		return nil, false
	}
	return list[i].Data, true
}

// withComponent is a list with one entry set; the list itself stays as it is.
func withComponent(list []ComponentData, d ComponentData) []ComponentData {
	out := withoutComponent(list, d.Component)
	at, _ := slices.BinarySearchFunc(out, d.Component, func(d ComponentData, id ComponentID) int { return int(d.Component) - int(id) })
	return slices.Insert(out, at, d)
}

func withoutComponent(list []ComponentData, id ComponentID) []ComponentData {
	return slices.DeleteFunc(slices.Clone(list), func(d ComponentData) bool { return d.Component == id })
}

// EncodeComponentIDs encodes ComponentsList, the data of [ComponentAppComponents] and
// [ComponentSafeAAD] in a dictionary.
func EncodeComponentIDs(ids []ComponentID) []byte {
	return encode(ids, func(w *wire.Writer, ids []ComponentID) { wire.WriteVector(w, ids, writeUint[ComponentID]) })
}

// ParseComponentIDs is the inverse of [EncodeComponentIDs]. What does not decode is [ErrMalformed].
func ParseComponentIDs(b []byte) ([]ComponentID, error) {
	return parse(b, func(r *wire.Reader) []ComponentID { return wire.Vector(r, readUint[ComponentID]) })
}

// ComponentLabel is ComponentOperationLabel: a label for [Group.Sign], [SignaturePrivateKey.Sign]
// and [Suite.Verify] that no other component and not MLS itself uses.
func ComponentLabel(id ComponentID, label string) string {
	w := wire.NewWriter(nil)
	w.Bytes([]byte("MLS Component"))
	w.Uint16(uint16(id))
	w.Bytes([]byte(label))
	return string(mustFinish(w))
}

// dictionary is the content of an app_data_dictionary extension; false if there is none.
func dictionary(es []Extension) ([]ComponentData, bool, error) {
	data, ok := findExtension(es, ExtensionAppDataDictionary)
	if !ok {
		return nil, false, nil
	}
	list, err := ParseComponents(data)
	if err != nil {
		return nil, true, brokenBy("components.dictionary", err, "app_data_dictionary")
	}
	return list, true, nil
}

// withDictionary is a list of extensions with the dictionary set: in its place, or at the end.
func withDictionary(es []Extension, list []ComponentData) ([]Extension, error) {
	data, err := EncodeComponents(list)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(es)
	for i, e := range out {
		if e.Type == ExtensionAppDataDictionary {
			out[i].Data = data
			return out, nil
		}
	}
	return append(out, Extension{Type: ExtensionAppDataDictionary, Data: data}), nil
}

// listedComponents is a list of components inside a dictionary, such as app_components.
func listedComponents(es []Extension, which ComponentID) ([]ComponentID, error) {
	list, _, err := dictionary(es)
	if err != nil {
		return nil, err
	}
	data, ok := findComponent(list, which)
	if !ok {
		return nil, nil
	}
	ids, err := ParseComponentIDs(data)
	if err != nil {
		return nil, brokenBy("components.dictionary", err, "list of component %d", which)
	}
	return ids, nil
}

// checkKnownExtensions verifies the content of the extensions that this package understands
// and that may stand in leaves, KeyPackages and GroupInfos.
func checkKnownExtensions(es []Extension) error {
	if _, err := listedComponents(es, ComponentAppComponents); err != nil {
		return err
	}
	_, err := wireFormats(es, ExtensionSupportedWireFormats)
	return err
}

// announceComponents puts app_components into the dictionary of a leaf that announces the
// extension, as the draft demands: what the application supports, what this package does, and
// a reserved value that others are to ignore.
func announceComponents(es []Extension, announced []ExtensionType, supported []ComponentID) ([]Extension, error) {
	if !slices.Contains(announced, ExtensionAppDataDictionary) {
		return es, nil
	}
	list, _, err := dictionary(es)
	if err != nil {
		return nil, err
	}
	if _, ok := findComponent(list, ComponentAppComponents); ok && supported == nil {
		return es, nil
	}
	ids := append([]ComponentID{ComponentAppComponents, ComponentSafeAAD, ComponentID(greaseComponent())}, supported...)
	slices.Sort(ids)
	data := EncodeComponentIDs(slices.Compact(ids))
	return withDictionary(es, withComponent(list, ComponentData{Component: ComponentAppComponents, Data: data}))
}

// greaseComponent is a reserved value of a component: 0x0A0A to 0x7A7A.
func greaseComponent() uint16 { return grease() & 0x7f7f }

// checkComponents verifies that members support the components that the group's context
// requires: in general, and for their use in authenticated data.
func checkComponents(members iter.Seq2[LeafIndex, *leafNode], extensions []Extension) error {
	for _, which := range []ComponentID{ComponentAppComponents, ComponentSafeAAD} {
		required, err := listedComponents(extensions, which)
		if err != nil {
			return err
		}
		if len(required) == 0 {
			continue
		}
		required = distinct(required)
		for l, leaf := range members {
			supported, err := listedComponents(leaf.extensions, which)
			if err != nil {
				return fmt.Errorf("leaf %d: %w", l, err)
			}
			if id, ok := lacking(required, supported); ok {
				return broken("components.support", "leaf %d lacks component %#04x", l, uint16(id))
			}
		}
	}
	return nil
}

// usesSafeAAD reports whether the group's dictionary demands SafeAAD.
func (c *groupContext) usesSafeAAD() bool {
	list, _, err := dictionary(c.extensions)
	if err != nil {
		return false // a context is not accepted with such a dictionary
	}
	_, ok := findComponent(list, ComponentSafeAAD)
	return ok
}

// frameAAD is authenticated data as it is sent: where the group demands SafeAAD, nothing is
// an empty list, and anything else must be one that [EncodeComponents] made.
func (c *groupContext) frameAAD(aad []byte) ([]byte, error) {
	if len(aad) == 0 && c.usesSafeAAD() {
		return []byte{0}, nil
	}
	return aad, c.checkSafeAAD(aad)
}

// checkSafeAAD verifies that authenticated data is framed as SafeAAD where the group's
// dictionary demands it.
func (c *groupContext) checkSafeAAD(aad []byte) error {
	if !c.usesSafeAAD() {
		return nil
	}
	if _, err := ParseComponents(aad); err != nil {
		return brokenBy("framing.safe-aad", err, "authenticated data")
	}
	return nil
}
