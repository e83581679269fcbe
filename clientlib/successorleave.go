package clientlib

import (
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/relay"
)

// awaitsOthers tells for how long a member that is shut out still waits for successors that others have
// announced: more of them only keep those who come back from agreeing on one.
func (e *engine) awaitsOthers(g *group) (wait time.Duration) {
	s := g.rec.Stuck
	if g.rec.State != groupStuck || s == nil {
		return 0
	}
	_ = e.db.View(e.ctx, func(tx *state.Tx) error {
		list, err := e.announcements(tx, g)
		if err != nil {
			return err
		}
		for _, a := range list {
			if r, err := e.rosterAt(tx, g, a.commit); err != nil || r == nil || r.ByAccount != s.By.Account {
				continue
			}
			patience := 3 * e.votePatience()
			if g.rec.Closed { // nobody answers knocks
				patience = 2 * e.votePatience()
			}
			wait = time.Until(time.Unix(s.Since, 0).Add(patience))
		}
		return nil
	})
	return max(0, wait)
}

// leavePause is how long a member that can follow the old group waits for its invitation to the
// successor of which it has read the votes.
const leavePause = 24 * time.Hour

// leaving reports whether a group that can be followed has a successor, to which this device has yet
// to be invited: it reads on, and says nothing that those who have gone would not hear.
func (g *group) leaving() bool { return g.live() && g.rec.Successor != groupID{} }

// stay ends leaving for a successor that nobody has invited this device to: one that is only talked
// of must not end a conversation that goes on.
func (e *engine) stay(g *group) {
	if since := e.now() - g.rec.LeftAt; !g.leaving() || since >= 0 && since < int64(leavePause/time.Second) {
		return
	}
	g.rec.Successor, g.rec.Complaint, g.rec.LeftAt = groupID{}, relay.Hash{}, 0
	if e.update(g.saveRecord) == nil {
		e.advance(g)
	}
}

// founded notes that a group has a successor. If this device is in it, it goes on there; else its
// invitation is on the way. Who is shut out goes on knocking, and whoever is in it answers; who
// is not waits for a day.
func (e *engine) founded(tx *state.Tx, g *group, successor groupID, commit relay.Hash, d *delivery) error {
	g.rec.Successor, g.rec.Complaint = successor, commit
	if s := e.groups[successor]; s != nil && s.rec.Succeeds == g.id && s.rec.State != groupRemoved {
		return e.succeed(tx, g, s, d)
	}
	if !g.live() {
		return g.saveRecord(tx)
	}
	g.rec.LeftAt = e.now()
	if err := g.saveRecord(tx); err != nil {
		return err
	}
	for _, c := range e.changesOf(g.id) { // they are answered in the successor
		if c.rec.Kind == changeReplace {
			if err := e.finishChange(tx, c.id); err != nil {
				return err
			}
		}
	}
	return e.emit(tx, Event{
		Kind: EventCannotFollow, Conversation: g.rec.Conversation, From: g.cursor.Seq,
		Detail: "the conversation goes on in a group without the member who broke it; its invitation is on the way",
	})
}
