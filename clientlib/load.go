package clientlib

import (
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
)

// load reads the store into memory. Everything that was under way is under way again, with
// the same bytes and ids.
func (e *engine) load(tx *state.Tx) (err error) {
	if e.id, err = getRecord[identity](tx, bucketMeta, identityKey); err != nil || e.id == nil {
		return err
	}
	if b, ok, err := tx.Get(bucketCursor, e.id.Inbox[:]); err != nil {
		return err
	} else if ok {
		if err := wire.Unmarshal(b, &e.inbox.cursor); err != nil {
			return fmt.Errorf("%w: inbox cursor: %w", state.ErrCorrupt, err)
		}
	}
	for _, read := range []func(*state.Tx) error{e.loadConversations, e.loadGroups, e.loadWork} {
		if err := read(tx); err != nil {
			return err
		}
	}
	return nil
}

// each decodes every record of a bucket.
func each[T any](tx *state.Tx, bucket string, fn func(key []byte, v *T) error) error {
	for kv, err := range tx.Scan(bucket, nil) {
		if err != nil {
			return err
		}
		v, err := decodeRecord[T](bucket, kv.Value)
		if err != nil {
			return err
		}
		if err := fn(slices.Clone(kv.Key), v); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) loadConversations(tx *state.Tx) error {
	return each(tx, bucketConv, func(key []byte, v *convRecord) error {
		e.convs[ConversationID(key)] = v
		return nil
	})
}

func (e *engine) loadGroups(tx *state.Tx) error {
	return each(tx, bucketGroup, func(key []byte, v *groupRecord) error {
		g := &group{id: groupID(key), rec: *v}
		if g.rec.State != groupRemoved { // of a group that was left only the record is kept
			if err := g.loadMLS(tx, e.groupRules); err != nil {
				return err
			}
		}
		e.groups[g.id] = g
		return nil
	})
}

func (g *group) loadMLS(tx *state.Tx, rules mls.Application) error {
	records, err := storedMLS(tx, g.id)
	if err != nil {
		return err
	}
	cursor, ok, err := tx.Get(bucketCursor, g.id[:])
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%w: group without its cursor", state.ErrCorrupt)
	}
	if g.mls, err = mls.LoadGroup(records, rules); err != nil {
		return fmt.Errorf("%w: MLS state: %w", state.ErrCorrupt, err)
	}
	if err := wire.Unmarshal(cursor, &g.cursor); err != nil {
		return fmt.Errorf("%w: cursor: %w", state.ErrCorrupt, err)
	}
	if g.pend, err = getRecord[pendingCommit](tx, bucketPending, g.id[:]); err != nil {
		return err
	}
	if err := g.loadKept(tx); err != nil {
		return err
	}
	return g.renewEpoch()
}

// loadWork reads what waits for the network.
func (e *engine) loadWork(tx *state.Tx) error {
	err := each(tx, bucketOutbox, func(key []byte, v *outRow) error {
		e.rows = append(e.rows, &row{id: counterOf(key), rec: *v})
		return nil
	})
	if err != nil {
		return err
	}
	err = each(tx, bucketChange, func(key []byte, v *change) error {
		e.changes = append(e.changes, &pendingChange{id: counterOf(key), rec: *v})
		return nil
	})
	if err != nil {
		return err
	}
	err = each(tx, bucketInvite, func(key []byte, v *inviteRow) error {
		id := counterOf(key)
		e.invites[id] = &inviteJob{id: id, rec: *v}
		return nil
	})
	if err != nil {
		return err
	}
	err = each(tx, bucketConfigure, func(key []byte, v *configureRow) error {
		id := counterOf(key)
		e.configure[id] = &configureJob{id: id, rec: *v}
		return nil
	})
	if err != nil {
		return err
	}
	return e.loadKnocks(tx)
}
