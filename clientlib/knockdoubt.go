package clientlib

import (
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// Whoever answers a knock makes the Welcome, and can make it into an epoch that he has invented:
// the commit that the others follow is in the log, and the device sits in a group of his own, under
// the same name and with all the members' leaves. It would hear nobody but him. What he cannot do is
// to have the others' commits open there. So the first of them that does not has the device knock
// once more, under the last epoch that it is sure of.

// before is what a device was until a knock of its own was answered. It stands until a commit of
// another member than whoever answered opens, which shows that they are in one epoch.
type before struct {
	Ticket  secret             `cbor:"1,keyasint"` // of which the reader came that it knocked under
	Cursor  relay.Position     `cbor:"2,keyasint"` // the last entry that it had processed
	Shared  uint64             `cbor:"3,keyasint"` // the newest epoch that the others were in too
	Under   secret             `cbor:"4,keyasint"` // its knock secret, apart from what the inviter handed over
	Inviter keyserver.DeviceID `cbor:"5,keyasint"`
	Spoken  bool               `cbor:"6,keyasint"` // the new leaf has, so the reader of before is of no more use
}

// remainUnsure keeps what it takes to knock again.
func (g *group) remainUnsure(tx *state.Tx, b *before) error {
	g.rec.Before = b
	if by, ok := g.member(g.mls.Inviter()); ok {
		b.Inviter = by.Device
	}
	return g.saveRecord(tx)
}

// believe ends the doubt when somebody has committed in this epoch who did not invite this device.
// The caller saves the record.
func (g *group) believe(by mls.LeafIndex) {
	b := g.rec.Before
	if b == nil || by == g.mls.OwnLeaf() {
		return
	}
	if c, ok := g.member(by); ok && c.Device != b.Inviter {
		g.rec.Before = nil
	}
}

// unsure reports whether a COMMIT that is of another epoch shows that the answer may have been false.
// A dud would as well: whoever makes it could have shut this device out by a commit, and it comes
// back in the same way.
func (e *engine) unsure(g *group, en *relayclient.Entry) bool {
	own := publicKey(e.id.Secret.readerKey(g.rec.Queue, e.reader(g)))
	return g.rec.Before != nil && g.rec.Loss == lossNone && en.Reader != nil && *en.Reader != own
}

// doubtAnswer has this device knock again, sealed under the last epoch that it has shared with the
// others.
func (e *engine) doubtAnswer(tx *state.Tx, g *group, at uint64, why string) error {
	b := g.rec.Before
	g.rec.Rival, g.rec.Before, g.rec.Stuck = b.Shared+1, nil, nil
	g.pend, g.committing = nil, false
	if err := tx.Delete(bucketPending, g.id[:]); err != nil {
		return err
	}
	if err := putRecord(tx, bucketKnock, knockKey(g.id, b.Shared), pastEpoch{Secret: b.Under, Ended: e.now()}); err != nil {
		return err
	}
	return e.stuck(tx, g, at, why)
}

// mislaid deals with an invitation back into a group that leads nowhere: the queue does not know its
// ticket, or has not what it names as its place in the log. Whoever answered the knock has made it so,
// and whether or not by mistake, the reader by which this device asked is still in the queue, since
// its new leaf has not spoken. It asks again by that. It reports whether that is so.
func (e *engine) mislaid(g *group) bool {
	b := g.rec.Before
	if b == nil || b.Spoken || !g.live() {
		return false
	}
	err := e.update(func(tx *state.Tx) error {
		g.rec.Ticket, g.cursor = b.Ticket, b.Cursor
		if err := g.saveCursor(tx); err != nil {
			return err
		}
		return e.doubtAnswer(tx, g, g.cursor.Seq, "the invitation back leads nowhere: this device asks again")
	})
	if err == nil {
		e.advance(g)
	}
	return true
}

// arrived notes that the new leaf has spoken.
func (e *engine) arrived(tx *state.Tx, g *group) error {
	if g.rec.Before == nil || g.rec.Before.Spoken {
		return nil
	}
	g.rec.Before.Spoken = true
	return g.saveRecord(tx)
}
