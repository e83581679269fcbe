package clientlib

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// deadly ends the goroutine that looks at a commit, or at a leaf of a group to join, of one
// account, as a panic there would: what is on disk by then is all that is left.
type deadly struct {
	validator
	account keyserver.AccountID
	commits bool   // else leaves
	during  func() // called before
	deaths  atomic.Int64
}

func (d *deadly) end(c mls.Credential) {
	if cred, err := parseCredential(c); err != nil || cred.Account != d.account {
		return
	}
	if d.during != nil {
		d.during()
	}
	d.deaths.Add(1)
	runtime.Goexit()
}

func (d *deadly) ValidateCredential(c mls.CredentialCheck) error {
	if !d.commits {
		d.end(c.Credential)
	}
	return d.validator.ValidateCredential(c)
}

func (d *deadly) ValidateCommit(c mls.CommitCheck) error {
	if d.commits {
		d.end(c.Sender.Credential)
	}
	return d.validator.ValidateCommit(c)
}

// outlives waits until the user has an event of a kind; false if its client ends before.
func (u *user) outlives(kind EventKind) bool {
	u.t.Helper()
	for {
		u.mu.Lock()
		news, n := u.news, u.count(u.events, kind)
		u.mu.Unlock()
		if n > 0 {
			return true
		}
		select {
		case <-news:
		case <-u.eng.done:
			u.eng.hangUp()
			u.close()
			return false
		case <-u.ctx().Done():
			u.t.Fatalf("%s neither ends nor goes on", u.name)
		}
	}
}

// trials counts what the user was looking at when its program ended.
func (u *user) trials() (n int) {
	u.t.Helper()
	u.must(u.db.View(u.ctx(), func(tx *state.Tx) error {
		for _, err := range tx.Scan(bucketTrial, nil) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	}))
	return n
}

// leave has the store of a user, who is closed, hold a trial.
func (u *user) leave(left trial, key []byte) {
	u.t.Helper()
	db := need[*state.DB](u.t)(state.Open(u.cfg.Path, u.cfg.Key))
	u.must(db.Update(u.ctx(), func(tx *state.Tx) error { return putRecord(tx, bucketTrial, key, left) }))
	u.must(db.Close())
}

// openUntilItGoesOn starts the user's program, which is not running, until it passes over what
// ends it.
func (u *user) openUntilItGoesOn(poison *deadly) {
	u.t.Helper()
	for ended := 0; ; ended++ {
		if ended > maxDeaths+1 { // once for all of the delivery, in which it is sought then
			u.t.Fatalf("%s's program has ended %d times", u.name, ended)
		}
		u.cfg.rules = &mls.Application{Credentials: poison}
		u.open()
		u.cfg.rules = nil
		if u.outlives(EventGap) {
			break
		}
	}
	if n := poison.deaths.Load(); n < maxDeaths {
		u.t.Errorf("passed over after %d deaths, want %d", n, maxDeaths)
	}
}

// shown counts the events of a kind; one that was not confirmed when the program ended comes again.
func (u *user) shown(kind EventKind) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	ids := map[uint64]bool{}
	for _, ev := range u.events {
		if ev.Kind == kind {
			ids[ev.ID] = true
		}
	}
	return len(ids)
}

// TestA25_CommitThatEndsTheProgram: a member's commit ends another's program at every start. After
// three times it is passed over, alone, and what stands before and behind it is read, once.
func TestA25_CommitThatEndsTheProgram(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	for _, u := range []*user{alice, bob, carol} {
		u.quiet()
	}
	d := carol.defect(id)
	carol.close()
	bob.close()
	want := []string{"one", "two"}
	for _, text := range want {
		alice.say(id, text)
	}
	alice.quiet()
	staged := need[*mls.StagedCommit](t)(d.mls.Commit(mls.CommitParams{Extensions: new([]mls.Extension), Now: time.Now()}))
	next := need[*epochKeys](t)(newEpochKeys(staged.Next(), d.last.Queue))
	d.commit(d.keys, staged.Message(), publicKey(next.writer.signer()))
	for i := range 100 {
		want = append(want, fmt.Sprint("behind it ", i))
		alice.say(id, want[len(want)-1])
	}
	alice.quiet()

	bob.openUntilItGoesOn(&deadly{account: carol.id, commits: true})
	bob.awaitText(want...)
	bob.say(id, "still here")
	alice.awaitText("still here")
	bob.quiet()
	if _, skipped := bob.logged(id); skipped != 1 {
		t.Errorf("bob passed over %d entries, want one", skipped)
	}
	bob.reopen()
	bob.quiet()
	if n := bob.shown(EventMessage); n != len(want) {
		t.Errorf("bob was shown %d messages of %d", n, len(want))
	}
	if got := bob.texts(id); !slices.Equal(got[:len(want)], want) {
		t.Errorf("bob has %q", got)
	}
	if n := bob.shown(EventGap); n != 1 {
		t.Errorf("bob was told of %d gaps", n)
	}
	bob.until("the end of all trials", func() bool { return bob.trials() == 0 })
}

// TestA25_CommitThatCounts: a commit that the others follow ends one member's program. It is passed
// over, and by the next one that member knows, and says, that it hears the others no more.
func TestA25_CommitThatCounts(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	for _, u := range []*user{alice, bob, carol} {
		u.quiet()
	}
	bob.close()
	for range 2 {
		before, _ := alice.epoch(id)
		alice.large(id, 10, 0, false)
		alice.until("the next epoch", func() bool { now, _ := alice.epoch(id); return now > before })
	}
	together(id, alice, carol)
	bob.openUntilItGoesOn(&deadly{account: alice.id, commits: true})
	bob.awaitKind(EventCannotFollow, 1)
	bob.reopen() // and the store opens
}

// TestA25_InvitationThatEndsTheProgram: a stranger's group ends the program while it is joined,
// which happens beside everything else. After three times the invitation is refused unseen.
func TestA25_InvitationThatEndsTheProgram(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, mal := s.register("alice"), s.register("bob"), s.register("mallory")
	poison := &deadly{account: mal.id, during: func() {
		if err := alice.eng.call(alice.ctx(), func() error { return nil }); err != nil {
			t.Errorf("the client does nothing else while it joins: %v", err)
		}
	}}
	alice.cfg.rules = &mls.Application{Credentials: poison}
	alice.reopen()
	mal.lure(alice, lureSpec{})
	for i := range maxDeaths {
		alice.until("the invitation's turn", func() bool { return poison.deaths.Load() > int64(i) })
		alice.reopen()
	}
	alice.awaitKind(EventInvitationRefused, 1)
	if why := alice.refusals(); why[0] != errPoison.Error() {
		t.Errorf("refused as %q", why)
	}
	peer := need[keyserver.AccountID](t)(bob.Find(bob.ctx(), "alice"))
	id := need[ConversationID](t)(bob.StartDirect(bob.ctx(), peer))
	bob.say(id, "a friend")
	alice.awaitText("a friend")
	if n := poison.deaths.Load(); n != maxDeaths {
		t.Errorf("%d deaths, want %d", n, maxDeaths)
	}
	alice.quiet()
	alice.until("the end of all trials", func() bool { return alice.trials() == 0 })
}

// TestA25_EntriesThatEndTheProgram: what a message or an invitation's envelope did to the program
// is known from the store, and ends with it, too.
func TestA25_EntriesThatEndTheProgram(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	bob.quiet()
	var gid groupID
	var trials map[string]relay.Position
	bob.must(bob.eng.call(bob.ctx(), func() error {
		g := bob.eng.primary(id)
		gid = g.id
		trials = map[string]relay.Position{string(groupTrial(gid)): g.cursor, string(inboxTrial(bob.eng.id.Inbox)): bob.eng.inbox.cursor}
		return nil
	}))
	bob.close()
	for _, text := range []string{"one", "two", "three"} {
		alice.say(id, text)
	}
	for range 2 {
		need[ConversationID](t)(alice.CreateGroup(alice.ctx(), "group", bob.id))
	}
	alice.until("the invitations", func() (sent bool) {
		alice.must(alice.eng.call(alice.ctx(), func() error {
			n := 0
			for _, j := range alice.eng.invites {
				n += min(j.rec.Sent, 1)
			}
			sent = n == 2
			return nil
		}))
		return sent
	})
	for key, at := range trials {
		bob.leave(trial{At: at, Until: at.Seq + 1, Count: maxDeaths}, []byte(key))
	}
	bob.open()
	bob.awaitText("two", "three")
	bob.awaitKind(EventInvitationRefused, 1)
	bob.awaitKind(EventGap, 1)
	bob.awaitKind(EventJoined, 2) // of the group before, and one of two
	if got := bob.texts(id); !slices.Equal(got, []string{"two", "three"}) {
		t.Errorf("bob has %q", got)
	}
	bob.say(id, "still here")
	alice.awaitText("still here")
	bob.until("the end of all trials", func() bool { return bob.trials() == 0 })
}

// TestA25_WaitingIsNoDeath: a commit whose blob is not to be had was not looked at, however often
// the program ends meanwhile. It is followed when the relay gives it, also if it had ended before.
func TestA25_WaitingIsNoDeath(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	bob.quiet()
	l := s.liar(bob)
	l.lies(refusing(relay.CodeUnknown))
	before, _ := alice.epoch(id)
	alice.large(id, 100<<10, 0, false)
	alice.until("the next epoch", func() bool { now, _ := alice.epoch(id); return now > before })
	bob.until("the COMMIT", func() bool { return bob.awaiting(id) })
	if n := bob.trials(); n != 0 {
		t.Errorf("%d trials while bob waits", n)
	}
	var key []byte
	var at relay.Position
	bob.must(bob.eng.call(bob.ctx(), func() error {
		g := bob.eng.primary(id)
		key, at = groupTrial(g.id), g.cursor
		return nil
	}))
	bob.close()
	bob.leave(trial{At: at, Until: at.Seq + 1, Count: maxDeaths - 1}, key)
	l.on.Store(false)
	bob.open() // to wait, and then to look
	together(id, alice, bob)
	if n := bob.shown(EventGap); n != 0 {
		t.Error("bob passed over a commit that he had not looked at so often")
	}
	bob.until("the end of all trials", func() bool { return bob.trials() == 0 })
}
