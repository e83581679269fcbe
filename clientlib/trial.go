package clientlib

import (
	"context"
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// maxDeaths is how often the program may end while it looks at what a peer sent. Whether by a
// fault in it or by the memory that it costs, it would end at every start; so then that is passed
// over unseen.
const maxDeaths = 3

var errPoison = fmt.Errorf("clientlib: the program ended %d times while it was looked at", maxDeaths)

// trial is stored before something of a peer's is looked at, and deleted with what comes of it:
// one that is found was not survived.
type trial struct {
	At    relay.Position `cbor:"1,keyasint"` // the cursor before the entries; zero for an invitation
	Until uint64         `cbor:"2,keyasint"` // the last of the entries
	Count int            `cbor:"3,keyasint"` // how many there were in this place, with this one
}

// Keys of trials. Whoever founds a group chooses its id, so kinds are kept apart.
func groupTrial(id groupID) []byte         { return append([]byte("group "), id[:]...) }
func inboxTrial(id relay.QueueID) []byte   { return append([]byte("inbox "), id[:]...) }
func invitationTrial(hash [32]byte) []byte { return append([]byte("invitation "), hash[:]...) }

// reading is what is remembered about trials of one log between deliveries.
type reading struct {
	begun bool   // there was a delivery since the attachment
	until uint64 // up to here entries are looked at one by one, since one of them ended the program
}

// attempt is a trial of entries that are delivered now.
type attempt struct {
	key    []byte // nil: nothing is stored
	at     relay.Position
	found  *trial // what the ones before left in this place
	take   int    // how many entries to look at
	poison bool   // pass the first one over
}

// try begins to look at entries behind a cursor. Storing that costs a transaction, so it is done
// for a COMMIT and for the first delivery after an attachment: what else ends the program will be
// in that one after the next start.
func (e *engine) try(key []byte, r *reading, at relay.Position, entries []relayclient.Entry) (*attempt, error) {
	a := &attempt{at: at, take: len(entries)}
	commit := func(en relayclient.Entry) bool { return en.Kind == relay.KindCommit }
	if r.begun && at.Seq >= r.until && !slices.ContainsFunc(entries, commit) {
		return a, nil
	}
	a.key = key
	err := e.update(func(tx *state.Tx) error {
		found, err := getRecord[trial](tx, bucketTrial, key)
		if err != nil {
			return err
		}
		now := trial{At: at, Count: 1}
		if found != nil && found.At.Incarnation == at.Incarnation {
			r.until = max(r.until, found.Until)
			if found.At == at {
				a.found, now.Count = found, found.Count+1
			}
		}
		if at.Seq < r.until {
			a.take = 1
		}
		if a.poison = now.Count > maxDeaths; a.poison {
			return nil
		}
		now.Until = max(r.until, entries[a.take-1].Position.Seq)
		return putRecord(tx, bucketTrial, key, now)
	})
	r.begun = true
	return a, err
}

// over ends an attempt, in the transaction of what came of it. If the cursor is where it was,
// since a blob has to be fetched, what was found stays.
func (a *attempt) over(tx *state.Tx, cursor relay.Position) error {
	switch {
	case a.key == nil:
		return nil
	case a.found != nil && cursor == a.at:
		return putRecord(tx, bucketTrial, a.key, a.found)
	}
	return tx.Delete(bucketTrial, a.key)
}

// survived takes an attempt back whose transaction failed: the program is being closed, or its
// store is full.
func (e *engine) survived(a *attempt) {
	_ = e.db.Update(context.WithoutCancel(e.ctx), func(tx *state.Tx) error { return a.over(tx, a.at) })
}

// passOver goes on behind an entry without looking at it. If it was a COMMIT that counts, the next
// one is of an epoch that this device is not in, and ends reading.
func (e *engine) passOver(tx *state.Tx, g *group, en *relayclient.Entry, d *delivery) error {
	g.cursor = en.Position
	if err := keepChain(tx, g.id, en.Position); err != nil {
		return err
	}
	if en.Kind == relay.KindCommit {
		pend, err := g.closeCommit(tx, en)
		if err != nil {
			return err
		}
		if pend != nil {
			e.lost(g, d)
		}
	}
	if err := e.settleBetween(tx, g, en.Position, en.Position.Seq); err != nil {
		return err
	}
	g.skipped++
	g.rec.Gapped = true
	if err := g.saveRecord(tx); err != nil {
		return err
	}
	return e.emit(tx, Event{
		Kind: EventGap, Conversation: g.rec.Conversation, From: en.Position.Seq, To: en.Position.Seq, Detail: errPoison.Error(),
	})
}

// deaths returns errPoison for an invitation that the program did not survive too often.
func (e *engine) deaths(hash [32]byte) error {
	return e.db.View(e.ctx, func(tx *state.Tx) error {
		found, err := getRecord[trial](tx, bucketTrial, invitationTrial(hash))
		if err == nil && found != nil && found.Count >= maxDeaths {
			return errPoison
		}
		return err
	})
}

// surviving calls fn, which looks at an invitation. It is not called on run. A store that fails ends
// the client, as in update: that is no fault of the invitation.
func (e *engine) surviving(hash [32]byte, fn func() error) error {
	key := invitationTrial(hash)
	err := e.db.Update(e.ctx, func(tx *state.Tx) error {
		found, err := getRecord[trial](tx, bucketTrial, key)
		if err != nil {
			return err
		}
		now := trial{Count: 1}
		if found != nil {
			now.Count += found.Count
		}
		return putRecord(tx, bucketTrial, key, now)
	})
	if err != nil {
		e.fail(fmt.Errorf("writing the store: %w", err))
		return err
	}
	err = fn()
	if failed := e.db.Update(context.WithoutCancel(e.ctx), func(tx *state.Tx) error { return tx.Delete(bucketTrial, key) }); failed != nil {
		e.fail(fmt.Errorf("writing the store: %w", failed))
		return failed
	}
	return err
}
