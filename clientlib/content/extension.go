package content

import "github.com/fxamacker/cbor/v2"

// ExtensionKey names an extension field: by Name if that is not empty, else by Number.
// Positive numbers are registered with IANA, names and negative numbers are private.
type ExtensionKey struct {
	Number int64
	Name   string
}

// The draft's own extensions: whom and where the message claims to be from.
var (
	SenderURI = ExtensionKey{Number: 1}
	RoomURI   = ExtensionKey{Number: 2}
)

// Extensions are a message's extension fields; each value is one CBOR item in
// deterministic encoding, kept as it came.
type Extensions map[ExtensionKey][]byte

// Text returns the value of an extension that is a text string, or "" if there is none.
func (e Extensions) Text(key ExtensionKey) string {
	var s string
	if raw, ok := e[key]; !ok || strict.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// SetText sets an extension to a text string. The text is valid UTF-8, or Encode refuses it.
func (m *Message) SetText(key ExtensionKey, s string) error {
	raw, err := det.Marshal(s)
	if err != nil {
		return err
	}
	if m.Extensions == nil {
		m.Extensions = Extensions{}
	}
	m.Extensions[key] = raw
	return nil
}

func (e Extensions) wire() map[any]cbor.RawMessage {
	out := make(map[any]cbor.RawMessage, len(e))
	for key, value := range e {
		if key.Name != "" {
			out[key.Name] = value
		} else {
			out[key.Number] = value
		}
	}
	return out
}
