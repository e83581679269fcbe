package clientlib

import (
	"slices"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// Whoever has an admin key of a group's queue can close it. That ends the queue, not the group: its
// members go on in a successor, as they do without an insider whose commit nobody could follow
// (DESIGN section 4, ATTACKS Q12). The CLOSED entry stands for the commit, and the closer for its author.

// closed processes a CLOSED entry. A conversation of two is over: the other one can begin a new one.
func (e *engine) closed(tx *state.Tx, g *group, en *relayclient.Entry) error {
	r := g.closedBy(en.Envelope)
	ev := Event{Kind: EventClosed, Conversation: g.rec.Conversation, Account: r.ByAccount, From: en.Position.Seq}
	if g.policy.Kind == Group && r.ByAccount == (keyserver.AccountID{}) {
		ev.Detail = "by a key that is no member's, or by the relay"
	}
	if err := e.emitProof(tx, g, ev, en.Position, en.Position, en); err != nil {
		return err
	}
	if g.policy.Kind != Group || r.ByAccount == e.id.Account {
		return e.endGroup(tx, g, "the queue was closed")
	}
	commit := relay.Hash(envelopeHash(en.Envelope))
	if err := putRecord(tx, bucketRoster, rosterKey(g.id, commit), r); err != nil {
		return err
	}
	if g.leaving() { // and was not invited
		g.rec.Successor, g.rec.Complaint = groupID{}, relay.Hash{}
	}
	// Nothing counts behind it. What is not in the log by now goes out in the successor.
	g.rec.State, g.rec.Closed, g.pend, g.committing = groupStuck, true, nil, false
	g.rec.Stuck = &stuckAt{Seq: en.Position.Seq, Since: e.now(), Commit: commit, By: memberID{r.ByAccount, r.By}}
	if err := tx.Delete(bucketPending, g.id[:]); err != nil {
		return err
	}
	if err := e.takeBackRows(tx, g); err != nil {
		return err
	}
	return g.saveRecord(tx)
}

// closedBy says who closed the queue, and who has a vote on where the others go on. The keeper has
// none and founds nothing, whoever closed it: only he can have let another key do so. But he is left
// out only if his own key has signed, which nobody else can do; a relay that closes queues by itself
// parts nobody from the others.
func (g *group) closedBy(envelope []byte) *roster {
	r := g.rosterOf(&keyserver.Credential{})
	k := g.policy.Keeper
	if k == nil {
		return &r
	}
	r.By = k.Device
	at, err := relay.ParseAddress(g.rec.Relay)
	if err != nil {
		return &r
	}
	c, err := relay.ParseClosing(envelope)
	if err != nil || c.Key != k.Admin || c.Verify(at.Key, g.rec.Queue) != nil {
		return &r
	}
	if i := slices.Index(r.Members, k.Device); i >= 0 {
		r.ByAccount = r.Accounts[i]
	}
	return &r
}

// takeBackRows has what was sealed for a group wait until it is encrypted again. Where it stands, or
// comes to stand, this device cannot tell. Who has it knows it by its id.
func (e *engine) takeBackRows(tx *state.Tx, g *group) error {
	for _, r := range e.rows {
		if r.rec.Group == g.id && r.rec.State != rowQueued {
			if err := e.takeBack(tx, r); err != nil {
				return err
			}
		}
	}
	return nil
}
