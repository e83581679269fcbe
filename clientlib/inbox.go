package clientlib

import (
	"errors"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// inbox is this device's own queue, where invitations arrive; owned by run. Its cursor
// stands in bucketCursor under the queue's id.
type inbox struct {
	stream *relayclient.Stream
	cursor relay.Position
	busy   bool
	rolled bool // the app was told that the log went back

	reading reading
}

// inboxUp creates the inbox if need be and attaches to it.
func (e *engine) inboxUp(l *link) {
	if e.id == nil || e.id.Relay != l.key || l.conn == nil || e.inbox.busy || e.inbox.stream != nil {
		return
	}
	e.inbox.busy = true
	reader := e.id.Secret.readerKey(e.id.Inbox, relay.PublicKey{})
	if e.id.InboxReady {
		e.attachInbox(l)
		return
	}
	admin := e.id.Secret.adminKey(e.id.Inbox)
	request := publicKey(e.id.Writer.signer())
	call := l.conn.Create(relayclient.CreateParams{
		Queue: e.id.Inbox, ID: e.id.CreateID, Admin: admin, Admins: []relay.PublicKey{publicKey(admin)},
		RequestWriter: &request, Readers: []relay.PublicKey{publicKey(reader)},
	})
	e.answer(l, call, func(start relay.Position, err error) {
		e.inbox.busy = false
		if err != nil {
			e.retryInbox(l, err)
			return
		}
		e.id.InboxReady, e.inbox.cursor = true, start
		err = e.update(func(tx *state.Tx) error {
			if err := e.saveInboxCursor(tx); err != nil {
				return err
			}
			return e.saveIdentity(tx)
		})
		if err == nil {
			e.inboxUp(l)
			e.keepUp() // the directory may hear of an account that can be reached
		}
	})
}

func (e *engine) retryInbox(l *link, err error) {
	if errors.Is(err, relayclient.ErrDisconnected) {
		return
	}
	e.log.Info("relay refused the inbox", "error", refusalName(err))
	e.after(retryAfter(err), func() { e.inboxUp(l) })
}

func (e *engine) attachInbox(l *link) {
	var from *relay.Position
	if e.inbox.cursor != (relay.Position{}) {
		from = new(e.inbox.cursor)
	}
	l.pace.tried++
	call := l.conn.Attach(e.id.Inbox, e.id.Secret.readerKey(e.id.Inbox, relay.PublicKey{}), from, l.pace.window())
	e.openStream(l, call, streamHandler{
		opened: func(s *relayclient.Stream) {
			e.inbox.stream, e.inbox.busy, e.inbox.reading.begun = s, false, false
			l.pace.attached(s.Head.Seq > e.inbox.cursor.Seq)
			s.Ack(e.inbox.cursor.Seq)
		},
		refused: func(err error) { e.inboxRefused(l, err) },
		event: func(s *relayclient.Stream, ev relayclient.Event) {
			if e.inbox.stream == s {
				e.inboxEvent(l, s, ev)
			}
		},
	})
}

// inboxRefused deals with an inbox that the relay lost or set back: nothing in it is needed
// in order, so reading starts over from what there is, and an event tells.
func (e *engine) inboxRefused(l *link, err error) {
	e.inbox.busy = false
	switch {
	case errors.Is(err, relay.ErrRollback), isBroken(err):
		e.inboxRolledBack(l, err)
	case errors.Is(err, relay.ErrUnknown):
		// The relay lost it, or says so: it is asked to make it again, which changes nothing
		// if it is there.
		e.id.InboxReady, e.id.CreateID = false, newIdempotencyID()
		if e.update(e.saveIdentity) == nil {
			e.after(retryLongest, func() { e.inboxUp(l) })
		}
	default:
		e.retryInbox(l, err)
	}
}

func (e *engine) inboxRolledBack(l *link, why error) {
	shown := shownPosition(why)
	evidence, err := wire.Marshal(&Evidence{Relay: e.id.Relay, Queue: e.id.Inbox, Known: e.inbox.cursor, Shown: shown})
	if err != nil {
		return
	}
	e.log.Warn("the relay's log of the inbox went back")
	err = e.update(func(tx *state.Tx) error {
		ev := Event{Kind: EventRollback, From: e.inbox.cursor.Seq, Detail: "the relay's log of the inbox went back", Evidence: evidence}
		e.inbox.cursor = relay.Position{}
		if err := e.saveInboxCursor(tx); err != nil {
			return err
		}
		if e.inbox.rolled {
			return nil // told once in this run
		}
		return e.emit(tx, ev)
	})
	e.inbox.rolled = true
	if err == nil {
		e.after(retryLongest, func() { e.inboxUp(l) }) // a relay that lies can go on lying
	}
}

func (e *engine) saveInboxCursor(tx *state.Tx) error {
	b, err := wire.Marshal(&e.inbox.cursor)
	if err != nil {
		return err
	}
	return tx.Put(bucketCursor, e.id.Inbox[:], b)
}

func (e *engine) inboxEvent(l *link, s *relayclient.Stream, ev relayclient.Event) {
	switch ev := ev.(type) {
	case relayclient.Delivery:
		e.inboxDeliver(l, s, ev.Entries)
	case relayclient.Gap:
		// Strangers' entries that were dropped are their senders' to repeat.
		e.inbox.cursor = ev.Position
		if e.update(e.saveInboxCursor) == nil {
			s.Ack(e.inbox.cursor.Seq)
		}
	case *relayclient.ChainBroken:
		e.inbox.stream = nil
		e.inboxRolledBack(l, ev)
	case relayclient.Detached:
		e.inbox.stream = nil
		e.after(retryLongest/4, func() { e.inboxUp(l) })
	}
}

// inboxDeliver keeps the invitations among the entries; answering them comes after the ack,
// from the store, so a crash in between loses none.
func (e *engine) inboxDeliver(l *link, s *relayclient.Stream, entries []relayclient.Entry) {
	for len(entries) > 0 {
		n, err := e.inboxDeliverSome(l, s, entries)
		if err != nil {
			return
		}
		entries = entries[n:]
	}
}

// inboxDeliverSome returns how many of the entries it has dealt with.
func (e *engine) inboxDeliverSome(l *link, s *relayclient.Stream, entries []relayclient.Entry) (int, error) {
	a, err := e.try(inboxTrial(e.id.Inbox), &e.inbox.reading, e.inbox.cursor, entries)
	if err != nil {
		return 0, err
	}
	entries = entries[:a.take]
	arrived := map[[32]byte]*invitation{}
	err = e.update(func(tx *state.Tx) error {
		for _, en := range entries {
			e.inbox.cursor = en.Position
			if a.poison {
				if err := e.emit(tx, Event{Kind: EventInvitationRefused, Detail: errPoison.Error()}); err != nil {
					return err
				}
				continue
			}
			v, err := openInvitation(e.id.contactSeed(), e.id.Inbox, en.Envelope)
			if err != nil {
				continue // anybody who has a KeyPackage can write here
			}
			b, err := wire.Marshal(v)
			if err != nil {
				return err
			}
			hash := envelopeHash(en.Envelope)
			arrived[hash] = v
			if err := tx.Put(bucketArrived, hash[:], b); err != nil {
				return err
			}
		}
		if err := a.over(tx, e.inbox.cursor); err != nil {
			return err
		}
		return e.saveInboxCursor(tx)
	})
	if err != nil {
		e.survived(a)
		return 0, err
	}
	l.brought(len(entries))
	s.Ack(e.inbox.cursor.Seq)
	for hash, v := range inOrderOfIDs(arrived) {
		e.join(hash, v)
	}
	return len(entries), nil
}
