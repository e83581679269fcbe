package clientlib

import (
	"errors"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// group is one MLS group and its queue; owned by run.
type group struct {
	id     groupID
	rec    groupRecord
	mls    *mls.Group
	policy *policy
	keys   *epochKeys
	cursor relay.Position // newest processed
	size   int            // members, in leaves
	pend   *pendingCommit

	// Until the link goes down:
	stream     *relayclient.Stream
	head       relay.Position // newest that the relay is known to have
	busy       bool           // CREATE, REKEY or ATTACH is under way
	committing bool           // the pending commit is under way

	preparing     bool           // a change's KeyPackages are being fetched
	losses        int            // commits lost in a row
	quiet         time.Time      // no commit before
	sendAt        time.Time      // no append before
	skipped       uint64         // entries that opened under no kept epoch, or did not parse
	uploading     *pendingCommit // whose group state is on its way to the key server
	renewDemanded bool
	renewals      int  // made for a stale key since a message was last accepted
	refused       int  // UNKNOWN in a row
	suspended     bool // the relay's operator stopped the queue, and the app was told
	tried         bool // REKEY was UNKNOWN: the own key may be registered already
	rolled        bool // the relay contradicts its log; not read again in this run
	forkTold      map[mls.LeafIndex]bool
	reading       reading
	signals       signalBook
	handed        []pastEpoch // that the inviter gave, until they are stored
	processing    relay.Hash  // envelope of the COMMIT that is being processed
	voting        bool        // a vote is under way
	votes         []groupID   // that were accepted in this run, and perhaps not read back
	begins        bool        // a successor is about to be begun
	answered      time.Time   // when this device said joined because it was asked

	named      bool // the relay asks for senders' names, in this session
	flood      flood
	renewAt    time.Time // a renewal that is due is made; zero: none is
	leavesSeen time.Time // when the others' leaves were looked at

	// Giving back what the relay lost:
	kept      []*keptCommit // oldest first
	giving    bool          // a blob is on its way there
	given     relay.Hash    // the blob that is there
	noTickets uint64        // 1 + epoch of the kept commit whose tickets were refused
	waking    bool          // advance is called when the pause after a loss is over
	probed    bool          // a commit was made to find out who is behind
	doubting  bool          // doubt is called when it is time
	late      int           // messages told of that came too late

	// COMMITs whose bytes stand in a blob:
	storing  *pendingCommit      // whose blob is on its way to the relay
	noRoom   bool                // the relay refused one for its quota, in this run
	stored   int                 // how many got there in this run
	await    *awaited            // nothing behind it is processed before
	fetching map[relay.Hash]bool // on their way here
	fetched  *fetchedCommit
}

// reader is this device's reader key in the group's queue.
func (e *engine) reader(g *group) (ticket relay.PublicKey) {
	if len(g.rec.Ticket) > 0 {
		ticket = publicKey(g.rec.Ticket.signer())
	}
	return ticket
}

// live reports whether the group can still be read.
func (g *group) live() bool {
	return g.rec.State == groupCreating || g.rec.State == groupRekeying || g.rec.State == groupActive
}

// reads reports whether the group's log is read: also by who is shut out and can count votes, and
// by who has gone on to a successor.
func (g *group) reads() bool {
	return g.live() || g.rec.State == groupSucceeded || g.rec.State == groupStuck && g.rec.Stuck != nil && (g.rec.Closed || g.rec.Stuck.By != memberID{})
}

func (g *group) caughtUp() bool {
	return g.stream != nil && g.cursor.Incarnation == g.head.Incarnation && g.cursor.Seq >= g.head.Seq
}

// member is the owner of a leaf.
func (g *group) member(leaf mls.LeafIndex) (*keyserver.Credential, bool) {
	m, ok := g.mls.Member(leaf)
	if !ok {
		return nil, false
	}
	c, err := parseCredential(m.Credential)
	return c, err == nil
}

// accounts lists the members' accounts, each once.
func (g *group) accounts() []keyserver.AccountID {
	var out []keyserver.AccountID
	seen := map[keyserver.AccountID]bool{}
	for _, m := range g.mls.Members() {
		if c, err := parseCredential(m.Credential); err == nil && !seen[c.Account] {
			seen[c.Account] = true
			out = append(out, c.Account)
		}
	}
	return out
}

// renewEpoch derives what depends on the epoch, after a merge or a load.
func (g *group) renewEpoch() error {
	p, err := policyOf(g.mls)
	if err != nil {
		return err
	}
	keys, err := newEpochKeys(g.mls, g.rec.Queue)
	if err != nil {
		return err
	}
	g.policy, g.keys, g.size = p, keys, len(g.mls.Members())
	return nil
}

func (g *group) saveRecord(tx *state.Tx) error {
	if g.mls != nil {
		g.rec.Epoch = g.mls.Epoch()
	}
	return putRecord(tx, bucketGroup, g.id[:], g.rec)
}

func (g *group) saveCursor(tx *state.Tx) error {
	b, err := wire.Marshal(&g.cursor)
	if err != nil {
		return err
	}
	return tx.Put(bucketCursor, g.id[:], b)
}

// saveMLS stores what has changed in the MLS state since the last transaction that did. It
// counts as stored once the transaction is.
func (e *engine) saveMLS(tx *state.Tx, g *group) error {
	for _, r := range g.mls.Save() {
		if err := putMLS(tx, append(g.id[:], r.Key...), r.Value); err != nil {
			return err
		}
	}
	e.stored = append(e.stored, g.mls)
	return nil
}

func putMLS(tx *state.Tx, key, value []byte) error {
	if value == nil {
		return tx.Delete(bucketMLS, key)
	}
	return tx.Put(bucketMLS, key, value)
}

// storedMLS reads a group's records.
func storedMLS(tx *state.Tx, id groupID) ([]mls.Record, error) {
	var records []mls.Record
	for kv, err := range tx.Scan(bucketMLS, id[:]) {
		if err != nil {
			return nil, err
		}
		records = append(records, mls.Record{Key: string(kv.Key[len(id):]), Value: kv.Value})
	}
	return records, nil
}

func leafKey(id groupID, leaf mls.LeafIndex) []byte {
	return append(id[:], byte(leaf>>24), byte(leaf>>16), byte(leaf>>8), byte(leaf))
}

// advance does the next thing that a group can do. It is called after whatever may have
// changed that, and finds out by itself; doing nothing is always safe.
func (e *engine) advance(g *group) {
	l := e.linkTo(g.rec.Relay)
	if l == nil || l.conn == nil || g.busy || g.rolled || !g.reads() {
		return
	}
	switch {
	case g.rec.State == groupCreating:
		e.createQueue(l, g)
	case g.rec.State == groupRekeying && !g.tried:
		e.rekey(l, g)
	case g.stream == nil:
		e.attach(l, g)
	case !g.caughtUp():
	case !g.live():
		e.seek(l, g)
	case g.leaving():
	case e.healing(g):
		e.giveBack(l, g)
	case len(g.rec.Withdraw) > 0:
		e.withdraw(l, g)
	case g.pend != nil && g.pend.unsent() && e.yields(g):
		e.dropCommit(g)
	default:
		if g.pend != nil {
			e.sendCommit(l, g)
		} else {
			e.startChange(g)
		}
		// Sends wait for a COMMIT that is under way, since it ends their epoch, and not for what
		// has to be somewhere before it leaves: that may take for ever. Alone in a group there is
		// nobody to write to yet: rows wait for the first member.
		if (g.pend == nil || g.pend.unsent()) && g.size > 1 {
			e.flush(l, g)
		}
	}
}

// yields reports whether the pending commit, which adds members and has not left, makes way for
// a change that takes keys away from somebody: who keeps the one from leaving, a member that
// fills the quota or a directory, must not keep the other.
func (e *engine) yields(g *group) bool {
	c, next := e.changeByID(g.pend.Change), e.nextChange(g)
	return c != nil && c.rec.Kind == changeAdd && next != nil && next.rec.Kind == changeRemove
}

func (e *engine) createQueue(l *link, g *group) {
	g.busy = true
	call := e.createCall(l.conn, g, g.rec.RequestID)
	e.answer(l, call, func(start relay.Position, err error) {
		g.busy = false
		if g.rec.State != groupCreating {
			return // given up meanwhile: another successor was founded
		}
		if err != nil {
			e.retryGroup(g, err)
			return
		}
		// Reading begins where the log does, which is not at 0 on a relay that had a loss.
		g.rec.State, g.cursor = groupActive, start
		err = e.update(func(tx *state.Tx) error {
			if err := g.saveCursor(tx); err != nil {
				return err
			}
			return g.saveRecord(tx)
		})
		if err == nil {
			e.advance(g)
		}
	})
}

// rekey replaces the ticket by a key that only this device knows.
func (e *engine) rekey(l *link, g *group) {
	g.busy = true
	reader := e.id.Secret.readerKey(g.rec.Queue, e.reader(g))
	e.answer(l, l.conn.Rekey(g.rec.Queue, g.rec.RequestID, g.rec.Ticket.signer(), reader), func(_ relay.Position, err error) {
		g.busy = false
		if !g.live() {
			return // another invitation has taken its place
		}
		if errors.Is(err, relay.ErrUnknown) || errors.Is(err, relay.ErrForbidden) {
			// The ticket is gone. If an earlier REKEY took it and its answer was lost, the
			// own key is a reader by now.
			g.tried = true
			e.advance(g)
			return
		}
		if err != nil {
			e.retryGroup(g, err)
			return
		}
		g.rec.State = groupActive
		if e.update(g.saveRecord) == nil {
			e.advance(g)
		}
	})
}

// After how many answers of UNKNOWN the app is told, and after how many where a loss explains them.
const (
	refusedTold = 3
	returnTold  = 8
)

// unknown deals with a queue that does not know this device. One such answer proves nothing:
// a relay may lie or be back from a loss. So it is asked again, at longer and longer
// intervals, and the app is told once.
func (e *engine) unknown(g *group) {
	g.tried = false
	if l := e.links[g.rec.Relay]; l == nil || l.conn == nil || !e.comeBackTo(l, g) {
		e.unknownAgain(g)
	}
}

func (e *engine) unknownAgain(g *group) {
	g.refused++
	returning, tries := g.rec.Return.Life != (relay.Incarnation{}), refusedTold
	if returning { // others may be giving back how it got in
		tries = returnTold
	}
	if g.refused >= tries && e.mislaid(g) {
		return
	}
	if g.refused == tries {
		_ = e.update(func(tx *state.Tx) error {
			return e.emit(tx, Event{
				Kind: EventFailed, Conversation: g.rec.Conversation, Detail: "the relay does not know this device in the conversation's queue",
			})
		})
	}
	pause := retryRefused << min(g.refused, 9)
	if returning {
		pause = e.returnPause(g.refused)
	}
	e.after(pause, func() { e.advance(g) })
}

// retryGroup tries again after what the relay asks for, or a second. A lost connection
// needs nothing: the next one starts over.
func (e *engine) retryGroup(g *group, err error) {
	if errors.Is(err, relayclient.ErrDisconnected) {
		return
	}
	e.log.Info("relay refused", "error", refusalName(err))
	e.after(retryAfter(err), func() { e.advance(g) })
}

// leaveQueue ends a group whose queue does not know this device any more.
func (e *engine) leaveQueue(g *group, why string) {
	if g.rec.State == groupSucceeded {
		_ = e.update(func(tx *state.Tx) error { return e.discard(tx, g) })
		return
	}
	_ = e.update(func(tx *state.Tx) error { return e.endGroup(tx, g, why) })
}

// endGroup marks a group as left. Its messages that still wait are given up, with an event each.
func (e *engine) endGroup(tx *state.Tx, g *group, why string) error {
	if g.rec.State == groupRemoved {
		return nil
	}
	g.rec.State = groupRemoved
	if err := e.dropRows(tx, g, why); err != nil {
		return err
	}
	if err := e.discard(tx, g); err != nil {
		return err
	}
	return e.emit(tx, Event{Kind: EventRemoved, Conversation: g.rec.Conversation, Detail: why})
}

// discard keeps nothing of a group but its record.
func (e *engine) discard(tx *state.Tx, g *group) error {
	g.rec.State, g.pend = groupRemoved, nil
	if err := g.saveRecord(tx); err != nil {
		return err
	}
	if err := tx.Delete(bucketPending, g.id[:]); err != nil {
		return err
	}
	// Nothing of it will be used again, and what opens old messages should not lie about.
	for _, bucket := range []string{bucketMLS, bucketChain, bucketReader, bucketVerify, bucketKnock, bucketKept, bucketKeptBody, bucketRoster, bucketVote, bucketHeld, bucketGone} {
		if err := clearBucket(tx, bucket, g.id[:]); err != nil {
			return err
		}
	}
	if err := e.dropWork(tx, g.id); err != nil {
		return err
	}
	return e.dropKnock(tx, g.id)
}
