package clientlib

import (
	"slices"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

// What is said in a group that says it succeeds another is nobody's conversation until that is
// founded: any member can make such a group, and be removed from the one before. So it is held. It
// cannot wait at the relay: who cannot count the votes learns from what stands behind it that the
// others have come, and its MLS keys are used up by looking at it.

// How much is held for one group; what comes then is told as a gap if the group is founded.
const (
	maxHeld      = 1024
	maxHeldBytes = 16 << 20
)

// heldMessage is a content message of a group that is not founded.
type heldMessage struct {
	At      relay.Position      `cbor:"1,keyasint"`
	Account keyserver.AccountID `cbor:"2,keyasint"`
	Device  keyserver.DeviceID  `cbor:"3,keyasint"`
	ID      MessageID           `cbor:"4,keyasint"`
	Body    []byte              `cbor:"5,keyasint"`
}

// unfounded reports whether a group says that it succeeds another, and has yet to. Nothing of it is
// shown to anybody: its conversation is one that the app has not been told of.
func (g *group) unfounded() bool { return g.rec.Succeeds != (groupID{}) && !g.rec.Founded }

// hold keeps a message until its group is founded. It reports whether it is held already.
func (e *engine) hold(tx *state.Tx, s *group, at relay.Position, p *payload, ev Event) (again bool, err error) {
	n, size := 0, 0
	for kv, err := range tx.Scan(bucketHeld, s.id[:]) {
		if err != nil {
			return false, err
		}
		m, err := decodeRecord[heldMessage](bucketHeld, kv.Value)
		if err != nil {
			return false, err
		}
		if m.ID == p.ID && m.Account == ev.Account && m.Device == ev.Device {
			return true, nil
		}
		n, size = n+1, size+len(m.Body)
	}
	if n >= maxHeld || size+len(p.Body) > maxHeldBytes {
		if s.rec.Unheld == 0 {
			s.rec.Unheld = at.Seq
		}
		return false, s.saveRecord(tx)
	}
	m := heldMessage{At: at, Account: ev.Account, Device: ev.Device, ID: p.ID, Body: p.Body}
	return false, putRecord(tx, bucketHeld, append(s.id[:], counterKey(at.Seq)...), m)
}

// release hands out what was held, now that the group is founded.
func (e *engine) release(tx *state.Tx, s *group) error {
	var held []*heldMessage
	for kv, err := range tx.Scan(bucketHeld, s.id[:]) {
		if err != nil {
			return err
		}
		m, err := decodeRecord[heldMessage](bucketHeld, kv.Value)
		if err != nil {
			return err
		}
		held = append(held, m)
	}
	for _, m := range held {
		ev := Event{Conversation: s.rec.Conversation, Account: m.Account, Device: m.Device, Message: m.ID}
		if _, err := e.receive(tx, s, m.At, &payload{Kind: payloadContent, ID: m.ID, Body: m.Body}, ev); err != nil {
			return err
		}
	}
	if err := clearBucket(tx, bucketHeld, s.id[:]); err != nil || s.rec.Unheld == 0 {
		return err
	}
	from := s.rec.Unheld
	s.rec.Unheld = 0
	return e.emit(tx, Event{
		Kind: EventGap, Conversation: s.rec.Conversation, From: from, To: s.cursor.Seq,
		Detail: "written in a successor before it was founded, and too much to keep",
	})
}

// tellCompany tells who is in a successor and was not in the group before it as this device knew
// that, and who was and is not. The first are looked up again: what came of it was not told before.
func (e *engine) tellCompany(tx *state.Tx, g, s *group, d *delivery) error {
	before, now := memberIDs(g.mls.Members()), memberIDs(s.mls.Members())
	tell := func(kind EventKind, from, missing []memberID) error {
		for _, m := range from {
			if slices.Contains(missing, m) {
				continue
			}
			if err := e.emit(tx, Event{Kind: kind, Conversation: s.rec.Conversation, Account: m.Account, Device: m.Device, From: s.cursor.Seq}); err != nil {
				return err
			}
			if kind != EventMemberAdded {
				continue
			}
			if err := e.verifyLater(tx, s, &keyserver.Credential{Account: m.Account, Device: m.Device}, d); err != nil {
				return err
			}
		}
		return nil
	}
	if err := tell(EventMemberAdded, now, before); err != nil {
		return err
	}
	return tell(EventMemberRemoved, before, now)
}
