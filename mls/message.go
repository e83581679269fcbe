package mls

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// message is MLSMessage (RFC 9420 section 6): the field that wireFormat names is set.
type message struct {
	wireFormat uint16
	public     *publicMessage
	private    *privateMessage
	welcome    *welcome
	groupInfo  *groupInfo
	keyPackage *KeyPackage
}

func writeMessage(w *wire.Writer, m *message) {
	w.Uint16(versionMLS10)
	w.Uint16(m.wireFormat)
	switch m.wireFormat {
	case wireFormatPublic:
		writePublicMessage(w, m.public)
	case wireFormatPrivate:
		writePrivateMessage(w, m.private)
	case wireFormatWelcome:
		writeWelcome(w, m.welcome)
	case wireFormatGroupInfo:
		writeGroupInfo(w, m.groupInfo)
	case wireFormatKeyPackage:
		writeKeyPackage(w, m.keyPackage)
	default:
		w.Fail(fmt.Errorf("wire format %d", m.wireFormat))
	}
}

func readMessage(r *wire.Reader) *message {
	if v := r.Uint16(); r.Err() == nil && v != versionMLS10 {
		r.Fail(fmt.Errorf("%w: protocol version %d", ErrUnsupported, v))
	}
	m := &message{wireFormat: r.Uint16()}
	switch m.wireFormat {
	case wireFormatPublic:
		m.public = readPublicMessage(r)
	case wireFormatPrivate:
		m.private = readPrivateMessage(r)
	case wireFormatWelcome:
		m.welcome = readWelcome(r)
	case wireFormatGroupInfo:
		m.groupInfo = readGroupInfo(r)
	case wireFormatKeyPackage:
		m.keyPackage = readKeyPackage(r)
	default:
		r.Fail(fmt.Errorf("wire format %d", m.wireFormat))
	}
	return m
}

// parse decodes all of b with read; what it returns aliases b.
func parse[T any](b []byte, read func(*wire.Reader) T) (T, error) {
	r := wire.NewReader(b)
	v := read(r)
	if err := r.Finish(); err != nil {
		var zero T
		return zero, malformed(err)
	}
	return v, nil
}

// encode is the inverse of parse.
func encode[T any](v T, write func(*wire.Writer, T)) []byte {
	var w wire.Writer
	write(&w, v)
	return mustFinish(&w)
}
