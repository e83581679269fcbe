package content

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
)

// MessageID names a message (section 2.3): the id of the hash function, then the first 31
// octets of its output. It is no secret, but logs carry none.
type MessageID [MessageIDSize]byte

// ID computes the message's id for the given sender and room, which are the URIs that the
// receiver has authenticated, not those that the message's extensions claim. It fails if the
// message does not encode or a URI is longer than 65535 octets.
func (m *Message) ID(senderURI, roomURI string) (MessageID, error) {
	encoded, err := m.Encode()
	if err != nil {
		return MessageID{}, err
	}
	return idOf(encoded, m.Salt, senderURI, roomURI)
}

func idOf(encoded []byte, salt [SaltSize]byte, senderURI, roomURI string) (id MessageID, err error) {
	h := sha256.New()
	for _, uri := range []string{senderURI, roomURI} {
		if len(uri) > math.MaxUint16 {
			return id, fmt.Errorf("%w: uri of %d octets", ErrTooLarge, len(uri))
		}
		h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(uri))))
		h.Write([]byte(uri))
	}
	h.Write(encoded)
	h.Write(salt[:]) // once more, against length extension
	id[0] = HashSHA256
	copy(id[1:], h.Sum(nil))
	return id, nil
}
