package mls

import (
	"bytes"
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

// PSKID names a pre-shared key (RFC 9420 section 8.4): an external one by its id, or the
// resumption secret of an epoch of a group. One of the two is set.
type PSKID struct {
	External   []byte
	Resumption *ResumptionID
}

// ResumptionID names the resumption secret of one epoch of a group.
type ResumptionID struct {
	GroupID []byte
	Epoch   uint64
}

// PSKSource finds pre-shared keys. It returns a copy, or an error for one that it does not
// have: who lacks a key cannot follow the commit that names it.
type PSKSource interface {
	PSK(id PSKID) ([]byte, error)
}

func (p preSharedKeyID) public() PSKID {
	if p.kind == pskResumption {
		return PSKID{Resumption: &ResumptionID{GroupID: bytes.Clone(p.groupID), Epoch: p.epoch}}
	}
	return PSKID{External: bytes.Clone(p.id)}
}

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

// findPSKs looks up every key of a list and folds them into psk_secret.
func findPSKs(s *suite, source PSKSource, ids []preSharedKeyID) (secret, error) {
	psks := make([][]byte, len(ids))
	for i, id := range ids {
		if source == nil {
			return nil, fmt.Errorf("%w: pre-shared keys", ErrUnsupported)
		}
		var err error
		if psks[i], err = source.PSK(id.public()); err != nil {
			return nil, err
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
