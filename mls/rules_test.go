package mls

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestEveryRuleIsListed: the table in VALIDATION.md names every rule of the code, and only
// tests that exist.
func TestEveryRuleIsListed(t *testing.T) {
	page, err := os.ReadFile("VALIDATION.md")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var code, tests strings.Builder
	for _, e := range entries {
		if b, err := os.ReadFile(e.Name()); err == nil && strings.HasSuffix(e.Name(), "_test.go") {
			tests.Write(b)
		} else if err == nil && strings.HasSuffix(e.Name(), ".go") {
			code.Write(b)
		}
	}
	rules := regexp.MustCompile(`broken(?:By)?\("([a-z.-]+)"`).FindAllStringSubmatch(code.String(), -1)
	if len(rules) < 50 {
		t.Errorf("only %d rules found in the code", len(rules))
	}
	for _, r := range rules {
		if !regexp.MustCompile(`\| ` + regexp.QuoteMeta(r[1]) + `[ |]`).Match(page) {
			t.Errorf("rule %s is not listed", r[1])
		}
	}
	for _, name := range regexp.MustCompile(`Test\w+`).FindAllString(string(page), -1) {
		if !strings.Contains(tests.String(), "func "+name+"(") {
			t.Errorf("%s does not exist", name)
		}
	}
}

func TestSignWithOwnLabel(t *testing.T) { eachSuite(t, signWithOwnLabel) }

func signWithOwnLabel(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	s := groups[0].Suite()
	sig := must(groups[0].Sign("Sealpost knock", []byte("content")))(t)
	key := groups[0].Members()[0].SignatureKey
	if err := s.Verify(key, "Sealpost knock", []byte("content"), sig); err != nil {
		t.Error(err)
	}
	wantRule(t, "another label", s.Verify(key, "Sealpost signal", []byte("content"), sig), "signature")
	wantRule(t, "another content", s.Verify(key, "Sealpost knock", []byte("Content"), sig), "signature")
	wantRule(t, "another key", s.Verify(groups[1].Members()[1].SignatureKey, "Sealpost knock", []byte("content"), sig), "signature")
	if err := unknownSuite.Verify(key, "x", nil, sig); !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v: %v, want ErrUnsupported", unknownSuite, err)
	}
	again := must(s.ParseSignatureKey(must(groups[0].at.signatureKey.MarshalBinary())(t)))(t)
	if err := s.Verify(key, "x", nil, must(again.Sign("x", nil))(t)); err != nil {
		t.Error(err)
	}
}

// TestUpdateRules: Update proposals that break a rule are refused on arrival.
func TestUpdateRules(t *testing.T) { eachSuite(t, updateRules) }

func updateRules(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	for _, c := range updateFaults(t, groups[0]) {
		g := groups[0].Clone()
		wantRule(t, c.name, second(groups[1].Process(forgedProposal(t, g, updateWith(t, g, c.edit)))), c.rule)
	}
	leaf := LeafIndex(9)
	wantRule(t, "nothing", second(groups[0].Propose(ProposalParams{})), "proposal.one")
	wantRule(t, "two kinds", second(groups[0].Propose(ProposalParams{Update: true, Remove: &leaf})), "proposal.one")
	wantRule(t, "nobody", second(groups[0].Propose(ProposalParams{Remove: &leaf})), "remove.blank")
	wantRule(t, "blank leaf", groups[0].at.checkReplacement(groups[0].at.tree.leaf(0), 3, nil, CredentialUpdate), "leaf.blank")
}

// updateFault bends an Update.
type updateFault struct {
	name, rule string
	edit       func(*leafNode)
}

func updateFaults(t tb, g *Group) []updateFault {
	t.Helper()
	low := badKey(t, g.Suite())
	return []updateFault{
		{"source", "update.source", func(l *leafNode) { l.source = sourceCommit }},
		{"key kept", "leaf.same-encryption-key", func(l *leafNode) { l.encryptionKey = g.at.tree.leaf(g.OwnLeaf()).encryptionKey }},
		{"low order", "leaf.encryption-key", func(l *leafNode) { l.encryptionKey = low }},
	}
}

// TestSenderMustBeMember: messages in the name of a blank leaf, of a leaf outside the tree,
// and application data in the clear.
func TestSenderMustBeMember(t *testing.T) {
	groups := trio(t)
	g := groups[0]
	for _, l := range []uint32{3, 1 << 30} {
		for _, format := range []uint16{wireFormatPublic, wireFormatPrivate} {
			wantRule(t, "stranger", second(groups[1].Process(nameless(t, g, l, format))), "framing.sender")
		}
	}
	a, msg := publicApplication(t, g)
	wantRule(t, "own application data", second(protectPublic(g.at.suite, a, g.at.ctx, g.at.secrets.membershipKey)), "framing.application-public")
	wantRule(t, "application data", second(groups[1].Process(msg)), "framing.application-public")
}

// nameless is a proposal that g makes in the name of a leaf that nobody has.
func nameless(t tb, g *Group, leaf uint32, format uint16) []byte {
	t.Helper()
	c := g.content(contentProposal, nil)
	c.sender.index, c.proposal = leaf, &proposal{kind: proposalRemove, remove: 1}
	a := &authenticatedContent{wireFormat: format, content: c}
	if err := a.sign(g.at.suite, g.at.signatureKey, g.at.ctx); err != nil {
		t.Fatal(err)
	}
	m := &message{wireFormat: format}
	if format == wireFormatPublic {
		m.public = must(protectPublic(g.at.suite, a, g.at.ctx, g.at.secrets.membershipKey))(t)
	} else {
		st := must(g.keys.seekNext(0, contentProposal))(t)
		m.private = must(protectPrivate(g.at.suite, a, g.at.secrets.senderData, st.key, 0))(t)
	}
	return encode(m, writeMessage)
}

// publicApplication is application data of g that anybody can read.
func publicApplication(t tb, g *Group) (*authenticatedContent, []byte) {
	t.Helper()
	a := &authenticatedContent{wireFormat: wireFormatPublic, content: g.content(contentApplication, nil)}
	if err := a.sign(g.at.suite, g.at.signatureKey, g.at.ctx); err != nil {
		t.Fatal(err)
	}
	return a, publicBytes(&publicMessage{content: a.content, auth: a.auth, membershipTag: g.at.suite.mac(g.at.secrets.membershipKey, a.tbm(g.at.ctx))})
}

// unmet are capabilities that nobody has.
var unmet = map[string]requiredCapabilities{
	"group.proposal-support":   {proposals: []ProposalType{0xf00d}},
	"group.credential-support": {credentials: []CredentialType{0xf00d}},
	"group.extension-support":  {extensions: []ExtensionType{0xf00d}},
}

// TestRequiredCapabilities: a group may demand what this package's KeyPackages do not offer.
func TestRequiredCapabilities(t *testing.T) {
	groups := trio(t)
	for rule, rc := range unmet {
		es := []Extension{{Type: ExtensionRequiredCapabilities, Data: encodeRequired(rc)}}
		wantRule(t, rule, second(groups[0].Commit(CommitParams{Extensions: &es})), rule)
	}
	es := []Extension{{Type: ExtensionRequiredCapabilities, Data: encodeRequired(requiredCapabilities{
		extensions: []ExtensionType{testExtension}, proposals: []ProposalType{proposalAdd}, credentials: []CredentialType{CredentialBasic},
	})}}
	must(groups[0].Commit(CommitParams{Extensions: &es}))(t)
}

// TestGroupInfoRules: Welcomes whose content a hostile committer made up.
func TestGroupInfoRules(t *testing.T) { eachSuite(t, groupInfoRules) }

func groupInfoRules(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	g := groups[0]
	kp, secrets := keyPackageOf(t, id, "d")
	c := must(g.Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow, Path: true}))(t)
	p := JoinParams{Tree: c.Next().RatchetTree()}
	must(Join(c.Welcomes()[0].Message, secrets, p))(t)
	for _, e := range welcomeFaults(g.at.suite) {
		wantRule(t, e.name, second(Join(e.welcome(t, g, c.Welcomes()[0].Message, secrets), secrets, p)), e.rule)
	}
	// A leaf that is not in the tree: the Welcome was made for another package of ours.
	_, err := findLeaf(c.Next().tree, must(parse(groups[1].at.tree.leaf(1).encode(), readLeafNode))(t))
	if err != nil {
		t.Errorf("a member's leaf is not found: %v", err)
	}
	stranger, _ := keyPackageOf(t, id, "stranger")
	wantRule(t, "stranger", second(findLeaf(c.Next().tree, stranger.leaf)), "welcome.own-leaf")
	self := &EpochView{PublicView: &PublicView{suite: g.at.suite, tree: c.Next().tree}, own: 0}
	wantRule(t, "signed by ourselves", self.holdWelcome(&groupSecrets{}, 0, nil), "groupinfo.signer")
}

// welcomeFault bends what a Welcome holds.
type welcomeFault struct {
	name, rule string
	edit       func(*groupSecrets, *groupInfo)
}

// welcome opens the Welcome that g made for secrets and seals it again with the fault.
func (f *welcomeFault) welcome(t tb, g *Group, original []byte, secrets *KeyPackageSecrets) []byte {
	t.Helper()
	s := g.at.suite
	opened, info, err := openWelcome(s, must(parse(original, readMessage))(t).welcome, secrets.kp.Ref(), secrets.initKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	signature := info.signature
	f.edit(opened, info)
	if f.rule != "groupinfo.signature" && f.rule != "groupinfo.signer" {
		if err := info.sign(s, g.at.signatureKey); err != nil {
			t.Fatal(err)
		}
	} else if info.signature != nil {
		info.signature = signature
	}
	return sealWelcome(t, s, secrets.kp, opened, encode(opened, writeGroupSecrets), encode(info, writeGroupInfo))
}

func welcomeFaults(s *suite) []welcomeFault {
	return []welcomeFault{
		{"signature", "groupinfo.signature", func(_ *groupSecrets, i *groupInfo) { i.signature = nil }},
		{"signer is blank", "groupinfo.signer", func(_ *groupSecrets, i *groupInfo) { i.signer = 9 }},
		{"signed by another member", "groupinfo.signature", func(_ *groupSecrets, i *groupInfo) { i.signer = 1 }},
		{"suite", "groupinfo.suite", func(_ *groupSecrets, i *groupInfo) { i.context.suite = another(s.id) }},
		{"confirmation tag", "groupinfo.confirmation-tag", func(_ *groupSecrets, i *groupInfo) {
			i.confirmationTag = i.confirmationTag[:len(i.confirmationTag)-1]
		}},
		{"epoch", "groupinfo.confirmation-tag", func(_ *groupSecrets, i *groupInfo) { i.context.epoch++ }},
		{"group", "leaf.signature", func(_ *groupSecrets, i *groupInfo) { i.context.groupID = []byte("other") }},
		{"extension twice", "extension.unique", func(_ *groupSecrets, i *groupInfo) {
			i.extensions = append(i.extensions, Extension{Type: 0x0a0a}, Extension{Type: 0x0a0a})
		}},
		{"path secret", "welcome.path-secret", func(gs *groupSecrets, _ *groupInfo) { gs.pathSecret = make([]byte, len(gs.pathSecret)) }},
		{"short path secret", "welcome.path-secret", func(gs *groupSecrets, _ *groupInfo) { gs.pathSecret = gs.pathSecret[1:] }},
		{"context's extension twice", "extension.unique", func(_ *groupSecrets, i *groupInfo) {
			i.context.extensions = []Extension{{Type: testExtension}, {Type: testExtension}}
		}},
		{"misplaced", "extension.place", func(_ *groupSecrets, i *groupInfo) {
			i.extensions = append(i.extensions, Extension{Type: ExtensionExternalSenders})
		}},
		{"PSK with a short nonce", "welcome.psk", func(gs *groupSecrets, _ *groupInfo) {
			gs.psks = []preSharedKeyID{{kind: pskExternal, nonce: make([]byte, s.nh-1)}}
		}},
		{"PSK twice", "welcome.psk", func(gs *groupSecrets, _ *groupInfo) {
			psk := preSharedKeyID{kind: pskExternal, nonce: make([]byte, s.nh)}
			gs.psks = []preSharedKeyID{psk, psk}
		}},
		{"links to two groups", "welcome.psk", func(gs *groupSecrets, _ *groupInfo) {
			for _, usage := range []uint8{usageReInit, usageBranch} {
				gs.psks = append(gs.psks, preSharedKeyID{kind: pskResumption, usage: usage, nonce: make([]byte, s.nh)})
			}
		}},
	}
}

func (l *leafNode) encode() []byte { return encode(l, writeLeafNode) }
