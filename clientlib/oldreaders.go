package clientlib

import (
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/relay"
)

// removeReaders has an admin's client take readers out of the queue whose members are gone.
func (e *engine) removeReaders(tx *state.Tx, g *group, readers []relay.PublicKey, d *delivery) error {
	if !g.policy.isAdmin(e.id.Account) {
		return nil
	}
	for _, reader := range readers {
		row := configureRow{Group: g.id, ID: newIdempotencyID(), RemoveReader: &reader}
		if err := e.queueConfigure(tx, row, d); err != nil {
			return err
		}
	}
	return nil
}

// removeOldReaders removes again, after a loss, the readers of those who were removed or replaced by
// commits that the log still has: a reader is removed a moment after its commit, and what the relay
// went back to may lie in between. Those of commits that come again are removed when they do: if
// another commit takes their place the member is still one.
func (e *engine) removeOldReaders(tx *state.Tx, g *group, d *delivery) error {
	if g.rec.Loss != lossKnown {
		return nil // it is not known yet which commits the log has
	}
	for _, k := range g.kept {
		if k.Epoch >= g.rec.Owed {
			break
		}
		if err := e.removeReaders(tx, g, k.Removed, d); err != nil {
			return err
		}
	}
	if g.owes() {
		return nil
	}
	for _, m := range g.mls.Members() {
		keys, err := getRecord[leafKeys](tx, bucketReader, leafKey(g.id, m.Leaf))
		if err != nil {
			return err
		}
		if keys == nil || !keys.Claimed {
			continue // it may need the one that it had
		}
		if err := e.retireReader(tx, g, m, keys, d); err != nil {
			return err
		}
	}
	return nil
}
