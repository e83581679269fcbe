package clientlib

import (
	"cmp"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// How much of a group's past each member keeps for a relay that loses it (DESIGN section 3).
const (
	keptFor   = 90 * 24 * time.Hour // as long as a relay keeps COMMIT entries
	keptBytes = 16 << 20            // of envelopes and blobs, for each group: the oldest go first
)

// keptCommit is a commit that counted, and what it takes to commit it again byte for byte. It
// opens nothing that its epoch's messages were sealed with.
type keptCommit struct {
	Epoch      uint64            `cbor:"-"`          // that it ended: its key
	At         relay.Position    `cbor:"1,keyasint"` // its newest place in the log
	Envelope   [32]byte          `cbor:"2,keyasint"` // hash of the envelope
	Blob       relay.Hash        `cbor:"3,keyasint"` // zero: all of it is in the envelope
	Size       int               `cbor:"4,keyasint"` // of envelope and blob
	NextWriter relay.PublicKey   `cbor:"5,keyasint"` // the writer key of the epoch it leads to
	Hint       secret            `cbor:"6,keyasint"` // the hint key of the epoch it ended
	Kept       int64             `cbor:"7,keyasint"` // since when, unix seconds
	Own        bool              `cbor:"8,keyasint"` // this device made it
	Added      []keptAddition    `cbor:"9,keyasint"`
	Removed    []relay.PublicKey `cbor:"10,keyasint"` // readers of the members that it removed

	body keptBody // until it is stored
}

// keptAddition is a device that a kept commit added.
type keptAddition struct {
	Device keyserver.DeviceID `cbor:"1,keyasint"`
	Ticket relay.PublicKey    `cbor:"2,keyasint"` // zero where another one made the commit
}

// keptBody is what a kept commit's entry had. It is apart from the rest, since it is large and
// hardly ever read.
type keptBody struct {
	Envelope []byte `cbor:"1,keyasint"`
	Blob     []byte `cbor:"2,keyasint,omitempty"`
}

func keptKey(id groupID, epoch uint64) []byte { return append(id[:], counterKey(epoch)...) }

// sealed is the blob of a commit of this device's.
func (p *pendingCommit) sealed() *fetchedCommit {
	if len(p.Blob) == 0 {
		return nil
	}
	return &fetchedCommit{hash: p.BlobHash, size: int64(len(p.Blob)), content: p.Blob}
}

// ending is what is known of a commit before it is merged. sealed is the blob that it stands in,
// if it does.
func (g *group) ending(en *relayclient.Entry, sealed *fetchedCommit) *keptCommit {
	k := &keptCommit{
		Epoch: g.mls.Epoch(), At: en.Position, Envelope: envelopeHash(en.Envelope), Size: len(en.Envelope), Hint: g.keys.hint,
		body: keptBody{Envelope: en.Envelope},
	}
	if sealed != nil && slices.Contains(en.Blobs, sealed.hash) {
		k.Blob, k.body.Blob, k.Size = sealed.hash, sealed.content, k.Size+len(sealed.content)
	}
	return k
}

// keep stores a commit that was merged, and forgets those that are too old or too many.
func (e *engine) keep(tx *state.Tx, g *group, k *keptCommit, staged *mls.StagedCommit, d *delivery) error {
	k.Removed, d.removed = d.removed, nil
	if !g.live() {
		return nil // it removed this device
	}
	for _, m := range staged.Adds() {
		if c, err := parseCredential(m.Credential); err == nil && !k.Own {
			k.Added = append(k.Added, keptAddition{Device: c.Device})
		}
	}
	k.NextWriter, k.Kept = publicKey(g.keys.writer.signer()), e.now()
	if err := putRecord(tx, bucketKept, keptKey(g.id, k.Epoch), k); err != nil {
		return err
	}
	if err := putRecord(tx, bucketKeptBody, keptKey(g.id, k.Epoch), k.body); err != nil {
		return err
	}
	k.body = keptBody{}
	g.kept = append(g.kept, k)
	if err := e.forgetKept(tx, g); err != nil {
		return err
	}
	g.followed(k)
	return g.saveRecord(tx)
}

func (e *engine) forgetKept(tx *state.Tx, g *group) error {
	total := 0
	for _, k := range g.kept {
		total += k.Size
	}
	for len(g.kept) > 1 && (total > keptBytes || e.now()-g.kept[0].Kept > int64(keptFor/time.Second)) {
		old := g.kept[0]
		g.kept, total = g.kept[1:], total-old.Size
		for _, bucket := range []string{bucketKept, bucketKeptBody} {
			if err := tx.Delete(bucket, keptKey(g.id, old.Epoch)); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadKept reads what is kept of a group, oldest first.
func (g *group) loadKept(tx *state.Tx) error {
	for kv, err := range tx.Scan(bucketKept, g.id[:]) {
		if err != nil {
			return err
		}
		k, err := decodeRecord[keptCommit](bucketKept, kv.Value)
		if err != nil {
			return err
		}
		if len(kv.Key) != len(g.id)+8 {
			return errors.Join(state.ErrCorrupt, errors.New("kept commit"))
		}
		k.Epoch = binary.BigEndian.Uint64(kv.Key[len(g.id):])
		g.kept = append(g.kept, k)
	}
	return nil
}

// keptAt returns the commit that ended an epoch; nil if it is not kept.
func (g *group) keptAt(epoch uint64) *keptCommit {
	i, ok := slices.BinarySearchFunc(g.kept, epoch, func(k *keptCommit, epoch uint64) int { return cmp.Compare(k.Epoch, epoch) })
	if !ok {
		return nil
	}
	return g.kept[i]
}

// repeats returns the kept commit that an entry is once more. The envelope alone does not make it
// that where its blob is not kept by the relay: so it is a dud for whoever has yet to follow it.
func (g *group) repeats(en *relayclient.Entry) *keptCommit {
	hash := envelopeHash(en.Envelope)
	for _, k := range g.kept {
		if k.Envelope == hash && (k.Blob == (relay.Hash{}) || slices.Contains(en.Blobs, k.Blob)) {
			return k
		}
	}
	return nil
}

// endedEpoch returns the kept commit that ended the epoch which an envelope was sealed in, by its
// hint: its content does not open any more.
func (g *group) endedEpoch(envelope []byte) *keptCommit {
	if len(envelope) < minEnvelope {
		return nil
	}
	nonce, hint := envelope[:nonceSize], envelope[nonceSize:nonceSize+hintSize]
	for _, k := range g.kept {
		keys := epochKeys{hint: k.Hint}
		if subtle.ConstantTimeCompare(hint, keys.hintFor(nonce)) == 1 {
			return k
		}
	}
	return nil
}
