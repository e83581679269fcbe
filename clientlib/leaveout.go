package clientlib

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
)

// leaveOut takes out of a change the accounts that no commit can add, each with an event that
// names it, and returns the others' devices; false if it is nobody's fault, or everybody's. A
// KeyPackage can pass every check and still not fit the group: it lacks what the group requires, or
// has a key of another member's. One invitee must not keep the others out by that.
func (e *engine) leaveOut(g *group, c *pendingChange, adds []addition) ([]addition, bool) {
	if c.rec.Kind != changeAdd {
		return nil, false
	}
	good, bad := e.sortOut(g, c, nil, slices.Clone(c.rec.Accounts), adds)
	if len(bad) == 0 {
		return nil, false
	}
	err := e.update(func(tx *state.Tx) error {
		for account, why := range bad {
			ev := Event{Kind: EventFailed, Conversation: g.rec.Conversation, Account: account, Detail: why.Error()}
			if err := e.emit(tx, ev); err != nil {
				return err
			}
		}
		if c.rec.Accounts = good; len(good) == 0 {
			return e.finishChange(tx, c.id)
		}
		return putRecord(tx, bucketChange, counterKey(c.id), c.rec)
	})
	return of(adds, good), err == nil
}

// sortOut tells which of some more accounts can be added together with those that were found
// good, by halves: most often all can but one. Of two that exclude each other the first one stays.
func (e *engine) sortOut(g *group, c *pendingChange, good, more []keyserver.AccountID, adds []addition) ([]keyserver.AccountID, map[keyserver.AccountID]error) {
	both := slices.Concat(good, more)
	err := e.fits(g, c, of(adds, both))
	switch {
	case err == nil:
		return both, nil
	case len(more) <= 1:
		bad := map[keyserver.AccountID]error{}
		for _, account := range more {
			bad[account] = err
		}
		return good, bad
	}
	good, bad := e.sortOut(g, c, good, more[:len(more)/2], adds)
	good, worse := e.sortOut(g, c, good, more[len(more)/2:], adds)
	if bad == nil {
		bad = map[keyserver.AccountID]error{}
	}
	maps.Copy(bad, worse)
	return good, bad
}

// fits tries a commit on a copy of the group, so that it uses up no key.
func (e *engine) fits(g *group, c *pendingChange, adds []addition) error {
	params, _, err := e.commitParams(g, c, adds)
	if err != nil || params == nil {
		return err
	}
	if _, err := g.mls.Clone().Commit(*params); err != nil {
		return fmt.Errorf("adding a member: %w", err)
	}
	return nil
}

// of are the devices of some accounts.
func of(adds []addition, accounts []keyserver.AccountID) []addition {
	return slices.DeleteFunc(slices.Clone(adds), func(a addition) bool { return !slices.Contains(accounts, a.account) })
}
