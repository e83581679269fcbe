package clientlib

import (
	"errors"
	"time"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/clientlib/history"
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// message processes a MESSAGE entry. It counts only in the epoch in force at its position,
// which is the only one whose keys are here.
func (e *engine) message(tx *state.Tx, g *group, en *relayclient.Entry, d *delivery) error {
	own, err := e.ownRow(tx, g, envelopeHash(en.Envelope))
	if err != nil {
		return err
	}
	if own != nil {
		return e.readBack(tx, g, own, en.Position, d)
	}
	sealed, err := g.keys.open(relay.KindMessage, en.Envelope)
	if err != nil {
		g.skipped++
		return e.tooLate(tx, g, en)
	}
	before := g.mls.Clone()
	received, err := g.mls.Process(sealed)
	if errors.Is(err, mls.ErrOwnMessage) {
		return e.unsafe(tx, g)
	}
	if err != nil {
		g.skipped++
		return nil
	}
	moved := d.moved
	d.moved = true
	app, ok := received.(*mls.ApplicationMessage)
	if !ok {
		// Sealpost's members change a group by commits alone. A proposal that waited here
		// would hold up sending (RFC 9420 section 12.4), so all of them forget it.
		g.mls.DropProposals()
		g.skipped++
		return nil
	}
	var again bool
	if app.Sender == g.mls.OwnLeaf() {
		again, err = e.ownAgain(tx, g, en.Position, app, d)
	} else {
		again, err = e.application(tx, g, en, app, d)
	}
	if again {
		// MLS does not sign the generation, so a member can encrypt what another said before
		// under that one's next key. Taking the key for used would lose the next message.
		g.mls, d.moved = before, moved
		g.skipped++
	}
	return err
}

// ownAgain handles what this device said and a member has encrypted again. If it is in the log
// before what was sent, the others have the message with it, and its key is used up for them; what
// was sent is a repetition then. Otherwise it is one itself, as for the others.
func (e *engine) ownAgain(tx *state.Tx, g *group, at relay.Position, app *mls.ApplicationMessage, d *delivery) (again bool, err error) {
	p := new(payload)
	if wire.Unmarshal(app.Data, p) != nil {
		return true, nil
	}
	for _, r := range e.rows {
		if r.rec.Group == g.id && r.rec.Kind == p.Kind && r.rec.ID == p.ID && len(r.rec.Envelope) > 0 {
			return false, e.readBack(tx, g, r, at, d)
		}
	}
	return true, nil
}

// application handles what a member said. A body that does not parse is the sender's fault
// and is skipped; the ratchet has moved all the same.
// It reports whether the message is one that is here already.
func (e *engine) application(tx *state.Tx, g *group, en *relayclient.Entry, app *mls.ApplicationMessage, d *delivery) (again bool, err error) {
	from, ok := g.member(app.Sender)
	if g.opened() {
		if err := g.saveRecord(tx); err != nil {
			return false, err
		}
	}
	p := new(payload)
	if !ok || wire.Unmarshal(app.Data, p) != nil {
		g.skipped++
		return false, nil
	}
	ev := Event{Conversation: g.rec.Conversation, Account: from.Account, Device: from.Device, Message: p.ID}
	if err := e.checkSeen(tx, g, app.Sender, en, p.Seen, ev); err != nil {
		return false, err
	}
	switch p.Kind {
	case payloadContent:
		if g.unfounded() {
			return e.hold(tx, g, en.Position, p, ev)
		}
		return e.receive(tx, g, en.Position, p, ev)
	case payloadJoined:
		return e.memberJoined(tx, g, app.Sender, from, p.Body, d)
	case payloadRoll:
		return false, e.answerRoll(tx, g, d)
	}
	g.skipped++ // a kind of a later version
	return false, nil
}

// receive puts a message into the history and tells the app, unless it has it already.
func (e *engine) receive(tx *state.Tx, g *group, at relay.Position, p *payload, ev Event) (again bool, err error) {
	m, err := content.Decode(p.Body)
	if err != nil {
		g.skipped++
		return false, nil
	}
	id, err := m.ID(senderURI(ev.Account), e.roomURI(g))
	if err != nil || id != p.ID {
		g.skipped++ // the id must be the content's own, or members could disagree on what a reply answers
		return false, nil
	}
	inserted, err := history.Insert(tx, history.Entry{
		Conversation: g.rec.Conversation, MessageID: [32]byte(p.ID), Sender: ev.Account[:], Device: ev.Device[:],
		Group: g.id, Position: at.Seq, ReceivedAt: time.Now(), Status: history.Received,
		Body: p.Body, Text: m.PlainText(),
	})
	if err != nil || !inserted {
		return err == nil, err
	}
	ev.Kind, ev.Body = EventMessage, p.Body
	return false, e.emit(tx, ev)
}

// memberJoined notes the keys that a member says are its own at the relay. It reports whether
// they are known already.
func (e *engine) memberJoined(tx *state.Tx, g *group, leaf mls.LeafIndex, from *keyserver.Credential, body []byte, d *delivery) (again bool, err error) {
	j := new(joined)
	if wire.Unmarshal(body, j) != nil || !j.verify(g.rec.Queue, from.Device) {
		g.skipped++
		return false, nil
	}
	keys := leafKeys{Reader: j.Reader, Admin: j.Admin, Claimed: true}
	old, err := getRecord[leafKeys](tx, bucketReader, leafKey(g.id, leaf))
	if err != nil || old != nil && *old == keys {
		return err == nil, err
	}
	if err := putRecord(tx, bucketReader, leafKey(g.id, leaf), keys); err != nil {
		return false, err
	}
	if err := e.inviteAnswered(tx, g, from.Device, d); err != nil {
		return false, err
	}
	if member, ok := g.mls.Member(leaf); ok && (old == nil || !old.Claimed) {
		if err := e.retireReader(tx, g, member, &keys, d); err != nil {
			return false, err
		}
	}
	if err := e.come(tx, g, d); err != nil {
		return false, err
	}
	return false, e.grantAdmins(tx, g, d)
}

// grantAdmins gives the other one of a conversation of two an admin key too; its founder does.
func (e *engine) grantAdmins(tx *state.Tx, g *group, d *delivery) error {
	if g.policy.Kind != Direct || len(g.rec.Ticket) > 0 {
		return nil
	}
	admins := []relay.PublicKey{publicKey(e.id.Secret.adminKey(g.rec.Queue))}
	for kv, err := range tx.Scan(bucketReader, g.id[:]) {
		if err != nil {
			return err
		}
		known, err := decodeRecord[leafKeys](bucketReader, kv.Value)
		if err != nil {
			return err
		}
		if known.Claimed && len(admins) < maxAdmins {
			admins = append(admins, known.Admin)
		}
	}
	if len(admins) == 1 {
		return nil
	}
	return e.queueConfigure(tx, configureRow{Group: g.id, ID: newIdempotencyID(), Admins: admins}, d)
}
