package mls

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// groupContext is GroupContext (RFC 9420 section 8.1). It is immutable once it is in use.
type groupContext struct {
	suite                   Suite
	groupID                 []byte
	epoch                   uint64
	treeHash                []byte
	confirmedTranscriptHash []byte
	extensions              []Extension
}

func writeGroupContext(w *wire.Writer, c *groupContext) {
	w.Uint16(versionMLS10)
	w.Uint16(uint16(c.suite))
	w.Bytes(c.groupID)
	w.Uint64(c.epoch)
	w.Bytes(c.treeHash)
	w.Bytes(c.confirmedTranscriptHash)
	writeExtensions(w, c.extensions)
}

func readGroupContext(r *wire.Reader) *groupContext {
	if v := r.Uint16(); r.Err() == nil && v != versionMLS10 {
		r.Fail(fmt.Errorf("%w: protocol version %d", ErrUnsupported, v))
	}
	return &groupContext{
		suite: Suite(r.Uint16()), groupID: r.Bytes(), epoch: r.Uint64(), treeHash: r.Bytes(),
		confirmedTranscriptHash: r.Bytes(), extensions: readExtensions(r),
	}
}

func (c *groupContext) bytes() []byte { return encode(c, writeGroupContext) }
