package session

import (
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// The specification's constants (PROTOCOL.md, Session).
const (
	prologue   = "sealpost relay session 1"
	maxRecord  = 65535 // bytes of a record after its length
	sealTag    = 16    // bytes that a ciphertext is longer than its plaintext
	maxPlain   = maxRecord - sealTag
	keySize    = 32                            // bytes of an ephemeral key in a handshake record
	leastFrame = relay.MaxEnvelope + 64<<10    // a client's max_frame is at least this: one DELIVER of one entry
	leastHello = keySize + sealTag + 1 + 4 + 1 // the shortest handshake record
)

// Our own limits.
const (
	maxHello = 4096 // bytes of a handshake record: a stranger's first bytes cost no more (R10)
	chunk    = 4096 // bytes of a record that must be there before a buffer for all of it is taken (R15)
)

// A Feature is what a client says in its hello that it takes (PROTOCOL.md, Session).
type Feature uint16

// FeatureStreams: the frames of an attachment may come on a stream of its own. Only a client
// whose transport has streams says so.
const FeatureStreams Feature = 1

// extension is how later versions add to the hellos; unknown types are ignored.
type extension struct {
	kind uint16
	data []byte
}

// clientHello is the payload of the first handshake record. It is encrypted to the relay's
// key, but can be replayed to it; it holds nothing that acts.
type clientHello struct {
	versions   []uint16
	maxFrame   uint32 // largest frame that the client takes
	extensions []extension
}

// ownHello is what a client that takes these features says.
func ownHello(features []Feature) *clientHello {
	h := &clientHello{versions: []uint16{relay.Version}, maxFrame: relay.MaxServerFrame}
	for _, f := range features {
		h.extensions = append(h.extensions, extension{kind: uint16(f)})
	}
	return h
}

// serverHello is the payload of the second handshake record.
type serverHello struct {
	version     uint16 // 0: none in common, the server closes
	maxFrame    uint32 // largest frame that the server takes
	incarnation relay.Incarnation
	extensions  []extension
}

func (h *clientHello) MarshalWire(w *wire.Writer) {
	wire.WriteVector(w, h.versions, (*wire.Writer).Uint16)
	w.Uint32(h.maxFrame)
	wire.WriteVector(w, h.extensions, writeExtension)
}

func (h *clientHello) UnmarshalWire(r *wire.Reader) {
	h.versions = wire.Vector(r, (*wire.Reader).Uint16)
	h.maxFrame = r.Uint32()
	h.extensions = wire.Vector(r, readExtension)
}

func (h *serverHello) MarshalWire(w *wire.Writer) {
	w.Uint16(h.version)
	w.Uint32(h.maxFrame)
	w.Raw(h.incarnation[:])
	wire.WriteVector(w, h.extensions, writeExtension)
}

func (h *serverHello) UnmarshalWire(r *wire.Reader) {
	h.version = r.Uint16()
	h.maxFrame = r.Uint32()
	r.Copy(h.incarnation[:])
	h.extensions = wire.Vector(r, readExtension)
}

func writeExtension(w *wire.Writer, e extension) {
	w.Uint16(e.kind)
	w.Bytes(e.data)
}

func readExtension(r *wire.Reader) extension {
	return extension{kind: r.Uint16(), data: r.Bytes()}
}

// features lists what the client takes: the extensions without data that this version knows.
func (h *clientHello) features() (all []Feature) {
	for _, e := range h.extensions {
		if f := Feature(e.kind); f == FeatureStreams && len(e.data) == 0 {
			all = append(all, f)
		}
	}
	return all
}

// answer returns the server's hello for h.
func (h *clientHello) answer(incarnation relay.Incarnation) *serverHello {
	a := &serverHello{maxFrame: relay.MaxClientFrame, incarnation: incarnation}
	if slices.Contains(h.versions, relay.Version) && h.maxFrame >= leastFrame {
		a.version = relay.Version
	}
	return a
}
