package mls

import (
	"errors"
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

// pskSource looks up a pre-shared key; nil for one that it does not have. A nil source means
// that pre-shared keys are not supported: groups of the public API have none, so that all
// members refuse alike. The vector runner has one, to follow recorded groups.
type pskSource func(preSharedKeyID) []byte

// checkPSK verifies a PreSharedKey proposal by itself (section 12.1.4).
func (s *suite) checkPSK(id preSharedKeyID) error {
	const usageApplication = 1
	if id.kind == pskResumption && id.usage != usageApplication {
		return broken("psk.usage", "resumption for usage %d", id.usage)
	}
	if len(id.nonce) != s.nh {
		return broken("psk.nonce", "nonce of %d bytes", len(id.nonce))
	}
	return nil
}

// find looks up every key of a list and folds them into psk_secret.
func (source pskSource) find(s *suite, ids []preSharedKeyID) (secret, error) {
	psks := make([][]byte, len(ids))
	for i, id := range ids {
		if source == nil {
			return nil, fmt.Errorf("%w: pre-shared keys", ErrUnsupported)
		}
		if psks[i] = source(id); psks[i] == nil {
			return nil, errors.New("mls: pre-shared key is unknown")
		}
	}
	return s.pskSecret(ids, psks), nil
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
