package mls

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// preSharedKeyID is PreSharedKeyID (RFC 9420 section 8.4).
type preSharedKeyID struct {
	kind    uint8
	id      []byte // external
	usage   uint8  // resumption, as are group and epoch
	groupID []byte
	epoch   uint64
	nonce   []byte
}

func writePreSharedKeyID(w *wire.Writer, p preSharedKeyID) {
	w.Uint8(p.kind)
	switch p.kind {
	case pskExternal:
		w.Bytes(p.id)
	case pskResumption:
		w.Uint8(p.usage)
		w.Bytes(p.groupID)
		w.Uint64(p.epoch)
	}
	w.Bytes(p.nonce)
}

func readPreSharedKeyID(r *wire.Reader) preSharedKeyID {
	p := preSharedKeyID{kind: r.Uint8()}
	switch p.kind {
	case pskExternal:
		p.id = r.Bytes()
	case pskResumption:
		p.usage = r.Uint8()
		if r.Err() == nil && (p.usage < 1 || p.usage > 3) {
			r.Fail(fmt.Errorf("resumption PSK usage %d", p.usage))
		}
		p.groupID = r.Bytes()
		p.epoch = r.Uint64()
	default:
		r.Fail(fmt.Errorf("PSK type %d", p.kind))
	}
	p.nonce = r.Bytes()
	return p
}

// pskSecret folds pre-shared keys into psk_secret; without any it is all zeros.
func (s *suite) pskSecret(ids []preSharedKeyID, psks [][]byte) secret {
	zero := make([]byte, s.nh)
	out := secret(zero)
	for i, id := range ids {
		var w wire.Writer
		writePreSharedKeyID(&w, id)
		w.Uint16(uint16(i))
		w.Uint16(uint16(len(ids)))
		input := s.expandWithLabel(s.extract(zero, psks[i]), "derived psk", mustFinish(&w), s.nh)
		out = s.extract(input, out)
	}
	return out
}
