package clientlib

import (
	"crypto/ed25519"
	"errors"

	"github.com/sealpost/sealpost/internal/edkey"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

// payloadKind says what the body of a payload is. The numbers are the wire's.
type payloadKind uint8

const (
	payloadContent payloadKind = 1 // application/mimi-content
	payloadJoined  payloadKind = 2 // a member tells its reader and admin key
	payloadRoll    payloadKind = 3 // asks all to say joined again, for one who came late; it has no body
)

const payloadVersion = 1

var errBadPayload = errors.New("clientlib: application message is not a Sealpost payload")

// payload is the content of every MLS application message:
//
//	struct {
//	    uint8    version = 1;
//	    uint8    kind;
//	    opaque   message_id[32];
//	    Position seen;            // newest position its sender had processed: forks surface
//	    opaque   checkpoint<V>;   // newest transparency checkpoint; empty until there is a log
//	    opaque   body<V>;
//	}
//
// MLS signs it whole, so neither relay nor another member can change what its sender saw.
type payload struct {
	Kind       payloadKind
	ID         MessageID
	Seen       relay.Position
	Checkpoint []byte
	Body       []byte
}

func (p *payload) MarshalWire(w *wire.Writer) {
	w.Uint8(payloadVersion)
	w.Uint8(uint8(p.Kind))
	w.Raw(p.ID[:])
	p.Seen.MarshalWire(w)
	w.Bytes(p.Checkpoint)
	w.Bytes(p.Body)
}

func (p *payload) UnmarshalWire(r *wire.Reader) {
	if r.Uint8() != payloadVersion {
		r.Fail(errBadPayload)
	}
	p.Kind = payloadKind(r.Uint8())
	r.Copy(p.ID[:])
	p.Seen.UnmarshalWire(r)
	p.Checkpoint = r.Bytes()
	p.Body = r.Bytes()
}

// joined is the body of payloadJoined. Admins need the reader key to remove the device from
// the queue one day, and the admin key to make it an admin. The proof is the reader key's
// signature over queue and device: else a member could name another's reader, and its own
// removal would cut off that one.
type joined struct {
	Reader, Admin relay.PublicKey
	Proof         [ed25519.SignatureSize]byte
}

func joinedProof(queue relay.QueueID, device keyserver.DeviceID) []byte {
	out := append([]byte(signJoined), queue[:]...)
	return append(out, device[:]...)
}

func newJoined(queue relay.QueueID, device keyserver.DeviceID, reader, admin ed25519.PrivateKey) *joined {
	j := &joined{Reader: publicKey(reader), Admin: publicKey(admin)}
	copy(j.Proof[:], ed25519.Sign(reader, joinedProof(queue, device)))
	return j
}

func (j *joined) verify(queue relay.QueueID, device keyserver.DeviceID) bool {
	return edkey.Verify(j.Reader[:], joinedProof(queue, device), j.Proof[:])
}

func (j *joined) MarshalWire(w *wire.Writer) {
	w.Raw(j.Reader[:])
	w.Raw(j.Admin[:])
	w.Raw(j.Proof[:])
}

func (j *joined) UnmarshalWire(r *wire.Reader) {
	r.Copy(j.Reader[:])
	r.Copy(j.Admin[:])
	r.Copy(j.Proof[:])
}
