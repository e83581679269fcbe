package mls

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"
)

// outsider is what somebody joins with who has no invitation.
func outsider(t tb, id Suite, name string) ExternalParams {
	t.Helper()
	return ExternalParams{
		Credential: basic(name), SignatureKey: signatureKeyOf(t, id), Now: testNow,
		SupportedExtensions: []ExtensionType{testExtension},
	}
}

// groupInfo is what a member hands to somebody who wants to come in.
func groupInfoFor(t tb, g *Group) []byte {
	t.Helper()
	return must(g.View().GroupInfo(GroupInfoParams{Tree: true, ExternalPub: true}))(t)
}

// comeIn has an outsider join, whom the groups follow.
func comeIn(t tb, groups []*Group, p ExternalParams) *Group {
	t.Helper()
	g, msg, err := JoinExternal(groupInfoFor(t, groups[0]), p)
	if err != nil {
		t.Fatal(err)
	}
	deliver(t, msg, groups)
	return g
}

// TestExternalJoin: somebody comes in without an invitation, into a blank leaf, a tree that is
// full and a group of one, and is a member like all others.
func TestExternalJoin(t *testing.T) { eachSuite(t, externalJoin) }

func externalJoin(t *testing.T, id Suite) {
	groups := []*Group{newGroupOf(t, id, "a")}
	for i, name := range []string{"b", "c", "d", "e"} {
		g := comeIn(t, groups, outsider(t, id, name))
		if g.OwnLeaf() != LeafIndex(i+1) {
			t.Errorf("%s is at leaf %d, want %d", name, g.OwnLeaf(), i+1)
		}
		groups = append(groups, g)
		agree(t, groups)
		say(t, g, groups, "I am in")
		say(t, groups[0], groups, "so you are")
	}
	c := must(groups[4].Commit(CommitParams{Remove: []LeafIndex{2}}))(t)
	left := slices.Concat(groups[:2], groups[3:4])
	deliver(t, c.Message(), left)
	if err := groups[4].Merge(c); err != nil {
		t.Fatal(err)
	}
	left = append(left, groups[4])
	tree := left[0].RatchetTree()
	p := outsider(t, id, "f")
	p.Tree, p.AAD = tree, []byte("aad")
	g, msg, err := JoinExternal(must(left[0].View().GroupInfo(GroupInfoParams{ExternalPub: true}))(t), p)
	if err != nil || g.OwnLeaf() != 2 {
		t.Fatalf("%v, at leaf %d, want the blank one", err, g.OwnLeaf())
	}
	staged := must(left[1].Process(msg))(t).(*StagedCommit)
	if !staged.External() || staged.Sender() != 2 || string(staged.AAD()) != "aad" || len(staged.Adds()) != 1 ||
		string(staged.Adds()[0].Credential.Identity) != "f" || len(staged.Updates())+len(staged.Removes()) != 0 {
		t.Errorf("the members see %d adds, %d updates, sender %d", len(staged.Adds()), len(staged.Updates()), staged.Sender())
	}
	again := must(left[1].LoadCommit(must(staged.MarshalBinary())(t)))(t)
	if !again.External() {
		t.Error("a stored external commit forgets that it is one")
	}
	deliver(t, msg, left)
	left = append(left, reload(t, g))
	agree(t, left)
	say(t, left[len(left)-1], left, "me too")
	left = append(left, add(t, left[4], left[:4], CommitParams{}, "g")...)
	agree(t, left)
}

// TestResync: a member that lost its state comes back in its own place; its old state learns
// that it is out, even where the new one has its leaf.
func TestResync(t *testing.T) { eachSuite(t, resync) }

func resync(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	for _, lost := range []int{2, 0, 1} {
		r := new(recorder)
		leaf := groups[lost].OwnLeaf()
		p := outsider(t, id, "again")
		p.Remove, p.SignatureKey = &leaf, groups[lost].at.signatureKey // keys of the old leaf, as far as allowed
		others := slices.Concat(groups[:lost], groups[lost+1:])
		others[0].app.Credentials = r
		if id != DefaultSuite {
			others[0].app.Credentials = nil
		}
		g, msg, err := JoinExternal(groupInfoFor(t, others[0]), p)
		if err != nil {
			t.Fatal(err)
		}
		out := must(groups[lost].Process(msg))(t).(*StagedCommit)
		if !out.SelfRemoved() || !out.External() {
			t.Error("the old state does not see that it is out")
		}
		deliver(t, msg, others)
		if id == DefaultSuite && !slices.Equal(r.take(), []CredentialEvent{CredentialCommit}) {
			t.Errorf("the validator was asked %v", r.events)
		}
		others[0].app = Application{}
		if g.OwnLeaf() != leaf || len(g.Members()) != 3 {
			t.Errorf("back at leaf %d of %d members, was at %d", g.OwnLeaf(), len(g.Members()), leaf)
		}
		groups[lost] = g
		agree(t, groups)
		say(t, g, groups, "back")
		if err := untouched(t, "replay", others[0], msg); !errors.Is(err, ErrPastEpoch) {
			t.Errorf("the same once more: %v, want ErrPastEpoch", err)
		}
	}
}

// TestExternalJoinWithPSK: an external commit can prove that its maker knows a secret.
func TestExternalJoinWithPSK(t *testing.T) {
	groups := trio(t)
	psks := knownPSKs{"id": []byte("a secret of all")}
	p := outsider(t, DefaultSuite, "d")
	p.PSKs = []PSKID{{External: []byte("id")}}
	if _, _, err := JoinExternal(groupInfoFor(t, groups[0]), p); !errors.Is(err, ErrUnknownPSK) {
		t.Errorf("without the key: %v, want ErrUnknownPSK", err)
	}
	p.Application.PSKs = psks
	for _, g := range groups {
		g.app.PSKs = psks
	}
	groups = append(groups, comeIn(t, groups, p))
	agree(t, groups)
	groups[1].app.PSKs = knownPSKs{"id": []byte("another secret")}
	_, msg, err := JoinExternal(groupInfoFor(t, groups[0]), ExternalParams{
		Credential: basic("e"), SignatureKey: signatureKey(t), Now: testNow, PSKs: p.PSKs, Application: p.Application,
		SupportedExtensions: p.SupportedExtensions,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := untouched(t, "another key", groups[1], msg); !errors.Is(err, ErrCannotFollow) {
		t.Errorf("with another key: %v, want ErrCannotFollow", err)
	}
}

// TestExternalJoinWithExtensions: what draft-ietf-mls-extensions lets into an external commit:
// data of components, and those who leave in the open.
func TestExternalJoinWithExtensions(t *testing.T) {
	groups := extendedPair(t)
	groups = append(groups, addWith(t, groups[0], groups[1:], extendedConfig(t, "c")))
	leaving := must(groups[2].Propose(ProposalParams{SelfRemove: true}))(t)
	for _, g := range groups {
		must(g.Process(leaving))(t)
	}
	k := extendedConfig(t, "d")
	p := ExternalParams{
		Credential: k.Credential, SignatureKey: k.SignatureKey, Application: extended, Now: testNow,
		SupportedExtensions: k.SupportedExtensions, SupportedProposals: k.SupportedProposals, Components: k.Components,
		SelfRemoves: [][]byte{leaving}, Ephemeral: []ComponentData{{Component: testComponent, Data: []byte("hello")}},
		AppData: []AppDataUpdate{{Component: testComponent, Update: []byte("four")}},
	}
	g, msg, err := JoinExternal(groupInfoFor(t, groups[0]), p)
	if err != nil {
		t.Fatal(err)
	}
	if c := must(groups[2].Process(msg))(t).(*StagedCommit); !c.SelfRemoved() || len(c.Ephemeral()) != 1 {
		t.Errorf("who leaves is out: %v; said: %v", c.SelfRemoved(), c.Ephemeral())
	}
	deliver(t, msg, groups[:2])
	agree(t, append(groups[:2:2], g))
	if data, ok := groups[1].View().AppData(testComponent); !ok || string(data) != "four" {
		t.Errorf("the component has %q", data)
	}
	p.SignatureKey = signatureKey(t)
	info := groupInfoFor(t, groups[0])
	for name, bad := range map[string]struct {
		msg  []byte
		want error
	}{
		"nothing": {nil, ErrMalformed}, "a commit": {msg, ErrMalformed}, "a part": {leaving[:len(leaving)-1], ErrMalformed},
		"one of an epoch that is over": {leaving, ErrPastEpoch},
	} {
		p.SelfRemoves = [][]byte{bad.msg}
		if _, _, err := JoinExternal(info, p); !errors.Is(err, bad.want) {
			t.Errorf("%s as SelfRemove: %v, want %v", name, err, bad.want)
		}
	}
	// A SelfRemove that somebody else signed.
	forged := must(parse(must(groups[1].Propose(ProposalParams{SelfRemove: true}))(t), readMessage))(t)
	forged.public.content.sender.index = 0
	p.SelfRemoves = [][]byte{encode(forged, writeMessage)}
	_, _, err = JoinExternal(info, p)
	wantRule(t, "forged SelfRemove", err, "framing.signature")
}

// TestA17_ExternalJoinByStaleInfo: a commit for an epoch that is over counts for nobody, and a
// GroupInfo that was changed on its way is found out (ATTACKS A17).
func TestA17_ExternalJoinByStaleInfo(t *testing.T) {
	groups := trio(t)
	stale := groupInfoFor(t, groups[0])
	deliver(t, must(groups[0].Commit(CommitParams{}))(t).Message(), groups[1:])
	_, msg, err := JoinExternal(stale, outsider(t, DefaultSuite, "d"))
	if err != nil {
		t.Fatal(err)
	}
	if err := untouched(t, "stale", groups[1], msg); !errors.Is(err, ErrPastEpoch) {
		t.Errorf("commit by a stale GroupInfo: %v, want ErrPastEpoch", err)
	}
	eachDamage(stale, func(what string, at int, damaged []byte) {
		if _, _, err := JoinExternal(damaged, outsider(t, DefaultSuite, "d")); err == nil {
			t.Errorf("GroupInfo with %s at %d was accepted", what, at)
		}
	})
}

// infoFault bends a GroupInfo before it is signed.
type infoFault struct {
	name, rule string
	edit       func(*groupInfo)
}

// info is g's GroupInfo with the fault.
func (f *infoFault) info(t tb, g *Group) []byte {
	t.Helper()
	info := must(g.at.groupInfo(GroupInfoParams{Tree: true, ExternalPub: true}))(t)
	f.edit(info)
	return encode(&message{wireFormat: wireFormatGroupInfo, groupInfo: signed(t, info, g)}, writeMessage)
}

// infoFaults are found by who joins.
var infoFaults = []infoFault{
	{"blank signer", "groupinfo.signer", func(g *groupInfo) { g.signer = 3 }},
	{"another signer", "groupinfo.signature", func(g *groupInfo) { g.signer = 1 }},
	{"extension twice", "extension.unique", func(g *groupInfo) { g.extensions = append(g.extensions, g.extensions[0]) }},
	{"short tag", "groupinfo.confirmation-tag", func(g *groupInfo) { g.confirmationTag = g.confirmationTag[1:] }},
	{"long tag", "groupinfo.confirmation-tag", func(g *groupInfo) { g.confirmationTag = append(bytes.Clone(g.confirmationTag), 0) }},
	{"bad key", "groupinfo.external-pub", func(g *groupInfo) { g.extensions[1].Data = append([]byte{32}, lowOrder...) }},
}

// TestExternalInfoRules: what one cannot join by.
func TestExternalInfoRules(t *testing.T) {
	groups := trio(t)
	e := groups[0].at
	p := outsider(t, DefaultSuite, "d")
	join := func(info []byte) error {
		_, _, err := JoinExternal(info, p)
		return err
	}
	wantRule(t, "no key", join(must(e.GroupInfo(GroupInfoParams{Tree: true}))(t)), "groupinfo.external-pub")
	if err := join(must(e.GroupInfo(GroupInfoParams{ExternalPub: true}))(t)); !errors.Is(err, ErrTreeMismatch) {
		t.Errorf("no tree: %v, want ErrTreeMismatch", err)
	}
	for name, msg := range map[string][]byte{"nothing": nil, "a commit": publicCommit(t, groups[0])} {
		if err := join(msg); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	for _, c := range infoFaults {
		wantRule(t, c.name, join(c.info(t, groups[0])), c.rule)
	}
	// Who is in already comes in only in its own place, and nobody in the place of nobody.
	p.SignatureKey = groups[1].at.signatureKey
	wantRule(t, "member twice", join(groupInfoFor(t, groups[0])), "tree.unique-signature-key")
	p.Remove = new(LeafIndex(3))
	wantRule(t, "in the place of nobody", join(groupInfoFor(t, groups[0])), "remove.blank")
}

// TestInventedExternalKey: a member signs a GroupInfo with an external key that is not the
// epoch's. Who joined by it would make a commit that counts and leave everybody else behind, so
// a member who is asked before it is handed out sees it.
func TestInventedExternalKey(t *testing.T) {
	groups := trio(t)
	invented := must(groups[1].at.suite.generateHPKE())(t)
	info := (&infoFault{edit: func(g *groupInfo) { g.extensions[1].Data = append([]byte{32}, invented.pub...) }}).info(t, groups[1])
	for i, g := range groups {
		wantRule(t, "invented", g.View().CheckGroupInfo(info), "groupinfo.external-pub")
		for _, p := range []GroupInfoParams{{}, {Tree: true}, {ExternalPub: true}} {
			if err := g.View().CheckGroupInfo(must(groups[1].View().GroupInfo(p))(t)); err != nil {
				t.Errorf("leaf %d refuses an honest GroupInfo: %v", i, err)
			}
		}
	}
}

// TestExternalJoinWithOneWhoLeavesTwice: an insider proposes to leave in two messages. Who joins
// with all that waits takes the first.
func TestExternalJoinWithOneWhoLeavesTwice(t *testing.T) {
	groups := extendedPair(t)
	groups = append(groups, addWith(t, groups[0], groups[1:], extendedConfig(t, "c")))
	var waiting [][]byte
	for _, aad := range []string{"", "again"} {
		c := groups[1].content(contentProposal, []byte(aad))
		c.proposal = &proposal{kind: ProposalSelfRemove}
		msg := must(groups[1].sendHandshake(must(groups[1].signHandshake(c, true))(t)))(t)
		for _, g := range []*Group{groups[0], groups[2]} {
			must(g.Process(msg))(t)
		}
		waiting = append(waiting, msg)
	}
	cfg := extendedConfig(t, "x")
	joined := comeIn(t, []*Group{groups[0], groups[2]}, ExternalParams{
		Application: extended, Now: testNow, Credential: cfg.Credential, SignatureKey: cfg.SignatureKey,
		SupportedExtensions: cfg.SupportedExtensions, SupportedProposals: cfg.SupportedProposals, Components: cfg.Components, SelfRemoves: waiting,
	})
	if m := joined.View().Members(); len(m) != 3 || string(m[1].Credential.Identity) != "x" {
		t.Errorf("who left is still there: %d members", len(m))
	}
}

// everybody notes whom it was asked about.
type everybody map[string]CredentialEvent

func (e everybody) ValidateCredential(c CredentialCheck) error {
	e[string(c.Credential.Identity)] = c.Event
	return nil
}

// TestJoinerIsAskedAboutEverybody: whoever joins sees the credentials of all members and of
// those who may propose from outside, and its own as the others will.
func TestJoinerIsAskedAboutEverybody(t *testing.T) {
	groups, _, _ := overseen(t, DefaultSuite)
	asked := everybody{}
	p := outsider(t, DefaultSuite, "d")
	p.Application.Credentials = asked
	if _, _, err := JoinExternal(groupInfoFor(t, groups[0]), p); err != nil {
		t.Fatal(err)
	}
	want := everybody{
		"a": CredentialJoin, "b": CredentialJoin, "c": CredentialJoin, "d": CredentialCommit,
		"first": CredentialExternalSenderAdded, "second": CredentialExternalSenderAdded,
	}
	if !maps.Equal(asked, want) {
		t.Errorf("asked about %v, want %v", asked, want)
	}
	p.Now = testNow.AddDate(1, 0, 0)
	if _, _, err := JoinExternal(groupInfoFor(t, groups[0]), p); !errors.Is(err, ErrExpired) {
		t.Errorf("members whose lifetime is over: %v, want ErrExpired", err)
	}
}
