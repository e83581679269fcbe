package clientlib

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/jitter"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// A knock is repeated until it is answered: by the hour, as the relay allows, and more rarely
// after a day. Whoever answered the one before badly is not the only one who reads the next.
const (
	knockOften  = time.Hour
	knockRarely = 6 * time.Hour
	knocksOften = 24
	// knockPatience is how long a device that was replaced without having asked waits for the
	// invitation.
	knockPatience = 2 * time.Minute
	knocksKept    = 48 // knocks whose KeyPackages still let the device in
)

// knockJitter spreads the first knocks of all whom one commit shut out, and how soon a member
// answers one, for each other that may.
const knockJitter = 150 * time.Millisecond

// knockRow is this device's asking to be replaced in a group. It stands until the device is.
type knockRow struct {
	Number   uint64              `cbor:"1,keyasint"` // of the newest knock
	Packages [][]byte            `cbor:"2,keyasint"` // references of the KeyPackages made, oldest first
	Envelope []byte              `cbor:"3,keyasint"` // on its way; none while the next one's time has not come
	ID       relay.IdempotencyID `cbor:"4,keyasint"`
	NextAt   int64               `cbor:"5,keyasint"` // unix seconds
	Sent     int                 `cbor:"6,keyasint"`
	Unknown  int                 `cbor:"7,keyasint"` // answers in a row that the queue does not know the device
}

// knockJob is a knockRow in memory; owned by run.
type knockJob struct {
	rec       knockRow
	flying    bool
	notBefore time.Time
}

// knock has this device ask to be replaced in a group that it cannot follow any more, or in which
// it must not send: whatever the reason, it gets fresh keys and the place that it had. It goes on
// asking, across restarts, until an invitation brings it back; the caller has told the app why.
// Asking twice is asking once.
func (e *engine) knock(tx *state.Tx, g *group) error {
	above := uint64(0)
	if own, ok := g.mls.Member(g.mls.OwnLeaf()); ok {
		if m := markOf(own.Extensions); m != nil {
			above = m.Number // also where the clock that it came of was ahead
		}
	}
	return e.knockLater(tx, g, above, jitter.Below(knockJitter*time.Duration(min(g.size, 100))+1))
}

func (e *engine) knockLater(tx *state.Tx, g *group, above uint64, wait time.Duration) error {
	j := e.knocking[g.id]
	if j == nil {
		j = &knockJob{notBefore: time.Now().Add(wait)}
		e.knocking[g.id] = j
		e.after(wait, e.flushKnocks)
	}
	j.rec.Number = max(j.rec.Number, above)
	return putRecord(tx, bucketKnocking, g.id[:], j.rec)
}

// dropKnock ends the asking, and lets nobody in by it any more.
func (e *engine) dropKnock(tx *state.Tx, id groupID) error {
	j := e.knocking[id]
	if j == nil {
		return nil
	}
	delete(e.knocking, id)
	for _, ref := range j.rec.Packages {
		if err := tx.Delete(bucketPackage, ref); err != nil {
			return err
		}
	}
	return tx.Delete(bucketKnocking, id[:])
}

// flushKnocks sends the knocks whose time has come, over whichever relays are up.
func (e *engine) flushKnocks() {
	for id, j := range inOrderOfIDs(e.knocking) {
		g := e.groups[id]
		if g == nil || g.live() || j.flying || j.rec.NextAt > e.now() || time.Now().Before(j.notBefore) {
			continue // the next tick
		}
		l := e.linkTo(g.rec.Relay)
		if l == nil || l.conn == nil || l.full() {
			continue
		}
		if len(j.rec.Envelope) == 0 && e.makeKnock(g, j) != nil {
			continue
		}
		j.flying = true
		reader := e.id.Secret.readerKey(g.rec.Queue, e.reader(g))
		call := l.conn.Knock(g.rec.Queue, j.rec.ID, reader, relay.ClassKnock, j.rec.Envelope)
		e.send(l, len(j.rec.Envelope), call, func(_ relay.Position, err error) { e.knockSent(g, j, err) })
	}
}

// makeKnock stores the next knock and the secrets of its KeyPackage before it leaves.
func (e *engine) makeKnock(g *group, j *knockJob) error {
	now := time.Now()
	next := j.rec
	next.Number = max(next.Number+1, uint64(now.UnixMilli()))
	next.ID, next.Packages = newIdempotencyID(), slices.Clone(next.Packages)
	err := e.update(func(tx *state.Tx) error {
		kp, err := e.markedPackage(tx, g, next.Number, now)
		if err != nil {
			return err
		}
		content, err := wire.Marshal(&knock{Package: kp.Bytes()})
		if err != nil {
			return err
		}
		// Under the last epoch that this device and the others knew.
		under, err := g.sharedSecret(tx)
		if err != nil {
			return err
		}
		next.Envelope, err = knockKeys(under, g.rec.Queue).seal(relay.KindKnock, content)
		if err != nil {
			return err
		}
		for next.Packages = append(next.Packages, kp.Ref()); len(next.Packages) > knocksKept; next.Packages = next.Packages[1:] {
			if err := tx.Delete(bucketPackage, next.Packages[0]); err != nil {
				return err
			}
		}
		return putRecord(tx, bucketKnocking, g.id[:], next)
	})
	if err == nil {
		j.rec = next
	}
	return err
}

// markedPackage makes the KeyPackage of one knock.
func (e *engine) markedPackage(tx *state.Tx, g *group, number uint64, now time.Time) (*mls.KeyPackage, error) {
	reader := e.id.Secret.readerKey(g.rec.Queue, e.reader(g))
	proven := newJoined(g.rec.Queue, e.device(), reader, reader)
	data, err := wire.Marshal(&mark{Queue: g.rec.Queue, Reader: proven.Reader, Proof: proven.Proof, Last: g.cursor, Number: number})
	if err != nil {
		return nil, err
	}
	return e.newPackage(tx, g.mls.Suite(), now, mls.Extension{Type: extensionMark, Data: data})
}

func (e *engine) knockSent(g *group, j *knockJob, err error) {
	j.flying = false
	if e.knocking[g.id] != j || errors.Is(err, relayclient.ErrDisconnected) {
		return
	}
	if err == nil || !errors.Is(err, relay.ErrUnknown) {
		j.rec.Unknown = 0
	}
	switch refusal, _ := errors.AsType[*relay.Refusal](err); {
	case err == nil:
		j.rec.Sent++
		j.rec.Envelope = nil
		j.rec.NextAt = e.now() + int64(j.rec.pause()/time.Second)
	case errors.Is(err, relay.ErrUnknown):
		// Removed meanwhile, perhaps; or the relay lost the queue, or lies.
		j.rec.Unknown++
		j.rec.NextAt = e.now() + int64(min(knockOften, retryLongest<<min(j.rec.Unknown-1, 6))/time.Second)
	case refusal != nil && refusal.Code == relay.CodeLimit:
		j.rec.NextAt = e.now() + int64(min(refusal.RetryAfter, knockOften)/time.Second) + 1
	case errors.Is(err, relay.ErrMalformed), errors.Is(err, relay.ErrTooLarge), errors.Is(err, relay.ErrReused), errors.Is(err, relay.ErrClosed):
		j.rec.Envelope, j.rec.NextAt = nil, e.now()+int64(knockOften/time.Second)
	default:
		j.rec.NextAt = e.now() + int64(retryAfter(err)/time.Second) + 1
	}
	_ = e.update(func(tx *state.Tx) error {
		if j.rec.Unknown == 3 {
			ev := Event{Kind: EventFailed, Conversation: g.rec.Conversation, Detail: "the relay does not know this device in the conversation's queue"}
			if err := e.emit(tx, ev); err != nil {
				return err
			}
		}
		return putRecord(tx, bucketKnocking, g.id[:], j.rec)
	})
}

// pause is how long a knock waits for its answer. Members who were shut out together go on apart.
func (r *knockRow) pause() time.Duration {
	if r.Sent <= knocksOften {
		return knockOften + jitter.Below(knockOften/20)
	}
	return knockRarely + jitter.Below(knockRarely/20)
}

// loadKnocks reads what the device asks for.
func (e *engine) loadKnocks(tx *state.Tx) error {
	return each(tx, bucketKnocking, func(key []byte, v *knockRow) error {
		if len(key) != len(groupID{}) {
			return fmt.Errorf("%w: knock of no group", state.ErrCorrupt)
		}
		e.knocking[groupID(key)] = &knockJob{rec: *v}
		return nil
	})
}

// resumeKnocks has groups ask that do not yet, though this device cannot follow them: an earlier
// version of this program stored them.
func (e *engine) resumeKnocks() error {
	return e.update(func(tx *state.Tx) error {
		for _, g := range inOrderOfIDs(e.groups) {
			if g.away() && !g.rec.Closed && e.knocking[g.id] == nil {
				if err := e.knock(tx, g); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
