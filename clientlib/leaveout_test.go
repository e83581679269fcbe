package clientlib

import (
	"testing"

	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
)

// misfit registers an account whose KeyPackage is good, and fits no group of this client.
func (u *user) misfit(handle string) keyserver.AccountID {
	u.t.Helper()
	d := newTestDevice(u.t)
	kp, _ := d.keyPackage(u.t, func(c *mls.KeyPackageConfig) { c.SupportedExtensions = []mls.ExtensionType{extensionContact} })
	_, err := u.eng.keys.Register(u.ctx(), d.key, handle, d.chain[0])
	u.must(err)
	stock := need[*keyserver.StockReply](u.t)(u.eng.keys.Stock(u.ctx(), d.key, d.account, bestSuite))
	_, err = u.eng.keys.Upload(u.ctx(), d.key, d.account, bestSuite, stock.Incarnation, nil, kp.Bytes())
	u.must(err)
	return need[keyserver.AccountID](u.t)(u.Find(u.ctx(), handle))
}

// TestMisfitsKeepNobodyOut: accounts whose KeyPackages pass every check and can be added by no
// commit are left out, each by name, and all others are added.
func TestMisfitsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	b, c := need[keyserver.AccountID](t)(alice.Find(alice.ctx(), "bob")), need[keyserver.AccountID](t)(alice.Find(alice.ctx(), "carol"))
	one, two := alice.misfit("mallory"), alice.misfit("mallet")
	id := need[ConversationID](t)(alice.CreateGroup(alice.ctx(), "group", one, b, two, c))
	bob.awaitKind(EventJoined, 1)
	carol.awaitKind(EventJoined, 1)
	alice.quiet()
	alice.awaitKind(EventFailed, 2)
	blamed := map[keyserver.AccountID]int{}
	alice.mu.Lock()
	for _, ev := range alice.events {
		if ev.Kind == EventFailed && ev.Conversation == id {
			blamed[ev.Account]++
		}
	}
	alice.mu.Unlock()
	if len(blamed) != 2 || blamed[one] != 1 || blamed[two] != 1 {
		t.Errorf("%d accounts are blamed, want the two that do not fit, once each", len(blamed))
	}
	if n := alice.members(id); n != 3 {
		t.Errorf("%d members, want alice, bob and carol", n)
	}
	alone := need[ConversationID](t)(alice.StartDirect(alice.ctx(), one))
	alice.awaitKind(EventFailed, 3)
	alice.quiet()
	if n := alice.members(alone); n != 1 {
		t.Errorf("%d members, want alice alone", n)
	}
}
