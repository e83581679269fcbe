package mls

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// overseen is a trio whose group lists two external senders.
func overseen(t tb, id Suite) (groups []*Group, first, second SignaturePrivateKey) {
	t.Helper()
	groups = trioOf(t, id)
	first, second, _ = oversee(t, groups)
	return groups, first, second
}

// oversee has a group's first member list two external senders.
func oversee(t tb, groups []*Group) (first, second SignaturePrivateKey, commit []byte) {
	t.Helper()
	id := groups[0].Suite()
	first, second = signatureKeyOf(t, id), signatureKeyOf(t, id)
	es := append(groups[0].Extensions(), Extension{Type: ExtensionExternalSenders, Data: EncodeExternalSenders([]ExternalSender{
		{SignatureKey: first.Public(), Credential: basic("first")}, {SignatureKey: second.Public(), Credential: basic("second")},
	})})
	c := must(groups[0].Commit(CommitParams{Extensions: &es, Public: true}))(t)
	deliver(t, c.Message(), groups[1:])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	return first, second, c.Message()
}

// publicOf follows a group from the epoch that a member is in.
func publicOf(t tb, g *Group) *PublicGroup {
	t.Helper()
	return must(NewPublicGroup(groupInfoFor(t, g), nil, Application{}))(t)
}

// TestExternalProposals: an external sender's proposals and a newcomer's Add wait at every
// member like a member's, say who made them, and are committed by reference.
func TestExternalProposals(t *testing.T) { eachSuite(t, externalProposals) }

func externalProposals(t *testing.T, id Suite) {
	groups, first, second := overseen(t, id)
	service := publicOf(t, groups[1])
	kp, _ := keyPackageOf(t, id, "d")
	own, secrets := keyPackageOf(t, id, "e")
	for i, c := range []struct {
		key SignaturePrivateKey
		p   ProposalParams
		by  string
	}{
		{first, ProposalParams{Remove: new(LeafIndex(2)), AAD: []byte("aad")}, "first"},
		{second, ProposalParams{Add: kp, Now: testNow}, "second"},
		{second, ProposalParams{PSK: &PSKID{External: []byte("id")}}, "second"},
		{secrets.signatureKey, ProposalParams{Add: own, Now: testNow}, "e"},
	} {
		msg := must(service.Propose(c.key, c.p))(t)
		for j, g := range groups {
			q, ok := must(g.Process(msg))(t).(*QueuedProposal)
			if !ok || q.Own || q.External == nil || string(q.External.Credential.Identity) != c.by ||
				!bytes.Equal(q.External.SignatureKey, c.key.Public()) || !bytes.Equal(q.AAD, c.p.AAD) ||
				(q.Remove != nil) != (c.p.Remove != nil) || (q.Add != nil) != (c.p.Add != nil) || (q.PSK != nil) != (c.p.PSK != nil) {
				t.Errorf("proposal %d at leaf %d: %+v", i, j, q)
			}
			groups[j].app.PSKs = knownPSKs{"id": []byte("secret")}
			groups[j] = reload(t, groups[j])
			if err := untouched(t, "once more", groups[j], msg); !errors.Is(err, ErrConsumed) {
				t.Errorf("proposal %d once more: %v, want ErrConsumed", i, err)
			}
		}
	}
	c := must(groups[0].Commit(CommitParams{IncludePending: true, Now: testNow}))(t)
	if len(c.Adds()) != 2 || len(c.Removes()) != 1 {
		t.Fatalf("%d are added and %d removed, want 2 and 1", len(c.Adds()), len(c.Removes()))
	}
	deliver(t, c.Message(), groups[1:2])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	for _, w := range c.Welcomes() {
		if !bytes.Equal(w.KeyPackageRef, own.Ref()) {
			continue
		}
		p := JoinParams{Tree: groups[0].RatchetTree(), Now: testNow, Application: Application{PSKs: knownPSKs{"id": []byte("secret")}}}
		groups[2] = must(Join(w.Message, secrets, p))(t)
	}
	agree(t, groups)
}

// TestExternalProposalRules: who may propose what from outside, and only with its own key.
func TestExternalProposalRules(t *testing.T) {
	groups, first, _ := overseen(t, DefaultSuite)
	kp, secrets := keyPackage(t, "d")
	for _, c := range outsideFaults(groups, first, secrets) {
		msg := c.send(t, groups[0])
		for _, g := range groups {
			wantRule(t, c.name, untouched(t, c.name, g, msg), c.rule)
		}
		wantRule(t, c.name, second(publicOf(t, groups[0]).Process(msg)), c.rule)
	}
	service := publicOf(t, groups[0])
	own := LeafIndex(1)
	for name, p := range map[string]ProposalParams{"Update": {Update: true}, "SelfRemove": {SelfRemove: true}, "custom": {Custom: &CustomProposal{Type: 0xf00d}}} {
		wantRule(t, name, second(service.Propose(first, p)), "proposal.sender")
	}
	wantRule(t, "nothing", second(service.Propose(first, ProposalParams{})), "proposal.one")
	wantRule(t, "a stranger's Remove", second(service.Propose(secrets.signatureKey, ProposalParams{Remove: &own})), "framing.sender")
	wantRule(t, "a stranger's Add", second(service.Propose(signatureKey(t), ProposalParams{Add: kp, Now: testNow})), "framing.sender")
	msg := must(service.Propose(first, ProposalParams{Remove: &own}))(t)
	eachDamage(msg, func(what string, at int, damaged []byte) {
		if _, err := groups[2].Process(damaged); err == nil {
			t.Errorf("proposal with %s at %d was accepted", what, at)
		}
	})
	// No group without the extension takes any, and none of another epoch counts.
	other := trio(t)
	remove := outsideFault{key: first, from: sender{kind: senderExternal}, p: &proposal{kind: proposalRemove, remove: 1}}
	wantRule(t, "no list", untouched(t, "no list", other[1], remove.send(t, other[0])), "framing.sender")
	deliver(t, must(groups[0].Commit(CommitParams{}))(t).Message(), groups[1:])
	if err := untouched(t, "stale", groups[1], msg); !errors.Is(err, ErrPastEpoch) {
		t.Errorf("proposal of an epoch that is over: %v, want ErrPastEpoch", err)
	}
}

// outsideFault is a proposal from outside that nobody may make so.
type outsideFault struct {
	name, rule string
	key        SignaturePrivateKey
	from       sender
	p          *proposal
}

// send signs the proposal for the epoch that g is in.
func (f *outsideFault) send(t tb, g *Group) []byte {
	t.Helper()
	c := g.content(contentProposal, nil)
	c.sender, c.proposal = f.from, f.p
	a := &authenticatedContent{wireFormat: wireFormatPublic, content: c}
	if err := a.sign(g.at.suite, f.key, g.at.ctx); err != nil {
		t.Fatal(err)
	}
	return publicBytes(&publicMessage{content: c, auth: a.auth})
}

// outsideFaults are those of a group's first external sender and of who wants to be added.
func outsideFaults(groups []*Group, first SignaturePrivateKey, secrets *KeyPackageSecrets) []outsideFault {
	kp := secrets.kp
	external, newcomer := sender{kind: senderExternal}, sender{kind: senderNewMemberProposal}
	add, remove := &proposal{kind: proposalAdd, add: kp}, &proposal{kind: proposalRemove, remove: 1}
	damaged := *kp
	damaged.signature = bytes.Clone(kp.signature)
	damaged.signature[0] ^= 1
	return []outsideFault{
		{"another's place", "framing.signature", first, sender{kind: senderExternal, index: 1}, remove},
		{"beyond the list", "framing.sender", first, sender{kind: senderExternal, index: 2}, remove},
		{"far beyond the list", "framing.sender", first, sender{kind: senderExternal, index: 1 << 31}, remove},
		{"a member's key", "framing.signature", groups[0].at.signatureKey, external, remove},
		{"Update", "proposal.sender", first, external, &proposal{kind: proposalUpdate, update: groups[0].at.tree.leaf(0)}},
		{"ExternalInit", "proposal.sender", first, external, &proposal{kind: proposalExternalInit, externalInit: []byte{1}}},
		{"SelfRemove", "proposal.sender", first, external, &proposal{kind: ProposalSelfRemove}},
		{"custom", "proposal.sender", first, external, &proposal{kind: 0xf00d}},
		{"Remove of nobody", "remove.blank", first, external, &proposal{kind: proposalRemove, remove: 3}},
		{"Add of a bad package", "keypackage.signature", first, external, &proposal{kind: proposalAdd, add: &damaged}},
		{"newcomer who removes", "proposal.sender", secrets.signatureKey, newcomer, remove},
		{"newcomer who adds another", "framing.signature", first, newcomer, add},
		{"newcomer with a bad package", "keypackage.signature", secrets.signatureKey, newcomer, &proposal{kind: proposalAdd, add: &damaged}},
		{"committer who proposes", "framing.sender", first, sender{kind: senderNewMemberCommit}, add},
	}
}

// TestC25_FloodFromOutside: bounded for each external sender and for all newcomers together.
func TestC25_FloodFromOutside(t *testing.T) {
	groups, first, second := overseen(t, DefaultSuite)
	service := publicOf(t, groups[0])
	propose := func(key SignaturePrivateKey) []byte {
		kp, secrets := keyPackage(t, "flood")
		if key.isZero() {
			key = secrets.signatureKey
		}
		return must(service.Propose(key, ProposalParams{Add: kp, Now: testNow}))(t)
	}
	for name, key := range map[string]SignaturePrivateKey{"first": first, "second": second, "newcomers": {}} {
		for range maxPendingPerSender {
			msg := propose(key)
			must(groups[1].Process(msg))(t)
			must(service.Process(msg))(t)
		}
		msg := propose(key)
		if err := untouched(t, name, groups[1], msg); !errors.Is(err, ErrLimit) {
			t.Errorf("%s, one proposal more: %v, want ErrLimit", name, err)
		}
		if _, err := service.Process(msg); !errors.Is(err, ErrLimit) {
			t.Errorf("%s, one proposal more at who follows: %v, want ErrLimit", name, err)
		}
	}
}

// insiders refuses every proposal from outside, and what a member of a name proposes.
type insiders struct{}

func (insiders) ValidateCredential(CredentialCheck) error { return nil }

func (insiders) ValidateProposal(at *PublicView, p *QueuedProposal) error {
	if p.External != nil {
		return errNotAllowed
	}
	if m, _ := at.Member(p.Sender); strings.HasPrefix(string(m.Credential.Identity), "c") {
		return errNotAllowed
	}
	return nil
}

// TestProposalPolicy: what the application does not let somebody propose never waits, at
// nobody who has the same policy, and is not made.
func TestProposalPolicy(t *testing.T) {
	groups, first, _ := overseen(t, DefaultSuite)
	outside := must(publicOf(t, groups[0]).Propose(first, ProposalParams{Remove: new(LeafIndex(1))}))(t)
	inside := must(groups[2].Propose(ProposalParams{Remove: new(LeafIndex(1))}))(t)
	allowed := must(groups[0].Propose(ProposalParams{Remove: new(LeafIndex(1)), Public: true}))(t)
	app := Application{Credentials: insiders{}}
	for _, g := range groups {
		g.app = app
		for name, msg := range map[string][]byte{"outside": outside, "inside": inside} {
			if g == groups[2] && name == "inside" {
				continue
			}
			err := untouched(t, name, g, msg)
			wantRule(t, name, err, "proposal.policy")
			if !errors.Is(err, errNotAllowed) {
				t.Errorf("%s: %v, want the policy's error", name, err)
			}
		}
		must(g.Process(allowed))(t)
	}
	wantRule(t, "own", second(groups[2].Propose(ProposalParams{Update: true})), "proposal.policy")
	service := must(NewPublicGroup(groupInfoFor(t, groups[0]), nil, app))(t)
	wantRule(t, "own from outside", second(service.Propose(first, ProposalParams{Remove: new(LeafIndex(1))})), "proposal.policy")
	wantRule(t, "follower", second(service.Process(outside)), "proposal.policy")
	must(service.Process(allowed))(t)
}
