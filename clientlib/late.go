package clientlib

import (
	"slices"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
)

// Who is removed from a successor still stands in the frozen tree of the group before it, is a reader
// of that one's queue, and has its knock secrets: its knocks there are those of a member who comes late.
// So each member of a successor remembers whom it has seen removed.

func goneKey(id groupID, account keyserver.AccountID) []byte { return append(id[:], account[:]...) }

// left notes that an account has no device in a successor any more.
func (e *engine) left(tx *state.Tx, s *group, account keyserver.AccountID) error {
	if s.rec.Succeeds == (groupID{}) || slices.Contains(s.accounts(), account) {
		return nil
	}
	return tx.Put(bucketGone, goneKey(s.id, account), []byte{1})
}

// entered forgets that an account was removed: a member has asked it back.
func (e *engine) entered(tx *state.Tx, s *group, account keyserver.AccountID) error {
	if s.rec.Succeeds == (groupID{}) {
		return nil
	}
	return tx.Delete(bucketGone, goneKey(s.id, account))
}

// lateOf lists who of some accounts may be added to a successor without anybody's asking. Nobody may
// where this device was away for a while: it has not seen whom others removed.
func (e *engine) lateOf(tx *state.Tx, s *group, accounts []keyserver.AccountID) (late []keyserver.AccountID, err error) {
	if s.rec.Returned {
		return nil, nil
	}
	in := s.accounts()
	for _, a := range accounts {
		_, gone, err := tx.Get(bucketGone, goneKey(s.id, a))
		if err != nil {
			return nil, err
		}
		if !gone && !slices.Contains(in, a) {
			late = append(late, a)
		}
	}
	return late, nil
}

// stillLate takes out of a change who has come or was removed since it was made, and reports whether
// anybody is left.
func (e *engine) stillLate(s *group, c *pendingChange) bool {
	if !c.rec.Late {
		return true
	}
	err := e.update(func(tx *state.Tx) error {
		late, err := e.lateOf(tx, s, c.rec.Accounts)
		if err != nil || len(late) == len(c.rec.Accounts) {
			return err
		}
		if c.rec.Accounts = late; len(late) == 0 {
			return e.finishChange(tx, c.id)
		}
		return putRecord(tx, bucketChange, counterKey(c.id), c.rec)
	})
	if err == nil && len(c.rec.Accounts) == 0 {
		e.advance(s) // there may be something else to do
		return false
	}
	return err == nil
}
