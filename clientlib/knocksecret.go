package clientlib

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// The knock secrets of the epochs that are over. Whoever is stuck in one of them seals its knock
// under that one, so they are kept as long as a relay keeps COMMITs, and given to joiners with the
// group state: those who knew a member when it went silent may all be gone when it comes back
// (ATTACKS Q11). They open nothing but knocks.

const (
	knockLife    = 90 * 24 * time.Hour // after the epoch's end
	maxKnockKept = 4096                // of one group, the newest: 40 bytes each for every joiner
)

// pastEpoch is the knock secret of an epoch and when that ended.
type pastEpoch struct {
	Epoch  uint64 `cbor:"-"`
	Secret secret `cbor:"1,keyasint"`
	Ended  int64  `cbor:"2,keyasint"` // unix seconds

	// Not handed to joiners: the commit that ended it, for votes against that.
	Commit  relay.Hash `cbor:"3,keyasint"` // SHA-256 of its envelope
	By      memberID   `cbor:"4,keyasint"`
	Added   []memberID `cbor:"5,keyasint,omitempty"`
	Removed []memberID `cbor:"6,keyasint,omitempty"`
}

func knockKey(id groupID, epoch uint64) []byte { return binary.BigEndian.AppendUint64(id[:], epoch) }

// keepKnockSecret stores the secret of an epoch that has ended, and forgets those whose time is over.
func (e *engine) keepKnockSecret(tx *state.Tx, id groupID, p pastEpoch) error {
	for kv, err := range tx.Scan(bucketKnock, id[:]) {
		if err != nil {
			return err
		}
		old, err := decodeRecord[pastEpoch](bucketKnock, kv.Value)
		if err != nil {
			return err
		}
		epoch := counterOf(kv.Key[len(id):])
		if time.Unix(old.Ended, 0).Add(knockLife).After(time.Now()) && epoch+maxKnockKept > p.Epoch {
			break // the others ended later
		}
		if err := tx.Delete(bucketKnock, kv.Key); err != nil {
			return err
		}
	}
	return putRecord(tx, bucketKnock, knockKey(id, p.Epoch), p)
}

// pastEpochs lists the kept ones, oldest first.
func pastEpochs(tx *state.Tx, id groupID) ([]pastEpoch, error) {
	var out []pastEpoch
	for kv, err := range tx.Scan(bucketKnock, id[:]) {
		if err != nil {
			return nil, err
		}
		p, err := decodeRecord[pastEpoch](bucketKnock, kv.Value)
		if err != nil {
			return nil, err
		}
		p.Epoch = counterOf(kv.Key[len(id):])
		out = append(out, *p)
	}
	return out, nil
}

// knockKeys are what one epoch's knock secret seals and opens knocks with: the layout is that of
// every envelope of the queue.
func knockKeys(s secret, queue relay.QueueID) *epochKeys {
	return &epochKeys{queue: queue, envelope: s.derive(deriveKnockKey), hint: s.derive(deriveKnockHint)}
}

// openKnock opens a KNOCK entry's envelope under the epoch in force or one that is kept; nil if it
// opens under none. An error is the store's.
func (g *group) openKnock(tx *state.Tx, envelope []byte) ([]byte, error) {
	past, err := pastEpochs(tx, g.id)
	if err != nil {
		return nil, err
	}
	past = append(past, pastEpoch{Secret: g.keys.knock})
	for i := range past { // the newest first
		content, err := knockKeys(past[len(past)-1-i].Secret, g.rec.Queue).open(relay.KindKnock, envelope)
		if err == nil {
			return content, nil
		}
		if !errors.Is(err, errOtherEpoch) {
			break
		}
	}
	return nil, nil
}

// heldState is what a joiner gets beside its Welcome:
//
//	struct { uint64 epoch; opaque secret[32]; uint64 ended; } PastEpoch;
//	struct { uint8 version = 1; opaque tree<V>; PastEpoch knocks<V>; }
type heldState struct {
	Tree   []byte
	Knocks []pastEpoch
}

const heldVersion = 1

func (h *heldState) MarshalWire(w *wire.Writer) {
	w.Uint8(heldVersion)
	w.Bytes(h.Tree)
	wire.WriteVector(w, h.Knocks, func(w *wire.Writer, p pastEpoch) {
		w.Uint64(p.Epoch)
		w.Raw(p.Secret)
		w.Uint64(uint64(p.Ended))
	})
}

func (h *heldState) UnmarshalWire(r *wire.Reader) {
	if r.Uint8() != heldVersion {
		r.Fail(ErrBadGroupState)
	}
	h.Tree = r.Bytes()
	kept := 0
	h.Knocks = wire.Vector(r, func(r *wire.Reader) (p pastEpoch) {
		if kept++; kept > maxKnockKept {
			r.Fail(ErrBadGroupState)
			return p
		}
		p.Epoch, p.Secret, p.Ended = r.Uint64(), make(secret, 32), 0
		r.Copy(p.Secret)
		p.Ended = int64(r.Uint64())
		return p
	})
}

// holdState is the group state for who joins by a commit of the epoch in force, which is past then.
func (e *engine) holdState(g *group, tree []byte) ([]byte, error) {
	h := &heldState{Tree: tree}
	err := e.db.View(e.ctx, func(tx *state.Tx) (err error) {
		h.Knocks, err = pastEpochs(tx, g.id)
		return err
	})
	if err != nil {
		return nil, err
	}
	h.Knocks = append(h.Knocks, pastEpoch{Epoch: g.mls.Epoch(), Secret: g.keys.knock, Ended: e.now()})
	h.Knocks = h.Knocks[max(0, len(h.Knocks)-maxKnockKept):]
	return wire.Marshal(h)
}

// keepHanded stores what a joiner was given. The inviter's clock does not decide how long, and what a
// device that comes back knows by itself stays: by it its votes are taken back, and knocks open
// whatever it is handed.
func (e *engine) keepHanded(tx *state.Tx, g *group, handed []pastEpoch) error {
	for _, p := range handed {
		if p.Epoch >= g.mls.Epoch() {
			continue
		}
		if _, known, err := tx.Get(bucketKnock, knockKey(g.id, p.Epoch)); err != nil {
			return err
		} else if known {
			continue
		}
		p.Ended = max(0, min(p.Ended, e.now()))
		if err := putRecord(tx, bucketKnock, knockKey(g.id, p.Epoch), p); err != nil {
			return err
		}
	}
	return nil
}
