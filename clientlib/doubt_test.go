package clientlib

import (
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
)

// TestQ06_DoubtOutlivesARestart: a program ends while it does not know whether it is behind. Opened
// again it finds out, and says what waits.
func TestQ06_DoubtOutlivesARestart(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.quick("alice"), s.quick("bob")
	var id ConversationID
	group8(&id, alice, bob)
	reach(id, "before", alice, bob)
	for _, u := range []*user{alice, bob} {
		u.quiet()
		u.must(u.eng.call(u.ctx(), func() error {
			g := u.eng.primary(id)
			g.rec.Loss, g.rec.LostAt, g.rec.Doubt = lossUnsure, time.Now().Add(-time.Hour).UnixMilli(), time.Now().UnixMilli()
			return u.eng.update(func(tx *state.Tx) error { return g.saveRecord(tx) })
		}))
	}
	alice.reopen()
	bob.reopen()
	reach(id, "again", alice, bob)
}
