package clientlib

import (
	"github.com/sealpost/sealpost/clientlib/internal/state"
)

// dropWork ends what waits for a group that this device has left, or comes back into: changes of its
// members, changes of its queue, invitations. What was wished of the group as it was then is not to
// come true in it later. An invitation that nobody has yet still goes out, once: whom it is for is a
// member, and nobody else can make another.
func (e *engine) dropWork(tx *state.Tx, id groupID) error {
	for _, c := range e.changesOf(id) {
		if err := e.finishChange(tx, c.id); err != nil {
			return err
		}
	}
	// Off the disk, not by what is in memory: the same delivery may have queued some.
	err := each(tx, bucketConfigure, func(key []byte, row *configureRow) error {
		if row.Group != id {
			return nil
		}
		delete(e.configure, counterOf(key))
		return tx.Delete(bucketConfigure, key)
	})
	if err != nil {
		return err
	}
	return each(tx, bucketInvite, func(key []byte, row *inviteRow) error {
		if row.Group != id || row.Sent == 0 {
			return nil
		}
		delete(e.invites, counterOf(key))
		return tx.Delete(bucketInvite, key)
	})
}

// changesOf lists the changes that wait for a group.
func (e *engine) changesOf(id groupID) (out []*pendingChange) {
	for _, c := range e.changes {
		if c.rec.Group == id {
			out = append(out, c)
		}
	}
	return out
}
