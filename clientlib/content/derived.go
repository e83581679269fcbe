package content

import "fmt"

// Derived is what a receiver knows about a message from outside of it (section 3.5). It
// travels between a client's own parts, never inside a message.
type Derived struct {
	ID              MessageID
	Accepted        uint64 // milliseconds since 1970 at which the hub accepted the message
	MLSGroupID      []byte
	SenderLeafIndex uint32
	SenderClientURI string
	SenderUserURI   string
	RoomURI         string
}

// DecodeDerived reads a Derived as strictly as [Decode] reads a message. The draft's extended
// time (tag 1001) instead of milliseconds is refused with [ErrSyntax].
func DecodeDerived(b []byte) (*Derived, error) {
	if len(b) > MaxSize {
		return nil, ErrTooLarge
	}
	n, err := checkItem(b, 1)
	if err != nil {
		return nil, err
	}
	if n != len(b) {
		return nil, ErrTrailing
	}
	d := &decoder{rest: b}
	d.array(7)
	out := &Derived{}
	if id := d.messageID(); id != nil {
		out.ID = *id
	} else {
		d.fail(ErrSyntax)
	}
	out.Accepted = d.uint(1<<64 - 1)
	out.MLSGroupID = d.bytes()
	out.SenderLeafIndex = uint32(d.uint(1<<32 - 1))
	out.SenderClientURI, out.SenderUserURI, out.RoomURI = d.text(), d.text(), d.text()
	if d.err != nil {
		return nil, fmt.Errorf("decoding derived values: %w", d.err)
	}
	return out, nil
}

// Encode writes v, or fails as [DecodeDerived] would.
func (v *Derived) Encode() ([]byte, error) {
	b, err := det.Marshal([]any{v.ID[:], v.Accepted, v.MLSGroupID, v.SenderLeafIndex,
		v.SenderClientURI, v.SenderUserURI, v.RoomURI})
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrSyntax, err)
	}
	if _, err := DecodeDerived(b); err != nil {
		return nil, err
	}
	return b, nil
}
