package mls

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealpost/sealpost/internal/wire"
)

// follow has who follows and every member take a message; a commit is merged by all.
func follow(t tb, service *PublicGroup, groups []*Group, msg []byte) *PublicCommit {
	t.Helper()
	c, isCommit := must(service.Process(msg))(t).(*PublicCommit)
	if !isCommit {
		for _, g := range groups {
			must(g.Process(msg))(t)
		}
		return nil
	}
	deliver(t, msg, groups)
	if err := service.Merge(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// sameView fails unless who follows and a member see the same epoch.
func sameView(t tb, service *PublicGroup, g *Group) {
	t.Helper()
	a, b := service.View(), g.View().PublicView
	if !bytes.Equal(a.ctx.bytes(), b.ctx.bytes()) || !bytes.Equal(a.RatchetTree(), b.RatchetTree()) ||
		!bytes.Equal(a.interim, b.interim) || !bytes.Equal(a.confirmationTag, b.confirmationTag) {
		t.Fatalf("who follows is in epoch %d, leaf %d in epoch %d, and they differ", a.Epoch(), g.OwnLeaf(), b.Epoch())
	}
}

// restored stores who follows and loads it again.
func restored(t tb, service *PublicGroup) *PublicGroup {
	t.Helper()
	b := must(service.MarshalBinary())(t)
	again := must(UnmarshalPublicGroup(b, service.app))(t)
	if !bytes.Equal(must(again.MarshalBinary())(t), b) || !bytes.Equal(again.at.interim, service.at.interim) {
		t.Fatal("a public group differs after being stored")
	}
	return again
}

// TestPublicGroup: without a secret one follows commits of members and of who joins by itself,
// with proposals by reference, and knows who is in.
func TestPublicGroup(t *testing.T) { eachSuite(t, publicGroup) }

func publicGroup(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	service := publicOf(t, groups[1])
	sameView(t, service, groups[0])
	for _, p := range []ProposalParams{{Update: true, Public: true}, {Extensions: &[]Extension{{Type: testExtension, Data: []byte("x")}}, Public: true}} {
		if follow(t, service, groups, must(groups[2].Propose(p))(t)) != nil {
			t.Fatal("a proposal is taken for a commit")
		}
		service = restored(t, service)
	}
	kp, secrets := keyPackageOf(t, id, "d")
	c := must(groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, Remove: []LeafIndex{1}, IncludePending: true, Now: testNow, Public: true, AAD: []byte("aad")}))(t)
	seen := follow(t, service, groups[1:], c.Message())
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	if seen.Sender() != 0 || seen.External() || len(seen.Adds()) != 1 || len(seen.Removes()) != 1 || len(seen.Updates()) != 2 ||
		string(seen.AAD()) != "aad" || !bytes.Equal(seen.Message(), c.Message()) || seen.Next() != service.View() {
		t.Errorf("who follows sees %d adds, %d removes, %d updates", len(seen.Adds()), len(seen.Removes()), len(seen.Updates()))
	}
	if len(service.queue) != 0 {
		t.Errorf("%d proposals still wait behind the commit", len(service.queue))
	}
	if err := service.Merge(seen); !errors.Is(err, ErrStale) {
		t.Errorf("merged twice: %v, want ErrStale", err)
	}
	// It hands out the tree, to who was added and to who comes by itself.
	groups[1] = must(Join(c.Welcomes()[0].Message, secrets, JoinParams{Tree: service.View().RatchetTree(), Now: testNow}))(t)
	p := outsider(t, id, "e")
	p.Tree = service.View().RatchetTree()
	info := must(groups[1].View().GroupInfo(GroupInfoParams{ExternalPub: true}))(t)
	if err := service.View().CheckGroupInfo(info); err != nil {
		t.Error(err)
	}
	g, msg, err := JoinExternal(info, p)
	if err != nil {
		t.Fatal(err)
	}
	if seen := follow(t, service, groups, msg); !seen.External() || seen.Sender() != g.OwnLeaf() {
		t.Error("who follows does not see that somebody came from outside")
	}
	groups = append(groups, g)
	agree(t, groups)
	sameView(t, restored(t, service), g)
	if members := service.View().Members(); len(members) != len(groups) {
		t.Errorf("%d members, want %d", len(members), len(groups))
	}
}

// TestPublicGroupCannot: what it does not follow, with the error that says why.
func TestPublicGroupCannot(t *testing.T) {
	groups := trio(t)
	service := publicOf(t, groups[0])
	before := must(service.MarshalBinary())(t)
	foreign := newGroup(t, "x")
	foreign.at.ctx.groupID = []byte("another")
	future := groups[1].Clone()
	if err := future.Merge(must(future.Commit(CommitParams{}))(t)); err != nil {
		t.Fatal(err)
	}
	commit := func(g *Group, public bool) []byte {
		return must(g.Clone().Commit(CommitParams{Public: public}))(t).Message()
	}
	kp, _ := keyPackage(t, "d")
	for name, c := range map[string]struct {
		msg  []byte
		want error
	}{
		"application data":   {must(groups[1].Encrypt([]byte("hi"), nil))(t), ErrDecrypt},
		"private commit":     {commit(groups[1], false), ErrDecrypt},
		"private of another": {commit(foreign, false), ErrWrongGroup},
		"public of another":  {commit(foreign, true), ErrWrongGroup},
		"future":             {commit(future, true), ErrFutureEpoch},
		"private future":     {commit(future, false), ErrFutureEpoch},
		"KeyPackage":         {encode(&message{wireFormat: wireFormatKeyPackage, keyPackage: kp}, writeMessage), ErrMalformed},
		"nothing":            {nil, ErrMalformed},
	} {
		if _, err := service.Process(c.msg); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	content := groups[0].content(contentApplication, nil)
	_, err := service.Process(publicBytes(&publicMessage{content: content, membershipTag: make([]byte, 32)}))
	wantRule(t, "public application data", err, "framing.application-public")
	if !bytes.Equal(must(service.MarshalBinary())(t), before) {
		t.Error("what it does not follow left a trace")
	}
	clone := service.Clone()
	must(clone.Process(must(groups[1].Propose(ProposalParams{Update: true, Public: true}))(t)))(t)
	if !bytes.Equal(must(service.MarshalBinary())(t), before) {
		t.Error("a clone changes what it was made of")
	}
	// A ReInit is the end, here too, and stays so when stored.
	c := must(groups[0].Commit(CommitParams{ReInit: reInitTo(DefaultSuite), Public: true}))(t)
	follow(t, service, nil, c.Message())
	service = restored(t, service)
	if service.View().ReInit() == nil {
		t.Fatal("who follows does not see the ReInit")
	}
	next := c.Next()
	closed := &Group{at: next, keys: c.keys.clone()}
	open := *next.PublicView
	open.reInit = nil
	closed.at = &EpochView{PublicView: &open, own: next.own, held: next.held, signatureKey: next.signatureKey, secrets: next.secrets}
	if _, err := service.Process(commit(closed, true)); !errors.Is(err, ErrReInit) || !errors.Is(err, ErrInvalidCommit) {
		t.Errorf("commit after a ReInit: %v, want ErrInvalidCommit with ErrReInit", err)
	}
	if _, err := service.Process(must(closed.Propose(ProposalParams{Update: true, Public: true}))(t)); !errors.Is(err, ErrReInit) {
		t.Errorf("a member's proposal after a ReInit: %v, want ErrReInit", err)
	}
	if _, err := service.Propose(signatureKey(t), ProposalParams{Remove: new(LeafIndex(0))}); !errors.Is(err, ErrReInit) {
		t.Errorf("proposal after a ReInit: %v, want ErrReInit", err)
	}
}

// TestPublicGroupAgreesWithMembers: whatever is done to the commits of a random history, who
// follows and all members come to the same verdict; what only some can follow counts.
func TestPublicGroupAgreesWithMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := trioOf(t, rapid.SampledFrom([]Suite{DefaultSuite, DefaultSuite, SuiteP256AES128P256}).Draw(t, "suite"))
		service := publicOf(t, groups[0])
		for range rapid.IntRange(1, 4).Draw(t, "steps") {
			msg := randomPublicMessage(t, groups)
			damaged := randomlyDamaged(t, groups[0], msg)
			_, err := service.Clone().Process(damaged)
			for _, g := range groups {
				_, own := g.Clone().Process(damaged)
				if errors.Is(own, ErrOwnMessage) || errors.Is(own, ErrConsumed) {
					continue // its own message, changed on its way
				}
				counts := own == nil || errors.Is(own, ErrCannotFollow)
				if counts != (err == nil) || !counts && errors.Is(own, ErrInvalidCommit) != errors.Is(err, ErrInvalidCommit) {
					t.Fatalf("leaf %d says %v, who follows %v", g.OwnLeaf(), own, err)
				}
			}
		}
	})
}

// randomPublicMessage is a commit or proposal of a member or somebody outside, made by a copy.
func randomPublicMessage(t *rapid.T, groups []*Group) []byte {
	from := groups[rapid.IntRange(0, len(groups)-1).Draw(t, "from")].Clone()
	other := LeafIndex(rapid.IntRange(0, len(groups)-1).Draw(t, "other"))
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		p := outsider(t, from.Suite(), "x")
		if rapid.Bool().Draw(t, "resync") {
			p.Remove = &other
		}
		return publicBytes(hackExternal(t, groupInfoFor(t, from), p, func(*externalBuilder) {}))
	case 1:
		return must(from.Propose(ProposalParams{Update: true, Public: true}))(t)
	case 2:
		if other == from.OwnLeaf() {
			break
		}
		return must(from.Commit(CommitParams{Remove: []LeafIndex{other}, Public: true}))(t).Message()
	case 3:
		kp, _ := keyPackageOf(t, from.Suite(), "y")
		return must(from.Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow, Public: true}))(t).Message()
	}
	return must(from.Commit(CommitParams{Public: true}))(t).Message()
}

// randomlyDamaged changes a message in a place that an insider, who can tag it again, can
// change: anywhere but in the membership tag.
func randomlyDamaged(t *rapid.T, insider *Group, msg []byte) []byte {
	if rapid.Bool().Draw(t, "whole") {
		return msg
	}
	msg = bytes.Clone(msg)
	msg[rapid.IntRange(4, len(msg)-1).Draw(t, "at")] ^= byte(1 << rapid.IntRange(0, 7).Draw(t, "bit"))
	m, err := parse(msg, readMessage)
	if err != nil || m.public == nil || m.public.content.sender.kind != senderMember {
		return msg
	}
	if a, err := m.public.signed(); err == nil {
		m.public.membershipTag = insider.at.suite.mac(insider.at.secrets.membershipKey, a.tbm(insider.at.ctx))
	}
	return encode(m, writeMessage)
}

// TestDamagedPublicGroup: stored state that was damaged, or put together of what does not
// belong together, is not loaded.
func TestDamagedPublicGroup(t *testing.T) {
	groups := trio(t)
	service := publicOf(t, groups[0])
	must(service.Process(must(groups[1].Propose(ProposalParams{Update: true, Public: true}))(t)))(t)
	good := must(service.MarshalBinary())(t)
	eachDamage(good, func(what string, at int, damaged []byte) {
		if _, err := UnmarshalPublicGroup(damaged, Application{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s at %d: %v, want ErrCorrupt", what, at, err)
		}
	})
	body := good[2 : len(good)-32]
	reseal := func(b []byte) []byte {
		return must(sealState(statePublicGroup, func(w *wire.Writer) { w.Raw(b) }))(t)
	}
	for n := range body {
		if _, err := UnmarshalPublicGroup(reseal(body[:n]), Application{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("body of %d bytes: %v, want ErrCorrupt", n, err)
		}
	}
	other := publicOf(t, trio(t)[0])
	mixed := *service.at
	mixed.tree = other.at.tree
	if _, err := UnmarshalPublicGroup(must((&PublicGroup{at: &mixed}).MarshalBinary())(t), Application{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("tree of another group: %v, want ErrCorrupt", err)
	}
	commit := service.queue[0].content
	commit = &authenticatedContent{wireFormat: wireFormatPublic, content: groups[0].content(contentApplication, nil), auth: commit.auth}
	odd := &PublicGroup{at: service.at, queue: proposalQueue{{content: commit}}}
	if _, err := UnmarshalPublicGroup(must(odd.MarshalBinary())(t), Application{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a queued message that is no proposal: %v, want ErrCorrupt", err)
	}
}

// epochFaults are found by who knows the epoch.
var epochFaults = []infoFault{
	{"tag", "groupinfo.epoch", func(g *groupInfo) { g.confirmationTag = make([]byte, 32) }},
	{"context", "groupinfo.epoch", func(g *groupInfo) {
		ctx := *g.context
		ctx.extensions = nil
		g.context = &ctx
	}},
	{"signer", "groupinfo.signature", func(g *groupInfo) { g.signer = 0 }},
	{"blank signer", "groupinfo.signer", func(g *groupInfo) { g.signer = 3 }},
	{"extension twice", "extension.unique", func(g *groupInfo) { g.extensions = append(g.extensions, g.extensions[0]) }},
	{"external key", "groupinfo.external-pub", func(g *groupInfo) { g.extensions[1].Data = nil }},
}

// TestCheckGroupInfo: a delivery service finds out who gives it what is not of this epoch.
func TestCheckGroupInfo(t *testing.T) {
	groups := trio(t)
	old := groupInfoFor(t, groups[0])
	deliver(t, must(groups[1].Commit(CommitParams{}))(t).Message(), []*Group{groups[0], groups[2]})
	view := groups[0].View()
	for _, p := range []GroupInfoParams{{}, {Tree: true}, {ExternalPub: true}, {Tree: true, ExternalPub: true}} {
		if err := view.CheckGroupInfo(must(groups[2].View().GroupInfo(p))(t)); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if err := view.CheckGroupInfo(old); !errors.Is(err, ErrPastEpoch) {
		t.Errorf("old: %v, want ErrPastEpoch", err)
	}
	if err := view.CheckGroupInfo(publicCommit(t, groups[0])); !errors.Is(err, ErrMalformed) {
		t.Errorf("a commit: %v, want ErrMalformed", err)
	}
	fork := groups[1] // has not merged its commit: another one begins the same epoch
	if err := fork.Merge(must(fork.Commit(CommitParams{}))(t)); err != nil {
		t.Fatal(err)
	}
	wantRule(t, "fork", view.CheckGroupInfo(groupInfoFor(t, fork)), "groupinfo.epoch")
	for _, c := range epochFaults {
		wantRule(t, c.name, view.CheckGroupInfo(c.info(t, groups[2])), c.rule)
	}
	e := groups[2].at
	info := must(e.groupInfo(GroupInfoParams{Tree: true}))(t)
	info.extensions[0].Data = newGroup(t, "x").RatchetTree()
	if err := info.sign(e.suite, e.signatureKey); err != nil {
		t.Fatal(err)
	}
	if err := view.CheckGroupInfo(encode(&message{wireFormat: wireFormatGroupInfo, groupInfo: info}, writeMessage)); !errors.Is(err, ErrTreeMismatch) {
		t.Errorf("another tree: %v, want ErrTreeMismatch", err)
	}
	eachDamage(groupInfoFor(t, groups[2]), func(what string, at int, damaged []byte) {
		if err := view.CheckGroupInfo(damaged); err == nil {
			t.Errorf("GroupInfo with %s at %d was accepted", what, at)
		}
	})
}
