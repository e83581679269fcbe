package clientlib

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// lureSpec says what is wrong with a group that somebody founds by hand.
type lureSpec struct {
	id     []byte              // group id; nil: a random one
	claims keyserver.AccountID // whose the founder's leaf says it is; zero: the founder's
	with   []*user             // members beside the invited
	policy func(*policy)       // changes what the GroupContext says
	data   func([]byte) []byte // changes how it says it
	letter func(v *invitation) // changes what the inbox gets
	ahead  int                 // epochs before anybody is added
	after  *succession         // what it says that it succeeds
}

// luring is a group that was founded by hand, and its founder's view of it.
type luring struct {
	by     *user
	conn   *relayclient.Conn
	mls    *mls.Group
	policy policy
	before *epochKeys // of the epoch in which the founder is alone
	keys   *epochKeys
	reader ed25519.PrivateKey
	admin  ed25519.PrivateKey // of its queue
	at     relay.Position     // of its last commit
}

// found makes the group and its queue, on the real servers and without any of the checks that
// a client makes.
func (u *user) found(f lureSpec) *luring {
	u.t.Helper()
	g := &luring{by: u, conn: u.insider(), reader: newSecret().signer()}
	if f.claims == (keyserver.AccountID{}) {
		f.claims = u.id
	}
	g.policy = policy{
		Kind: Group, Relay: u.cfg.Relay.String(), Queue: relay.QueueID(newSecret()), KeyServer: u.cfg.KeyServer.String(),
		Name: "lure", AnyoneAdd: true, Admins: []keyserver.AccountID{f.claims},
	}
	queue, admin := g.policy.Queue, newSecret().signer()
	g.admin = admin
	device := u.eng.id.Device.signer()
	if f.claims != u.id {
		device = newSecret().signer()
	}
	g.policy.Keeper = newKeeper(queue, device, publicKey(admin))
	if f.policy != nil {
		f.policy(&g.policy)
	}
	data := need[[]byte](u.t)(wire.Marshal(&g.policy))
	if f.data != nil {
		data = f.data(data)
	}
	if f.id == nil {
		f.id = newSecret()
	}
	key := need[mls.SignaturePrivateKey](u.t)(bestSuite.GenerateSignatureKey())
	identity := need[[]byte](u.t)(keyserver.SignCredential(device, f.claims, key.Public(), uint16(bestSuite), time.Now().Add(credentialOf)))
	extensions := []mls.Extension{{Type: extensionPolicy, Data: data}}
	if f.after != nil {
		extensions = append(extensions, mls.Extension{Type: extensionSuccessor, Data: need[[]byte](u.t)(wire.Marshal(f.after))})
	}
	g.mls = need[*mls.Group](u.t)(mls.NewGroup(mls.GroupConfig{
		Suite: bestSuite, GroupID: f.id, Credential: mls.Credential{Type: mls.CredentialBasic, Identity: identity},
		SignatureKey: key, Extensions: extensions,
		SupportedExtensions: supportedExtensions, Now: time.Now(),
	}))
	for range f.ahead {
		u.must(g.mls.Merge(need[*mls.StagedCommit](u.t)(g.mls.Commit(mls.CommitParams{Path: true, Now: time.Now()}))))
	}
	g.before = need[*epochKeys](u.t)(newEpochKeys(g.mls, queue))
	_, err := g.conn.Create(relayclient.CreateParams{
		Queue: queue, ID: newIdempotencyID(), Admin: admin, Admins: []relay.PublicKey{publicKey(admin)},
		Writer: new(publicKey(g.before.writer.signer())), Readers: []relay.PublicKey{publicKey(g.reader)},
	}).Wait(u.ctx())
	u.must(err)
	return g
}

// lure founds a group and invites one of its members.
func (u *user) lure(invited *user, f lureSpec) *luring {
	u.t.Helper()
	g := u.found(f)
	params := mls.CommitParams{Now: time.Now()}
	var adds []*addition
	for _, m := range append([]*user{invited}, f.with...) {
		listing := need[*keyserver.Listing](u.t)(u.eng.keys.LookupID(u.ctx(), m.id))
		got := need[[]keyserver.Package](u.t)(u.eng.keys.Take(u.ctx(), [32]byte(newSecret()), m.id, bestSuite))
		a := need[*addition](u.t)(checkAddition(got[0].KeyPackage, listing.Account, got[0].Device, bestSuite, got[0].LastResort))
		adds, params.Add = append(adds, a), append(params.Add, a.pkg.KeyPackage)
	}
	staged := need[*mls.StagedCommit](u.t)(g.mls.Commit(params))
	g.keys = need[*epochKeys](u.t)(newEpochKeys(staged.Next(), g.before.queue))
	sealed := need[*sealedState](u.t)(sealState(need[[]byte](u.t)(wire.Marshal(&heldState{Tree: staged.Next().RatchetTree()}))))
	for _, chunk := range sealed.Chunks {
		_, err := u.eng.keys.PutChunk(u.ctx(), chunk)
		u.must(err)
	}
	ticket := newSecret()
	at, err := g.conn.Commit(relayclient.CommitParams{
		Queue: g.before.queue, ID: newIdempotencyID(), Reader: g.reader, NextWriter: publicKey(g.keys.writer.signer()),
		Tickets:  []relay.PublicKey{publicKey(ticket.signer())},
		Envelope: enclosed(u.t, g.before, staged.Message()),
	}).Wait(u.ctx())
	u.must(err)
	u.must(g.mls.Merge(staged))
	g.at = at
	welcome := staged.Welcomes()[0]
	v := &invitation{
		Relay: u.cfg.Relay.String(), KeyServer: u.cfg.KeyServer.String(), Queue: g.before.queue, Position: at, Ticket: ticket,
		Package: welcome.KeyPackageRef, Welcome: welcome.Message, Index: sealed.Index, IndexKey: sealed.Key,
	}
	if f.letter != nil {
		f.letter(v)
	}
	to := adds[0].contact
	_, err = g.conn.Append(to.Inbox, newIdempotencyID(), to.RequestWriter.signer(), need[[]byte](u.t)(v.seal(to.Key, to.Inbox))).Wait(u.ctx())
	u.must(err)
	return g
}

// overheard is what the founder can read of what stands in the group's queue.
func (g *luring) overheard() (texts []string) {
	t := g.by.t
	t.Helper()
	s, err := g.conn.Attach(g.before.queue, g.reader, nil, 0).Wait(g.by.ctx())
	g.by.must(err)
	for read := uint64(0); read < s.Head.Seq; {
		var ev relayclient.Event
		select {
		case ev = <-s.Events():
		case <-g.by.ctx().Done():
		}
		d, ok := ev.(relayclient.Delivery)
		if !ok {
			t.Fatalf("reading along: %T", ev)
		}
		for _, en := range d.Entries {
			read = en.Position.Seq
			message, err := g.keys.open(en.Kind, en.Envelope)
			if err != nil {
				continue
			}
			app, ok := need[mls.Received](t)(g.mls.Process(message)).(*mls.ApplicationMessage)
			p := new(payload)
			if ok && wire.Unmarshal(app.Data, p) == nil && p.Kind == payloadContent {
				texts = append(texts, need[*content.Message](t)(content.Decode(p.Body)).PlainText())
			}
		}
	}
	return texts
}

// refusals are the reasons why invitations were refused, in order.
func (u *user) refusals() (why []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var last uint64 // an event that was not confirmed when the program ended comes again
	for _, ev := range u.events {
		if ev.Kind == EventInvitationRefused && ev.ID > last {
			why, last = append(why, ev.Detail), ev.ID
		}
	}
	return why
}

// reopen ends the program and starts it again: what a stranger sent must not keep it from that.
func (u *user) reopen() {
	u.t.Helper()
	u.close()
	u.open()
}

// TestC21_HostileInvitations: whoever finds a handle in the directory can invite its owner.
// What is wrong with an invitation ends in an event, and leaves no conversation, no group and
// a store that opens.
func TestC21_HostileInvitations(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, mal := s.register("alice"), s.register("bob"), s.register("mallory")
	kind := func(k ConversationKind) func(*policy) { return func(p *policy) { p.Kind = k } }
	name := func(text string) func(*policy) { return func(p *policy) { p.Name = text } }
	bare := "no usable policy"
	var inbox relay.QueueID
	alice.must(alice.eng.call(alice.ctx(), func() error { inbox = alice.eng.id.Inbox; return nil }))
	rows := []struct {
		name, why string
		lureSpec
	}{
		{"empty group id", "group id of 0 bytes", lureSpec{id: []byte{}}},
		{"short group id", "group id of 3 bytes", lureSpec{id: []byte{1, 2, 3}}},
		{"long group id", "group id of 33 bytes", lureSpec{id: make([]byte, 33)}},
		{"the inbox's id", "the id of the inbox", lureSpec{id: inbox[:]}},
		{"three in a conversation of two", "with 3 accounts", lureSpec{policy: kind(Direct), with: []*user{bob}}},
		{"a ghost of the user, and a friend", "not in its account's chain", lureSpec{policy: kind(Direct), claims: alice.id, with: []*user{bob}}},
		{"a ghost of the user, alone", "with 1 accounts", lureSpec{policy: kind(Direct), claims: alice.id}},
		{"a ghost of the user in a group", "not in its account's chain", lureSpec{claims: alice.id}},
		{"a ghost of a friend", "not in its account's chain", lureSpec{policy: kind(Direct), claims: bob.id}},
		{"of an account that nobody has", "not found", lureSpec{claims: keyserver.AccountID{66}}},
		{"a name that is no text", bare, lureSpec{policy: name("\xff")}},
		{"a name of 257 bytes", bare, lureSpec{policy: name(strings.Repeat("n", maxName+1))}},
		{"a kind of conversation that is none", bare, lureSpec{policy: kind(3)}},
		{"too many admins", bare, lureSpec{policy: func(p *policy) { p.Admins = make([]keyserver.AccountID, maxAdmins+1) }}},
		{"a later version of the policy", bare, lureSpec{data: func(b []byte) []byte { b[0]++; return b }}},
		{"a byte behind the policy", bare, lureSpec{data: func(b []byte) []byte { return append(b, 0) }}},
		{"the policy of another queue", "another queue", lureSpec{policy: func(p *policy) { p.Queue[0]++ }}},
		{"a queue that nobody answers for", errBadKeeper.Error(), lureSpec{policy: func(p *policy) { p.Keeper = nil }}},
		{"a queue that another is to answer for", errBadKeeper.Error(), lureSpec{policy: func(p *policy) { p.Keeper.Device = bob.eng.device() }}},
		{"the policy of another relay", "another queue", lureSpec{policy: func(p *policy) { p.Relay += "x" }}},
		{"a relay of the inviter's", errElsewhere.Error(), lureSpec{letter: func(v *invitation) { v.Relay = "sealpost://evil.example" }}},
		{"a key server of the inviter's", errElsewhere.Error(), lureSpec{letter: func(v *invitation) { v.KeyServer = "https://evil.example" }}},
	}
	for i, row := range rows {
		mal.lure(alice, row.lureSpec)
		alice.awaitKind(EventInvitationRefused, i+1)
		if why := alice.refusals()[i]; !strings.Contains(why, row.why) {
			t.Errorf("%s: refused as %q, want %q in it", row.name, why, row.why)
		}
	}
	alice.reopen()
	if all, err := alice.Conversations(alice.ctx()); err != nil || len(all) != 0 {
		t.Errorf("refused invitations left %d conversations: %v", len(all), err)
	}
	peer, err := bob.Find(bob.ctx(), "alice")
	bob.must(err)
	id, err := bob.StartDirect(bob.ctx(), peer)
	bob.must(err)
	bob.say(id, "a friend")
	alice.awaitText("a friend")
	if n := len(alice.refusals()); n != len(rows) {
		t.Errorf("%d refusals of %d invitations", n, len(rows))
	}
}

// TestC21_GroupInAFriendsPlace: a stranger's group bears the id of the conversation with Bob,
// and is there before Alice starts that one. What she says to Bob goes to Bob alone.
func TestC21_GroupInAFriendsPlace(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, mal := s.register("alice"), s.register("bob"), s.register("mallory")
	id := directID(bob.id)
	lure := mal.lure(alice, lureSpec{id: id[:]})
	alice.awaitKind(EventJoined, 1) // any group may have any id
	peer, err := alice.Find(alice.ctx(), "bob")
	alice.must(err)
	id, err = alice.StartDirect(alice.ctx(), peer)
	alice.must(err)
	alice.say(id, "for bob")
	bob.awaitText("for bob")
	alice.quiet()
	if got := lure.overheard(); len(got) != 0 {
		t.Errorf("the stranger reads %q", got)
	}
	all, err := alice.Conversations(alice.ctx())
	alice.must(err)
	if len(all) != 2 {
		t.Errorf("alice has %d conversations, want the stranger's and bob's", len(all))
	}
	for _, c := range all {
		if c.ID == id && (c.Kind != Direct || len(c.Members) != 2 || !slices.Contains(c.Members, bob.id)) {
			t.Errorf("the conversation with bob is of kind %d with %x", c.Kind, c.Members)
		}
	}
}

// TestC21_GhostInAFriendsPlace: the conversation with Bob exists, and a stranger founds
// another of the two, with a ghost of Alice's own account in it and an id that comes first.
func TestC21_GhostInAFriendsPlace(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, mal := s.register("alice"), s.register("bob"), s.register("mallory")
	peer, err := alice.Find(alice.ctx(), "bob")
	alice.must(err)
	id, err := alice.StartDirect(alice.ctx(), peer)
	alice.must(err)
	alice.say(id, "before")
	bob.awaitText("before")
	lure := mal.lure(alice, lureSpec{
		id: make([]byte, 32), claims: alice.id, with: []*user{bob}, policy: func(p *policy) { p.Kind = Direct },
	})
	alice.awaitKind(EventInvitationRefused, 1)
	alice.say(id, "for bob")
	bob.awaitText("for bob")
	alice.quiet()
	if got := lure.overheard(); len(got) != 0 {
		t.Errorf("the stranger reads %q", got)
	}
}

// TestC21_AnotherGroupUnderAKnownID: a member founds a second group under the id of the one
// that it shares with Alice. It takes its place neither while she is in it nor afterwards.
func TestC21_AnotherGroupUnderAKnownID(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	bob, alice, mal := s.register("bob"), s.register("alice"), s.register("mallory")
	var id ConversationID
	group8(&id, bob, alice, mal)
	var gid groupID
	mal.must(mal.eng.call(mal.ctx(), func() error { gid = mal.eng.primary(id).id; return nil }))
	first := mal.lure(alice, lureSpec{id: gid[:], ahead: 9})
	mal.lure(alice, lureSpec{id: []byte{1}}) // refused when the one before it was dealt with
	alice.awaitKind(EventInvitationRefused, 1)
	alice.say(id, "among us")
	bob.awaitText("among us")
	bob.must(bob.RemoveMember(bob.ctx(), id, alice.id))
	alice.awaitKind(EventRemoved, 1)
	mal.lure(alice, lureSpec{id: gid[:], ahead: 9})
	alice.awaitKind(EventInvitationRefused, 2)
	if all, err := alice.Conversations(alice.ctx()); err != nil || len(all) != 1 || all[0].Active {
		t.Errorf("a group under the id of one that was left: %+v, %v", all, err)
	}
	bob.must(bob.AddMembers(bob.ctx(), id, alice.id))
	alice.awaitKind(EventJoined, 2)
	alice.say(id, "among us again")
	bob.awaitText("among us again")
	if got := first.overheard(); len(got) != 0 {
		t.Errorf("the second group has %q", got)
	}
	if why := alice.refusals(); len(why) != 2 {
		t.Errorf("alice was bothered with %q", why)
	}
}

// TestQ17_LastResortInvitationAgain: an invitation by a last-resort KeyPackage opens for ever.
// Delivered again, it brings nobody back to an epoch whose keys were used.
func TestQ17_LastResortInvitationAgain(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	bob.close() // so that the invitation is still Alice's to repeat
	for last := false; !last; {
		got := need[[]keyserver.Package](t)(alice.eng.keys.Take(alice.ctx(), [32]byte(newSecret()), bob.id, bestSuite))
		last = got[0].LastResort
	}
	peer, err := alice.Find(alice.ctx(), "bob")
	alice.must(err)
	id, err := alice.CreateGroup(alice.ctx(), "group", peer)
	alice.must(err)
	var invite inviteRow
	alice.until("the invitation", func() bool {
		alice.must(alice.eng.call(alice.ctx(), func() error {
			for _, j := range alice.eng.invites {
				invite = j.rec
			}
			return nil
		}))
		return len(invite.Envelope) > 0
	})
	conn := alice.insider()
	again := func() {
		at, err := conn.Append(invite.Inbox, newIdempotencyID(), invite.Writer.signer(), invite.Envelope).Wait(alice.ctx())
		alice.must(err)
		bob.until("it to be read", func() (read bool) {
			bob.must(bob.eng.call(bob.ctx(), func() error { read = bob.eng.inbox.cursor.Seq >= at.Seq; return nil }))
			return read
		})
	}
	bob.open()
	bob.awaitKind(EventJoined, 1)
	again()
	bob.say(id, "here")
	alice.awaitText("here")
	alice.must(alice.RemoveMember(alice.ctx(), id, bob.id))
	bob.awaitKind(EventRemoved, 1)
	again()
	bob.awaitKind(EventInvitationRefused, 1)
	bob.reopen()
	if all, err := bob.Conversations(bob.ctx()); err != nil || len(all) != 1 || all[0].Active {
		t.Errorf("an old invitation brought a removed member back: %+v, %v", all, err)
	}
	alice.must(alice.AddMembers(alice.ctx(), id, peer))
	bob.awaitKind(EventJoined, 2)
	again()
	bob.say(id, "here again")
	alice.awaitText("here again")
	if why := bob.refusals(); len(why) != 1 {
		t.Errorf("bob was bothered with %q", why)
	}
	bob.mu.Lock()
	defer bob.mu.Unlock()
	if n := bob.count(bob.events, EventJoined); n != 2 {
		t.Errorf("bob joined %d times", n)
	}
}

// TestInvitationBeforeTheInbox: a contact card is handed over before its owner was ever
// online. The invitation waits until there is an inbox, also over the end of the program.
func TestInvitationBeforeTheInbox(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	alice, bob := s.newUser("alice"), s.newUser("bob")
	for _, u := range []*user{alice, bob} {
		u.must(u.eng.call(u.ctx(), func() error { return u.eng.createIdentity(u.name) }))
		u.know()
	}
	peer, err := alice.AddCard(alice.ctx(), need[ContactCard](t)(bob.Card(bob.ctx())))
	alice.must(err)
	bob.close()
	s.start()
	id, err := alice.StartDirect(alice.ctx(), peer)
	alice.must(err)
	alice.say(id, "hello")
	// job is the invitation, once the relay has answered that it knows no such inbox.
	job := func() (found *inviteJob) {
		alice.must(alice.eng.call(alice.ctx(), func() error {
			for _, j := range alice.eng.invites {
				if j.rec.Sent > 0 && !j.flying {
					found = j
				}
			}
			return nil
		}))
		return found
	}
	alice.until("an answer about the inbox", func() bool { return job() != nil })
	alice.reopen()
	bob.open()
	bob.until("an inbox", func() (ready bool) {
		bob.must(bob.eng.call(bob.ctx(), func() error { ready = bob.eng.id.InboxReady; return nil }))
		return ready
	})
	// The next try comes by the clock; it is brought forward.
	alice.until("the invitation after the restart", func() bool { return job() != nil })
	again := job()
	alice.must(alice.eng.call(alice.ctx(), func() error {
		again.rec.NextAt = 0
		alice.eng.flushInvites()
		return nil
	}))
	bob.awaitText("hello")
	bob.say(directID(alice.id), "hello back")
	alice.awaitText("hello back")
}

// TestB01_CardOfHostileStrings: what a card says in text is kept in the store, which has to
// open again, and a way to the device that leads nowhere is no way.
func TestB01_CardOfHostileStrings(t *testing.T) {
	t.Parallel()
	alice := newTestDevice(t)
	c := offline(t)
	good := alice.card(t, "alice")
	with := func(change func(*contact)) ContactCard {
		kp, _ := alice.keyPackage(t, func(cfg *mls.KeyPackageConfig) {
			ct := new(contact)
			if err := wire.Unmarshal(cfg.Extensions[0].Data, ct); err != nil {
				t.Fatal(err)
			}
			change(ct)
			cfg.Extensions[0].Data = need[[]byte](t)(wire.Marshal(ct))
		})
		return ContactCard{Handle: "alice", Chain: alice.chain, KeyPackage: kp.Bytes()}
	}
	for name, card := range map[string]ContactCard{
		"a relay that is no text":         with(func(ct *contact) { ct.Relay = "\xff" }),
		"a relay that is no address":      with(func(ct *contact) { ct.Relay = "nowhere" }),
		"a contact key of low order":      with(func(ct *contact) { clear(ct.Key[len(ct.Key)-32:]) }),
		"a contact key that is too short": with(func(ct *contact) { ct.Key = ct.Key[1:] }),
	} {
		if _, err := c.AddCard(t.Context(), card); !errors.Is(err, ErrBadCard) {
			t.Errorf("%s: %v, want ErrBadCard", name, err)
		}
	}
	for _, handle := range []string{"\xff", strings.Repeat("h", 1<<16), "two words"} {
		card := good
		card.Handle = handle
		for range 2 { // the second look finds what the first one kept
			if _, err := c.AddCard(t.Context(), card); err != nil && !errors.Is(err, ErrBadCard) {
				t.Errorf("a handle of %d bytes: %v", len(handle), err)
			}
		}
		if got, err := c.Handle(t.Context(), alice.account); err != nil || got != "" {
			t.Errorf("a card may call its owner %.20q: %v", got, err)
		}
	}
	if _, err := c.AddCard(t.Context(), good); err != nil {
		t.Errorf("the client is dead: %v", err)
	}
}
