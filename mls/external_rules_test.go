package mls

import (
	"bytes"
	"errors"
	"testing"
)

// hackExternal makes an external commit that skips every check on the way; edit may change it
// before it is signed.
func hackExternal(t tb, groupInfo []byte, p ExternalParams, edit func(*externalBuilder)) *publicMessage {
	t.Helper()
	at, info, err := openGroupInfo(groupInfo, p.Tree, &p.Application, p.Now)
	if err != nil {
		t.Fatal(err)
	}
	data, _ := findExtension(info.extensions, extensionExternalPub)
	b := &externalBuilder{at: at, params: &p, commit: new(commit)}
	if err := b.propose(must(at.suite.parseExternalPub(data))(t)); err != nil {
		t.Fatal(err)
	}
	if err := b.enter(); err != nil {
		t.Fatal(err)
	}
	edit(b)
	_, msg, err := b.seal()
	return must(parse(must(msg, err)(t), readMessage))(t).public
}

func publicBytes(m *publicMessage) []byte {
	return encode(&message{wireFormat: wireFormatPublic, public: m}, writeMessage)
}

// externalFault bends an external commit that would join at leaf 3 of a trio.
type externalFault struct {
	name, rule string
	edit       func(*externalBuilder)
}

// externalFaults are the faults that a public check finds; ref names a proposal that waits.
func externalFaults(t tb, id Suite, groups []*Group, ref []byte) []externalFault {
	t.Helper()
	kp, _ := keyPackageOf(t, id, "e")
	resign := func(b *externalBuilder, leaf LeafIndex) {
		if err := b.commit.path.leaf.sign(b.at.suite, b.params.SignatureKey, b.at.ctx.groupID, leaf); err != nil {
			t.Fatal(err)
		}
	}
	also := func(ps ...*proposal) func(*externalBuilder) {
		return func(b *externalBuilder) {
			for _, p := range ps {
				b.commit.proposals = append(b.commit.proposals, proposalOrRef{proposal: p})
			}
		}
	}
	remove := func(l LeafIndex) *proposal { return &proposal{kind: proposalRemove, remove: l} }
	psk := &proposal{kind: proposalPSK, psk: &preSharedKeyID{kind: pskExternal, id: []byte("id"), nonce: make([]byte, suites[id].nh)}}
	return []externalFault{
		{"no ExternalInit", "external.init-count", func(b *externalBuilder) { b.commit.proposals = nil }},
		{"two ExternalInits", "external.init-count", func(b *externalBuilder) { also(b.commit.proposals[0].proposal)(b) }},
		{"bad ExternalInit", "external.init", func(b *externalBuilder) { b.commit.proposals[0].proposal.externalInit = badKey(t, id) }},
		{"two Removes", "external.remove-count", also(remove(0), remove(1))},
		{"one Remove twice", "external.remove-count", also(remove(1), remove(1))},
		{"Remove of nobody", "remove.blank", also(remove(3))},
		{"Remove outside the tree", "remove.blank", also(remove(noLeaf))},
		{"by reference", "external.reference", func(b *externalBuilder) {
			b.commit.proposals = append(b.commit.proposals, proposalOrRef{ref: ref})
		}},
		{"by reference alone", "external.reference", func(b *externalBuilder) { b.commit.proposals = []proposalOrRef{{ref: ref}} }},
		{"by unknown reference", "commit.reference", func(b *externalBuilder) {
			b.commit.proposals = append(b.commit.proposals, proposalOrRef{ref: make([]byte, len(ref))})
		}},
		{"extensions", "proposal.sender", also(&proposal{kind: proposalGroupExtensions, extensions: groups[0].Extensions()})},
		{"Add", "proposal.sender", also(&proposal{kind: proposalAdd, add: kp})},
		{"Update", "proposal.sender", also(&proposal{kind: proposalUpdate, update: groups[0].at.tree.leaf(0)})},
		{"ReInit", "proposal.sender", also(&proposal{kind: proposalReInit, reInit: &ReInit{Version: 1, Suite: id}})},
		{"SelfRemove by value", "proposal.sender", also(&proposal{kind: ProposalSelfRemove})},
		{"custom", "proposal.sender", also(&proposal{kind: 0xf00d})},
		{"ephemeral that nobody knows", "proposals.support", also(&proposal{kind: ProposalAppEphemeral, component: new(ComponentData)})},
		{"one key twice", "proposals.psk", also(psk, psk)},
		{"no path", "commit.path", func(b *externalBuilder) { b.commit.path = nil }},
		{"leaf source", "path.source", func(b *externalBuilder) {
			b.commit.path.leaf.source = sourceUpdate
			resign(b, 3)
		}},
		{"leaf of another place", "leaf.signature", func(b *externalBuilder) { resign(b, 2) }},
		{"leaf that does not announce what it has", "leaf.extension-support", func(b *externalBuilder) {
			b.commit.path.leaf.extensions = []Extension{{Type: 0xf999}}
			resign(b, 3)
		}},
		{"leaf without the group's extension", "group.extension-support", func(b *externalBuilder) {
			b.commit.path.leaf.capabilities.extensions = nil
			resign(b, 3)
		}},
		{"leaf key of a member", "path.unique-key", func(b *externalBuilder) {
			b.commit.path.leaf.encryptionKey = groups[0].at.tree.leaf(1).encryptionKey
			resign(b, 3)
		}},
		{"bad leaf key", "leaf.encryption-key", func(b *externalBuilder) {
			b.commit.path.leaf.encryptionKey = badKey(t, id)
			resign(b, 3)
		}},
		{"a node too few", "path.length", func(b *externalBuilder) { b.commit.path.nodes = b.commit.path.nodes[1:] }},
		{"a ciphertext too few", "path.ciphertexts", func(b *externalBuilder) { b.commit.path.nodes[1].secrets = b.commit.path.nodes[1].secrets[1:] }},
		{"another node key", "path.parent-hash", func(b *externalBuilder) {
			b.commit.path.nodes[0].encryptionKey = must(b.at.suite.generateHPKE())(t).pub
		}},
	}
}

// TestC27_ExternalCommits: what RFC 9420 section 12.2 forbids in an external commit, and bent
// leaves and paths, are refused by all members alike.
func TestC27_ExternalCommits(t *testing.T) {
	for _, id := range []Suite{DefaultSuite, SuiteP256AES128P256} {
		t.Run(id.String(), func(t *testing.T) { externalCommits(t, id) })
	}
}

func externalCommits(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	waiting := must(groups[2].Propose(ProposalParams{Update: true, Public: true}))(t)
	var ref []byte
	for _, g := range groups {
		must(g.Process(waiting))(t)
		ref = g.queue[0].ref
	}
	for _, c := range externalFaults(t, id, groups, ref) {
		msg := publicBytes(hackExternal(t, groupInfoFor(t, groups[0]), outsider(t, id, "d"), c.edit))
		for _, g := range groups {
			err := untouched(t, c.name, g, msg)
			wantRule(t, c.name, err, c.rule)
			if !errors.Is(err, ErrInvalidCommit) || errors.Is(err, ErrCannotFollow) {
				t.Errorf("%s at leaf %d: %v, want ErrInvalidCommit", c.name, g.OwnLeaf(), err)
			}
		}
	}
	groups = append(groups, comeIn(t, groups, outsider(t, id, "d")))
	agree(t, groups)
}

// framingFaults bend an external commit that is signed already.
var framingFaults = []struct {
	name, rule string
	edit       func(*publicMessage)
}{
	{"signature", "framing.signature", func(m *publicMessage) { m.auth.signature[0] ^= 1 }},
	{"as an external sender", "framing.sender", func(m *publicMessage) { m.content.sender = sender{kind: senderExternal} }},
	{"as a proposer", "framing.sender", func(m *publicMessage) { m.content.sender.kind = senderNewMemberProposal }},
	{"as a member", "framing.membership-tag", func(m *publicMessage) { m.content.sender = fromMember(0) }},
	{"short confirmation tag", "commit.confirmation-tag", func(m *publicMessage) { m.auth.confirmationTag = m.auth.confirmationTag[1:] }},
	{"no confirmation tag", "commit.confirmation-tag", func(m *publicMessage) { m.auth.confirmationTag = nil }},
	{"long confirmation tag", "commit.confirmation-tag", func(m *publicMessage) { m.auth.confirmationTag = append(m.auth.confirmationTag, 0) }},
}

// TestExternalFraming: who may say what from outside, and with which signature.
func TestExternalFraming(t *testing.T) {
	groups := trio(t)
	p := outsider(t, DefaultSuite, "d")
	good := func() *publicMessage {
		return hackExternal(t, groupInfoFor(t, groups[0]), p, func(*externalBuilder) {})
	}
	for _, c := range framingFaults {
		m := good()
		c.edit(m)
		for _, g := range groups {
			err := untouched(t, c.name, g, publicBytes(m))
			wantRule(t, c.name, err, c.rule)
			if !errors.Is(err, ErrInvalidCommit) {
				t.Errorf("%s: %v, want ErrInvalidCommit", c.name, err)
			}
		}
	}
	m := good()
	m.content.contentType, m.content.proposal = contentProposal, m.content.commit.proposals[0].proposal
	wantRule(t, "proposal of who commits", untouched(t, "proposal", groups[0], publicBytes(m)), "framing.sender")
	m = good()
	m.content.contentType = contentApplication
	wantRule(t, "application data", untouched(t, "application", groups[0], publicBytes(m)), "framing.application-public")
	m = good()
	m.auth.confirmationTag[0] ^= 1
	for _, g := range groups {
		if err := untouched(t, "tag", g, publicBytes(m)); !errors.Is(err, ErrCannotFollow) || errors.Is(err, ErrInvalidCommit) {
			t.Errorf("wrong confirmation tag at leaf %d: %v, want ErrCannotFollow alone", g.OwnLeaf(), err)
		}
	}
}

// sameName lets a leaf follow a leaf of the same name only, and external commits by resync only.
type sameName struct{}

func (sameName) ValidateCredential(c CredentialCheck) error {
	if c.Predecessor != nil && string(c.Predecessor.Identity) != string(c.Credential.Identity) {
		return errRefused
	}
	return nil
}

func (sameName) ValidateCommit(c CommitCheck) error {
	if c.External && len(c.Removes) == 0 {
		return errNotAllowed
	}
	return nil
}

// TestA17_ExternalCommitsByPolicy: whether one may come in from outside, and in whose place, is
// for the application to say, which sees who it is and that it comes from outside.
func TestA17_ExternalCommitsByPolicy(t *testing.T) {
	groups := trio(t)
	refusing := Application{Credentials: sameName{}}
	for _, g := range groups {
		g.app = refusing
	}
	joined := func(name string, remove *LeafIndex) []byte {
		p := outsider(t, DefaultSuite, name)
		p.Remove = remove
		_, msg, err := JoinExternal(groupInfoFor(t, groups[0]), p)
		if err != nil {
			t.Fatal(err)
		}
		return msg
	}
	for _, g := range groups {
		err := untouched(t, "join", g, joined("d", nil))
		wantRule(t, "join", err, "commit.policy")
		if !errors.Is(err, errNotAllowed) || !errors.Is(err, ErrInvalidCommit) {
			t.Errorf("join: %v, want the policy's error", err)
		}
		err = untouched(t, "in another's place", g, joined("d", new(LeafIndex(1))))
		wantRule(t, "in another's place", err, "leaf.credential")
		if !errors.Is(err, errRefused) || !errors.Is(err, ErrInvalidCommit) {
			t.Errorf("in another's place: %v, want the validator's error", err)
		}
		must(g.Process(joined("b", new(LeafIndex(1)))))(t)
	}
	// The joiner itself is told what the others will say.
	p := outsider(t, DefaultSuite, "d")
	p.Application = refusing
	_, _, err := JoinExternal(groupInfoFor(t, groups[0]), p)
	wantRule(t, "own join", err, "commit.policy")
	p.Remove = new(LeafIndex(1))
	_, _, err = JoinExternal(groupInfoFor(t, groups[0]), p)
	wantRule(t, "own join in another's place", err, "leaf.credential")
	// What the policy sees.
	var seen []CommitCheck
	groups[2].app.Credentials = policyOf(func(c CommitCheck) error {
		seen = append(seen, c)
		return nil
	})
	must(groups[2].Process(joined("b", new(LeafIndex(1)))))(t)
	must(groups[2].Process(must(groups[0].Commit(CommitParams{}))(t).Message()))(t)
	if len(seen) != 2 || !seen[0].External || seen[1].External {
		t.Fatalf("the policy saw %+v", seen)
	}
	c := seen[0]
	if c.Sender.Leaf != 1 || string(c.Sender.Credential.Identity) != "b" || len(c.Adds) != 1 || c.Adds[0].Leaf != 1 ||
		len(c.Removes) != 1 || c.Removes[0].Leaf != 1 || len(c.Updates) != 0 || c.Before.Epoch() != groups[2].Epoch() ||
		bytes.Equal(c.Sender.SignatureKey, c.Removes[0].SignatureKey) {
		t.Errorf("the policy saw %+v", c)
	}
}

// TestResyncKeepsNoKey: who comes back in its own place brings a new encryption key.
func TestResyncKeepsNoKey(t *testing.T) {
	groups := trio(t)
	p := outsider(t, DefaultSuite, "c")
	p.Remove = new(LeafIndex(2))
	msg := publicBytes(hackExternal(t, groupInfoFor(t, groups[0]), p, func(b *externalBuilder) {
		l := b.commit.path.leaf
		l.encryptionKey = groups[0].at.tree.leaf(2).encryptionKey
		if err := l.sign(b.at.suite, p.SignatureKey, b.at.ctx.groupID, 2); err != nil {
			t.Fatal(err)
		}
	}))
	wantRule(t, "key kept", untouched(t, "key kept", groups[1], msg), "leaf.same-encryption-key")
}
