package clientlib

import (
	"crypto/ed25519"
	"errors"
	"slices"

	"github.com/sealpost/sealpost/internal/edkey"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

var errBadKeeper = errors.New("clientlib: group does not say who has the admin key of its queue")

// keeper is the device that founded a group's queue, and the admin key that it has there. It is in
// the policy, hence the same for all members whenever they came: by it they know who closed the
// queue (ATTACKS Q12). The device signs it, so nobody founds a group in another's name and closes it.
//
//	struct { opaque device[32]; opaque admin[32]; opaque proof[64]; }
type keeper struct {
	Device keyserver.DeviceID
	Admin  relay.PublicKey
	Proof  [ed25519.SignatureSize]byte
}

func keeperProof(queue relay.QueueID, admin relay.PublicKey) []byte {
	return slices.Concat([]byte(signKeeper), queue[:], admin[:])
}

func newKeeper(queue relay.QueueID, device ed25519.PrivateKey, admin relay.PublicKey) *keeper {
	k := &keeper{Device: keyserver.DeviceOf(device), Admin: admin}
	copy(k.Proof[:], ed25519.Sign(device, keeperProof(queue, admin)))
	return k
}

// verify reports whether a device has said that it is the keeper of a queue.
func (k *keeper) verify(queue relay.QueueID) bool {
	return k != nil && edkey.Verify(k.Device[:], keeperProof(queue, k.Admin), k.Proof[:])
}

func (k *keeper) MarshalWire(w *wire.Writer) {
	w.Raw(k.Device[:])
	w.Raw(k.Admin[:])
	w.Raw(k.Proof[:])
}

func (k *keeper) UnmarshalWire(r *wire.Reader) {
	r.Copy(k.Device[:])
	r.Copy(k.Admin[:])
	r.Copy(k.Proof[:])
}
