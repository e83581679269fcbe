package mls

import (
	"errors"
	"slices"
	"testing"

	"github.com/sealpost/sealpost/internal/wire"
)

// TestGreaseIsNobodysCapability: a reserved value that every leaf happens to announce is still
// nothing that a group can use or demand (RFC 9420 section 13.5).
func TestGreaseIsNobodysCapability(t *testing.T) {
	const reserved = 0x1a1a
	members := trio(t)[0].at.tree
	tree := members.clone()
	for l, leaf := range members.members {
		changed := *leaf
		changed.capabilities.extensions = append(slices.Clone(leaf.capabilities.extensions), reserved)
		changed.capabilities.proposals = append(slices.Clone(leaf.capabilities.proposals), reserved)
		changed.capabilities.credentials = append(slices.Clone(leaf.capabilities.credentials), reserved)
		tree.set(l.node(), &node{leaf: &changed})
	}
	required := func(rc requiredCapabilities) error {
		return tree.checkMembers([]Extension{{Type: ExtensionRequiredCapabilities, Data: encodeRequired(rc)}})
	}
	if err := tree.checkMembers([]Extension{{Type: testExtension}}); err != nil {
		t.Fatal(err)
	}
	wantRule(t, "in use", tree.checkMembers([]Extension{{Type: reserved}}), "group.extension-support")
	wantRule(t, "required extension", required(requiredCapabilities{extensions: []ExtensionType{reserved}}), "group.extension-support")
	wantRule(t, "required proposal", required(requiredCapabilities{proposals: []ProposalType{reserved}}), "group.proposal-support")
	wantRule(t, "required credential", required(requiredCapabilities{credentials: []CredentialType{reserved}}), "group.credential-support")
	wantRule(t, "proposal", tree.checkSupport([]ProposalType{reserved}, nil), "proposals.support")
}

// TestOwnCapabilities: what this package announces holds no default type and no reserved value
// that the application asked for, and one reserved value of each kind (sections 7.2 and 13.5).
func TestOwnCapabilities(t *testing.T) {
	asked := []Extension{{Type: ExtensionRequiredCapabilities}, {Type: testExtension}}
	c := newCapabilities(DefaultSuite, []ExtensionType{ExtensionApplicationID, testExtension, 0x2a2a},
		[]ProposalType{proposalAdd, ProposalSelfRemove, 0x3a3a}, asked)
	if len(c.extensions) != 2 || c.extensions[0] != testExtension || !isGrease(uint16(c.extensions[1])) {
		t.Errorf("extensions %#04x", c.extensions)
	}
	if len(c.proposals) != 2 || c.proposals[0] != ProposalSelfRemove || !isGrease(uint16(c.proposals[1])) {
		t.Errorf("proposals %#04x", c.proposals)
	}
	if len(c.credentials) != 3 || !c.hasCredential(CredentialBasic) || !c.hasCredential(CredentialX509) {
		t.Errorf("credentials %#04x", c.credentials)
	}
	for _, s := range Suites() {
		if !slices.Contains(c.suites, s) {
			t.Errorf("suite %v is not announced", s)
		}
	}
	if !slices.Equal(c.versions, []uint16{versionMLS10}) {
		t.Errorf("versions %d", c.versions)
	}
}

// TestOtherVersions: nothing of another protocol version is read, alone or inside a message
// (section 10).
func TestOtherVersions(t *testing.T) {
	kp, _ := keyPackage(t, "a")
	inner := kp.Bytes()
	inner[1] = 2
	if _, err := ParseKeyPackage(inner); !errors.Is(err, ErrMalformed) || !errors.Is(err, ErrUnsupported) {
		t.Errorf("package of version 2: %v", err)
	}
	wrapped := encode(&message{wireFormat: wireFormatKeyPackage, keyPackage: kp}, writeMessage)
	for _, at := range []int{1, 5} { // the message's version, and the package's
		other := slices.Clone(wrapped)
		other[at] = 2
		if _, err := parse(other, readMessage); !errors.Is(err, ErrMalformed) || !errors.Is(err, ErrUnsupported) {
			t.Errorf("version at %d: %v", at, err)
		}
	}
	ctx := trio(t)[0].at.ctx.bytes()
	ctx[1] = 2
	if _, err := parse(ctx, readGroupContext); !errors.Is(err, ErrUnsupported) {
		t.Errorf("group of version 2: %v", err)
	}
}

// TestNobodyOutsideEncrypts: only members' messages become PrivateMessages (section 6.3.2), and
// two under one key still have different nonces (section 6.3.1).
func TestNobodyOutsideEncrypts(t *testing.T) {
	g := trio(t)[0]
	st := must(g.keys.seekNext(0, contentApplication))(t)
	seal := func(from sender) (*privateMessage, error) {
		c := g.content(contentApplication, nil)
		c.sender = from
		a := &authenticatedContent{wireFormat: wireFormatPrivate, content: c}
		return protectPrivate(g.at.suite, a, g.at.secrets.senderData, st.key, 0)
	}
	for _, kind := range []uint8{senderExternal, senderNewMemberProposal, senderNewMemberCommit} {
		wantRule(t, "from outside", second(seal(sender{kind: kind})), "framing.sender")
	}
	first, again := must(seal(fromMember(0)))(t), must(seal(fromMember(0)))(t)
	guards := make([][4]byte, 2)
	for i, m := range []*privateMessage{first, again} {
		guards[i] = must(m.openSenderData(g.at.suite, g.at.secrets.senderData))(t).guard
	}
	if guards[0] == guards[1] || string(first.ciphertext) == string(again.ciphertext) {
		t.Errorf("two messages under one key with guards %x", guards)
	}
}

// TestTreesThatEndBlank: a ratchet_tree extension ends with a node that is not blank, and has
// leaves and parents at their places (section 12.4.3.3).
func TestTreesThatEndBlank(t *testing.T) {
	tree := trio(t)[0].at.tree
	s := tree.suite
	listed := func(nodes ...*node) error {
		var w wire.Writer
		wire.WriteVector(&w, nodes, writeOptionalNode)
		return second(s.parseRatchetTree(must(w.Finish())(t)))
	}
	var all []*node
	for x := range tree.width() {
		all = append(all, tree.node(x))
	}
	if err := listed(all[:5]...); err != nil {
		t.Fatal(err)
	}
	for name, nodes := range map[string][]*node{
		"nothing": nil, "a blank": {nil}, "a blank parent": all[:6], "blank leaf": all[:7],
		"a parent as leaf": {all[3]}, "a leaf as parent": {all[0], all[2], all[4]},
	} {
		if err := listed(nodes...); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}
