package clientlib

import (
	"context"
	"iter"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
)

// EventKind says what happened.
type EventKind uint8

// Kinds of event. The numbers are stored.
const (
	// EventMessage: a message arrived; Content has it, Account sent it.
	EventMessage EventKind = 1
	// EventSent: the relay has the message Message on disk.
	EventSent EventKind = 2
	// EventJoined: this device is now in the conversation; Account invited it, as far as known.
	EventJoined EventKind = 3
	// EventMemberAdded and EventMemberRemoved: a device of Account came or went at the
	// position From of the log. It reads what stands behind the one, and before the other.
	EventMemberAdded   EventKind = 4
	EventMemberRemoved EventKind = 5
	// EventRemoved: this device was removed; the history stays.
	EventRemoved EventKind = 6
	// EventGap: the entries From to To of the conversation's log are missing, or passed over since
	// the program ended three times at one; Detail says why. Proof tells the positions on both sides.
	EventGap EventKind = 7
	// EventForkSuspected: Account has seen another log than this device, or says so; Proof has the
	// two positions and the message. The relay lies to one of the two, or Account does.
	EventForkSuspected EventKind = 8
	// EventRollback: the relay's log went back behind what this device had processed, or
	// breaks its own chain; Proof has the two positions.
	EventRollback EventKind = 9
	// EventCannotFollow: a commit counts that this device cannot open: it hears nothing
	// until a member replaces it, which it has asked for. Or the relay withholds a large commit, as Detail says: then
	// until it gives it.
	EventCannotFollow EventKind = 10
	// EventFailed: a message (Message set) or a change of members was given up; Detail says why.
	EventFailed EventKind = 11
	// EventUnsafeStore: see ErrUnsafeStore.
	EventUnsafeStore EventKind = 12
	// EventInvitationRefused: an invitation did not verify; Detail says why.
	EventInvitationRefused EventKind = 13
	// EventSuspiciousDevice: a member's device is not in its account's chain.
	EventSuspiciousDevice EventKind = 14
	// EventReplaced: a device of Account that could not follow the conversation any more has new
	// keys in it, by a commit at the position From, and reads what stands behind it. For this
	// device itself it ends EventCannotFollow; an EventGap after it tells what it missed. ByAccount
	// and ByDevice made the commit: the one who replaces a device again and again, and each time the
	// device cannot follow, keeps it away.
	EventReplaced EventKind = 15
	// EventSucceeded: a member shut most of the others out of the group, or its queue was closed, and
	// they have agreed to go on without it: the conversation is the same, its group and queue are new. From is the entry of
	// the old log that decided it.
	EventSucceeded EventKind = 16
	// EventNotRenewed: this device has been connected for a day, and its new keys do not get into
	// the conversation's log: somebody may be keeping it at keys that he has.
	EventNotRenewed EventKind = 20
	// EventFlooded: many entries of the conversation's log open for nobody. If Device is set, they are
	// that device's, by what the relay says: RemoveMember ends it. Otherwise this device is an
	// admin's, and has told the relay to name senders; or removed a reader that is no member's.
	EventFlooded EventKind = 21
	// EventSuspended: the relay's operator has stopped the conversation's queue: nothing of it is read or
	// written until he lets it go on, which is waited for. Members who want to talk on found another
	// conversation, over another relay. It comes once for each time that it is noticed.
	EventSuspended EventKind = 22
	// EventClosed: an admin has closed the conversation's queue by the entry From, which Proof has.
	// Account is whose key did, where that is proven. The members of a group go on without him, which
	// EventSucceeded tells; a conversation of two is over, and StartDirect begins another. To end a
	// group on purpose its admin removes the others.
	EventClosed EventKind = 23
)

var eventNames = map[EventKind]string{
	EventMessage: "message", EventSent: "sent", EventJoined: "joined", EventMemberAdded: "member added",
	EventMemberRemoved: "member removed", EventRemoved: "removed from the conversation", EventGap: "gap",
	EventForkSuspected: "fork suspected", EventRollback: "rollback", EventCannotFollow: "cannot follow a commit",
	EventFailed: "failed", EventUnsafeStore: "unsafe store", EventInvitationRefused: "invitation refused",
	EventSuspiciousDevice: "suspicious device", EventReplaced: "device replaced", EventNotRenewed: "keys not renewed", EventFlooded: "flooded",
	EventSuspended: "suspended by the operator", EventClosed: "closed by an admin",
	EventSucceeded: "the conversation goes on in another group",
}

// String names the kind in words.
func (k EventKind) String() string { return eventNames[k] }

// An Event tells the app what happened, once for each until it is confirmed.
type Event struct {
	ID           uint64              `cbor:"-"`
	Kind         EventKind           `cbor:"1,keyasint"`
	Conversation ConversationID      `cbor:"2,keyasint"`
	Account      keyserver.AccountID `cbor:"3,keyasint"`
	Device       keyserver.DeviceID  `cbor:"4,keyasint"`
	Message      MessageID           `cbor:"5,keyasint"`
	Body         []byte              `cbor:"6,keyasint,omitempty"` // application/mimi-content
	From         uint64              `cbor:"7,keyasint,omitempty"`
	To           uint64              `cbor:"8,keyasint,omitempty"`
	Detail       string              `cbor:"9,keyasint,omitempty"`
	Evidence     []byte              `cbor:"10,keyasint,omitempty"` // to keep and pass on; Proof decodes it
	ByAccount    keyserver.AccountID `cbor:"11,keyasint"`           // of an EventReplaced: whose commit that was; zero if this device has not read it
	ByDevice     keyserver.DeviceID  `cbor:"12,keyasint"`
}

// Content decodes the message of an EventMessage.
func (e Event) Content() (*content.Message, error) { return content.Decode(e.Body) }

// emit stores an event in the transaction of what caused it, unless it is of a conversation that
// the app has not been told of: that of a successor before it is founded.
func (e *engine) emit(tx *state.Tx, ev Event) error {
	if ev.Conversation != (ConversationID{}) && e.convs[ev.Conversation] == nil {
		return nil
	}
	id, err := tx.NextID(bucketEvent)
	if err != nil {
		return err
	}
	e.fresh = true
	return putRecord(tx, bucketEvent, counterKey(id), ev)
}

// Events yields the events that are not confirmed yet, oldest first, then waits for more,
// until ctx ends, the client is closed, or its store fails: then it yields that error, last.
// Several iterators each see every event.
func (c *Client) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		var last uint64
		for {
			more := c.eng.moreEvents()
			batch, err := c.readEvents(ctx, last)
			if err != nil {
				yield(Event{}, err)
				return
			}
			for _, ev := range batch {
				if !yield(ev, nil) {
					return
				}
				last = ev.ID
			}
			if len(batch) > 0 {
				continue
			}
			select {
			case <-more:
			case <-ctx.Done():
				yield(Event{}, ctx.Err())
				return
			case <-c.eng.done:
				yield(Event{}, c.eng.reason())
				return
			}
		}
	}
}

// eventBatch bounds how many events one read holds in memory.
const eventBatch = 256

func (c *Client) readEvents(ctx context.Context, after uint64) ([]Event, error) {
	var out []Event
	err := c.db.View(ctx, func(tx *state.Tx) error {
		for kv, err := range tx.ScanFrom(bucketEvent, counterKey(after+1)) {
			if err != nil {
				return err
			}
			var ev Event
			if err := recordMode.Unmarshal(kv.Value, &ev); err != nil {
				return err
			}
			ev.ID = counterOf(kv.Key)
			if out = append(out, ev); len(out) == eventBatch {
				return nil
			}
		}
		return nil
	})
	return out, err
}

// Confirm says that the app has dealt with an event and all before it: they do not come again.
func (c *Client) Confirm(ctx context.Context, id uint64) error {
	return c.db.Update(ctx, func(tx *state.Tx) error {
		var done [][]byte
		for kv, err := range tx.Scan(bucketEvent, nil) {
			if err != nil {
				return err
			}
			if counterOf(kv.Key) > id {
				break
			}
			done = append(done, kv.Key)
		}
		for _, key := range done {
			if err := tx.Delete(bucketEvent, key); err != nil {
				return err
			}
		}
		return nil
	})
}
