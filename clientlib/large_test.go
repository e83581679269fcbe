package clientlib

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
)

// TestQ08_ThousandMembers: a group grows to a thousand by commits of a hundred, each too large
// for its envelope, as is the first commit with a path. They travel as blobs; a member that was
// there, one that was offline, and one that joined late follow them all.
func TestQ08_ThousandMembers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a thousand key packages take a while under the race detector")
	}
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob)
	bob.close()
	members := alice.crowd(997)
	alice.must(alice.AddMembers(alice.ctx(), id, members...))
	alice.until("all are added", func() bool { return alice.members(id) == 999 })
	members = []keyserver.AccountID{need[keyserver.AccountID](t)(alice.Find(alice.ctx(), "carol"))}
	alice.must(alice.AddMembers(alice.ctx(), id, members...))
	carol.awaitKind(EventJoined, 1)
	before, _ := alice.epoch(id)
	alice.must(alice.RenewKeys(alice.ctx(), id))
	alice.until("the path commit", func() bool { now, _ := alice.epoch(id); return now > before })
	alice.say(id, "to a thousand")
	carol.awaitText("to a thousand")
	bob.open()
	bob.awaitText("to a thousand")
	bob.say(id, "from one of them")
	carol.awaitText("from one of them")
	stored := carol.mlsRows(id)
	bob.say(id, "from the same")
	carol.awaitText("from the same")
	if n := changedBytes(stored, carol.mlsRows(id)); n == 0 || n > 2048 {
		t.Errorf("a message among a thousand changes %d bytes of the stored MLS state", n)
	}
	if n := alice.blobCommits(id); n < 11 {
		t.Errorf("%d commits travelled as blobs, want ten additions and the path at least", n)
	}
}

// mlsRows is what is stored of the conversation's MLS state.
func (u *user) mlsRows(id ConversationID) map[string]string {
	u.t.Helper()
	rows := map[string]string{}
	u.must(u.eng.call(u.ctx(), func() error {
		return u.db.View(u.ctx(), func(tx *state.Tx) error {
			records, err := storedMLS(tx, u.eng.primary(id).id)
			for _, r := range records {
				rows[r.Key] = string(r.Value)
			}
			return err
		})
	}))
	return rows
}

// changedBytes counts the keys and values of rows that came, went or changed.
func changedBytes(before, after map[string]string) (n int) {
	for key, value := range after {
		if old, ok := before[key]; !ok || old != value {
			n += len(key) + len(value)
		}
	}
	for key := range before {
		if _, ok := after[key]; !ok {
			n += len(key)
		}
	}
	return n
}

// crowd registers accounts whose devices never come online, with a KeyPackage each.
func (u *user) crowd(n int) []keyserver.AccountID {
	u.t.Helper()
	accounts := make([]keyserver.AccountID, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			d := newTestDevice(u.t)
			card := d.card(u.t, fmt.Sprintf("member%d", i))
			if _, err := u.eng.keys.Register(u.ctx(), d.key, card.Handle, d.chain[0]); err != nil {
				u.t.Error(err)
				return
			}
			stock, err := u.eng.keys.Stock(u.ctx(), d.key, d.account, bestSuite)
			if err == nil {
				_, err = u.eng.keys.Upload(u.ctx(), d.key, d.account, bestSuite, stock.Incarnation, nil, card.KeyPackage)
			}
			if err == nil {
				accounts[i], err = u.AddCard(u.ctx(), card)
			}
			if err != nil {
				u.t.Error(err)
			}
		})
		if i%16 == 15 {
			wg.Wait()
		}
	}
	wg.Wait()
	return accounts
}

// members counts the leaves of a conversation's group.
func (u *user) members(id ConversationID) (n int) {
	u.t.Helper()
	u.must(u.eng.call(u.ctx(), func() error {
		n = len(u.eng.primary(id).mls.Members())
		return nil
	}))
	return n
}

// blobCommits counts the blobs that this user's commits have needed.
func (u *user) blobCommits(id ConversationID) (n int) {
	u.t.Helper()
	u.must(u.eng.call(u.ctx(), func() error { n = u.eng.primary(id).stored; return nil }))
	return n
}
