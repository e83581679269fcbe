package mls

import (
	"fmt"
	"math"

	"github.com/sealpost/sealpost/internal/wire"
)

// Usages of a resumption PSK (RFC 9420 section 8.4).
const (
	usageApplication = 1
	usageReInit      = 2
	usageBranch      = 3
)

// preSharedKeyID is PreSharedKeyID (section 8.4).
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
		if r.Err() == nil && (p.usage < usageApplication || p.usage > usageBranch) {
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

// checkPSK verifies a PreSharedKey proposal by itself (section 12.1.4).
func (s *suite) checkPSK(id preSharedKeyID) error {
	if id.links() {
		return broken("psk.usage", "resumption for usage %d", id.usage)
	}
	return s.checkNonce(id)
}

func (s *suite) checkNonce(id preSharedKeyID) error {
	if len(id.nonce) != s.nh {
		return broken("psk.nonce", "nonce of %d bytes", len(id.nonce))
	}
	return nil
}

// checkPSKList verifies the ids of one commit or Welcome together (section 12.2). Their count
// is two bytes of what psk_secret is derived from.
func checkPSKList(ids []preSharedKeyID) error {
	if len(ids) > math.MaxUint16 {
		return broken("psk.count", "%d pre-shared keys", len(ids))
	}
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		name := string(encode(id, writePreSharedKeyID))
		if seen[name] {
			return broken("proposals.psk", "a pre-shared key is named twice")
		}
		seen[name] = true
	}
	return nil
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
