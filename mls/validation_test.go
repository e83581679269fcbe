package mls

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
)

// forge signs a KeyPackage again after edit has changed it and its leaf; after may change the
// leaf between its signature and the package's.
func forge(t tb, id Suite, edit func(kp *KeyPackage, leaf *leafNode), after ...func(*leafNode)) *KeyPackage {
	t.Helper()
	kp, secrets := keyPackageOf(t, id, "forged")
	changed, leaf := *kp, *kp.leaf
	leaf.extensions = slices.Clone(leaf.extensions)
	changed.leaf = &leaf
	edit(&changed, &leaf)
	s := suites[kp.suite]
	if err := leaf.sign(s, secrets.signatureKey, []byte("group"), 0); err != nil {
		t.Fatal(err)
	}
	for _, f := range after {
		f(&leaf)
	}
	changed.signature = must(s.signWithLabel(secrets.signatureKey, "KeyPackageTBS", changed.tbs()))(t)
	return &changed
}

var lowOrder = make([]byte, 32)

// badKeyPackages break one rule each, with a good signature.
func badKeyPackages(t tb, id Suite) map[string]*KeyPackage {
	t.Helper()
	other, _ := keyPackageOf(t, id, "other")
	broken := forge(t, id, func(*KeyPackage, *leafNode) {})
	broken.signature = bytes.Clone(broken.signature)
	broken.signature[5] ^= 1
	return map[string]*KeyPackage{
		"keypackage.signature": broken,
		"keypackage.source":    forge(t, id, func(_ *KeyPackage, l *leafNode) { l.source = sourceUpdate }),
		"keypackage.init-key":  forge(t, id, func(kp *KeyPackage, l *leafNode) { kp.initKey = l.encryptionKey }),
		"leaf.encryption-key":  forge(t, id, func(_ *KeyPackage, l *leafNode) { l.encryptionKey = badKey(t, id) }),
		"leaf.extension-support": forge(t, id, func(_ *KeyPackage, l *leafNode) {
			l.extensions = []Extension{{Type: 0xf777}}
		}),
		"extension.place": forge(t, id, func(_ *KeyPackage, l *leafNode) {
			l.extensions = []Extension{{Type: ExtensionRequiredCapabilities, Data: encodeRequired(requiredCapabilities{})}}
		}),
		"extension.unique": forge(t, id, func(_ *KeyPackage, l *leafNode) {
			l.extensions = []Extension{{Type: testExtension}, {Type: testExtension}}
		}),
		"leaf.credential-support": forge(t, id, func(_ *KeyPackage, l *leafNode) {
			l.capabilities.credentials = []CredentialType{CredentialX509}
		}),
		"leaf.suite-support": forge(t, id, func(_ *KeyPackage, l *leafNode) { l.capabilities.suites = []Suite{unknownSuite} }),
		"leaf.signature": forge(t, id, func(*KeyPackage, *leafNode) {}, func(l *leafNode) {
			l.signature = bytes.Clone(l.signature)
			l.signature[5] ^= 1
		}),
		"group.extension-support": forge(t, id, func(_ *KeyPackage, l *leafNode) { l.capabilities.extensions = nil }),
		"keypackage.suite": forge(t, id, func(kp *KeyPackage, _ *leafNode) {
			kp.suite = another(id)
			kp.initKey = other.initKey
		}),
	}
}

func withoutPath(b *commitBuilder) { b.commit.path = nil }

func wantRule(t *testing.T, what string, err error, rule string) {
	t.Helper()
	if e, ok := errors.AsType[*Error](err); !ok || e.Rule != rule || !errors.Is(err, ErrInvalid) {
		t.Errorf("%s: %v, want rule %s", what, err, rule)
	}
}

// TestKeyPackageRules: each is refused by who would add it and, committed by an insider, by
// everybody else.
func TestKeyPackageRules(t *testing.T) { eachSuite(t, keyPackageRules) }

func keyPackageRules(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	for rule, kp := range badKeyPackages(t, id) {
		if rule != "group.extension-support" && rule != "keypackage.suite" {
			wantRule(t, "Verify", kp.Verify(testNow, nil), rule)
		}
		msg := must(hack(t, groups[0].Clone(), []*proposal{{kind: proposalAdd, add: kp}}, withoutPath, wireFormatPrivate, nil))(t)
		_, err := groups[1].Process(msg)
		wantRule(t, "Process", err, rule)
		if !errors.Is(err, ErrInvalidCommit) {
			t.Errorf("%s: %v, want ErrInvalidCommit", rule, err)
		}
		if _, err := groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow}); err == nil {
			t.Errorf("%s: our own commit adds it", rule)
		}
	}
	list := func(es ...Extension) *KeyPackage {
		return forge(t, id, func(kp *KeyPackage, _ *leafNode) { kp.extensions = es })
	}
	wantRule(t, "package's extension twice", list(Extension{Type: 0xf777}, Extension{Type: 0xf777}).Verify(testNow, nil), "extension.unique")
	wantRule(t, "application id of a package", list(Extension{Type: ExtensionApplicationID}).Verify(testNow, nil), "extension.place")
	old := forge(t, id, func(_ *KeyPackage, l *leafNode) { l.capabilities.versions = []uint16{0x0a0a} })
	wantRule(t, "leaf of another version", old.Verify(testNow, nil), "leaf.suite-support")
	long := forge(t, id, func(_ *KeyPackage, l *leafNode) { l.lifetime.notAfter += uint64(MaxLifetime / time.Second) })
	if err := long.Verify(testNow, nil); !errors.Is(err, ErrExpired) {
		t.Errorf("lifetime of more than MaxLifetime: %v, want ErrExpired", err)
	}
}

// clashing are good KeyPackages: with the init key and with the leaf key of kp, and of a member.
func clashing(t tb, kp *KeyPackage, member SignaturePrivateKey) (sameInit, sameLeafKey, again *KeyPackage) {
	t.Helper()
	sameInit = forge(t, kp.suite, func(other *KeyPackage, _ *leafNode) { other.initKey = kp.initKey })
	sameLeafKey = forge(t, kp.suite, func(_ *KeyPackage, l *leafNode) { l.encryptionKey = kp.leaf.encryptionKey })
	again, _, err := NewKeyPackage(KeyPackageConfig{
		Suite: kp.suite, Credential: basic("c"), SignatureKey: member, SupportedExtensions: []ExtensionType{testExtension},
		NotBefore: testNow, NotAfter: testNow.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return sameInit, sameLeafKey, again
}

// TestC27_ProposalLists: lists that RFC 9420 section 12.2 forbids, committed by an insider.
func TestC27_ProposalLists(t *testing.T) { eachSuite(t, proposalLists) }

func proposalLists(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	for _, c := range listFaults(t, groups) {
		before := fingerprint(t, groups[1])
		_, err := groups[1].Process(c.commit(t, groups[0], wireFormatPrivate))
		wantRule(t, c.name, err, c.rule)
		if !errors.Is(err, ErrInvalidCommit) || errors.Is(err, ErrCannotFollow) {
			t.Errorf("%s: %v, want ErrInvalidCommit", c.name, err)
		}
		if !bytes.Equal(fingerprint(t, groups[1]), before) {
			t.Errorf("%s left a trace", c.name)
		}
	}
}

// listFault is a list of proposals that no commit may hold.
type listFault struct {
	name string
	rule string
	list []*proposal
}

// commit has g commit the list by value.
func (f *listFault) commit(t tb, g *Group, format uint16) []byte {
	t.Helper()
	edit := func(*commitBuilder) {}
	if slices.ContainsFunc(f.list, func(p *proposal) bool { return p.kind == proposalAdd }) {
		edit = withoutPath
	}
	return must(hack(t, g.Clone(), f.list, edit, format, nil))(t)
}

// listFaults are those of the first of a trio.
func listFaults(t tb, groups []*Group) []listFault {
	t.Helper()
	id := groups[0].Suite()
	kp, _ := keyPackageOf(t, id, "d")
	sameKey := forge(t, id, func(_ *KeyPackage, l *leafNode) {
		l.signatureKey = groups[2].at.tree.leaf(2).signatureKey
	})
	sameInit, sameLeafKey, member := clashing(t, kp, groups[2].at.signatureKey)
	add := &proposal{kind: proposalAdd, add: kp}
	remove := func(l LeafIndex) *proposal { return &proposal{kind: proposalRemove, remove: l} }
	extensions := func(es ...Extension) *proposal { return &proposal{kind: proposalGroupExtensions, extensions: es} }
	required := encodeRequired(requiredCapabilities{extensions: []ExtensionType{0xf888}})
	kemOutput, _, err := suites[id].sendInit(must(groups[0].at.externalKey())(t).pub)
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, suites[id].nh)
	reInit := func(p ReInit) *proposal { return &proposal{kind: proposalReInit, reInit: &p} }
	psk := func(id preSharedKeyID) *proposal { return &proposal{kind: proposalPSK, psk: &id} }
	return []listFault{
		{"own update", "proposals.own-update", []*proposal{updateWith(t, groups[0], func(*leafNode) {})}},
		{"own remove", "proposals.own-remove", []*proposal{remove(0)}},
		{"two removes of one leaf", "proposals.same-leaf", []*proposal{remove(1), remove(1)}},
		{"remove of nobody", "remove.blank", []*proposal{remove(3)}},
		{"remove outside the tree", "remove.blank", []*proposal{remove(1 << 31)}},
		{"two lists of extensions", "proposals.extensions", []*proposal{extensions(), extensions()}},
		{"extension twice", "extension.unique", []*proposal{extensions(Extension{Type: testExtension}, Extension{Type: testExtension})}},
		{"extension nobody supports", "group.extension-support", []*proposal{extensions(Extension{Type: 0xf888})}},
		{"required capability nobody has", "group.extension-support", []*proposal{extensions(Extension{Type: ExtensionRequiredCapabilities, Data: required})}},
		{"broken required capabilities", "extension.required-capabilities", []*proposal{extensions(Extension{Type: ExtensionRequiredCapabilities, Data: []byte{9}})}},
		{"broken external senders", "extension.external-senders", []*proposal{extensions(Extension{Type: ExtensionExternalSenders, Data: []byte{9}})}},
		{"the tree in the group context", "extension.place", []*proposal{extensions(Extension{Type: extensionRatchetTree})}},
		{"external key in the group context", "extension.place", []*proposal{extensions(Extension{Type: extensionExternalPub})}},
		{"application id in the group context", "extension.place", []*proposal{extensions(Extension{Type: ExtensionApplicationID})}},
		{"two packages with one init key", "proposals.init-key", []*proposal{add, {kind: proposalAdd, add: sameInit}}},
		{"one client twice", "proposals.init-key", []*proposal{add, add}},
		{"one leaf twice", "tree.unique-encryption-key", []*proposal{add, {kind: proposalAdd, add: sameLeafKey}}},
		{"a member once more", "tree.unique-signature-key", []*proposal{{kind: proposalAdd, add: member}}},
		{"signature key of another", "keypackage.signature", []*proposal{{kind: proposalAdd, add: sameKey}}},
		{"ExternalInit by a member", "proposals.external-init", []*proposal{{kind: proposalExternalInit, externalInit: kemOutput}}},
		{"PSK with a short nonce", "psk.nonce", []*proposal{psk(preSharedKeyID{kind: pskExternal, nonce: nonce[1:]})}},
		{"PSK with a long nonce", "psk.nonce", []*proposal{psk(preSharedKeyID{kind: pskExternal, nonce: append(nonce, 0)})}},
		{"PSK for a reinitialized group", "psk.usage", []*proposal{psk(preSharedKeyID{kind: pskResumption, usage: usageReInit, groupID: []byte("group"), epoch: 1, nonce: nonce})}},
		{"PSK for a subgroup", "psk.usage", []*proposal{psk(preSharedKeyID{kind: pskResumption, usage: usageBranch, groupID: []byte("group"), epoch: 1, nonce: nonce})}},
		{"PSK twice", "proposals.psk", []*proposal{psk(preSharedKeyID{kind: pskExternal, nonce: nonce}), add, psk(preSharedKeyID{kind: pskExternal, nonce: nonce})}},
		{"ReInit of version 0", "reinit.version", []*proposal{reInit(ReInit{Suite: id})}},
		{"ReInit with an extension twice", "extension.unique", []*proposal{reInit(ReInit{Version: 1, Suite: id, Extensions: []Extension{{Type: testExtension}, {Type: testExtension}}})}},
		{"ReInit after an Add", "proposals.reinit", []*proposal{add, reInit(ReInit{Version: 1, Suite: id})}},
		{"ReInit before a PSK", "proposals.reinit", []*proposal{reInit(ReInit{Version: 1, Suite: id}), psk(preSharedKeyID{kind: pskExternal, nonce: nonce})}},
		{"ReInit twice", "proposals.reinit", []*proposal{reInit(ReInit{Version: 1, Suite: id}), reInit(ReInit{Version: 2, Suite: id})}},
	}
}

func encodeRequired(rc requiredCapabilities) []byte {
	var w wire.Writer
	wire.WriteVector(&w, rc.extensions, writeUint[ExtensionType])
	wire.WriteVector(&w, rc.proposals, writeUint[ProposalType])
	wire.WriteVector(&w, rc.credentials, writeUint[CredentialType])
	return mustFinish(&w)
}

// TestPathRules: paths that an insider bent after computing them.
func TestPathRules(t *testing.T) { eachSuite(t, pathRules) }

func pathRules(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	for _, c := range pathFaults(t, groups) {
		msg := must(hack(t, groups[0].Clone(), nil, c.edit, wireFormatPrivate, nil))(t)
		for _, g := range groups[1:] {
			_, err := g.Process(msg)
			wantRule(t, c.name, err, c.rule)
			if !errors.Is(err, ErrInvalidCommit) || errors.Is(err, ErrCannotFollow) {
				t.Errorf("%s at leaf %d: %v, want ErrInvalidCommit", c.name, g.OwnLeaf(), err)
			}
		}
	}
}

// pathFault bends a commit of a trio's first.
type pathFault struct {
	name, rule string
	edit       func(*commitBuilder)
}

func pathFaults(t tb, groups []*Group) []pathFault {
	t.Helper()
	id := groups[0].Suite()
	resign := func(b *commitBuilder) {
		l := b.commit.path.leaf
		if err := l.sign(b.group.at.suite, b.signatureKey, b.group.at.ctx.groupID, b.group.at.own); err != nil {
			t.Fatal(err)
		}
	}
	relink := func(b *commitBuilder) { // so that the nodes' keys are those that the leaf was made for
		tree, own := b.plan.tree.clone(), b.group.at.own
		var keys [][]byte
		for _, n := range b.commit.path.nodes {
			keys = append(keys, n.encryptionKey)
		}
		b.commit.path.leaf.parentHash = tree.setPath(own, tree.filteredPath(own), keys)
		resign(b)
	}
	stranger := must(groups[0].at.suite.generateHPKE())(t).pub
	return []pathFault{
		{"no path and no proposals", "commit.path", func(b *commitBuilder) { b.commit.path = nil }},
		{"no path with a remove", "commit.path", func(b *commitBuilder) {
			b.commit.path = nil
			b.commit.proposals = []proposalOrRef{{proposal: &proposal{kind: proposalRemove, remove: 2}}}
		}},
		{"unknown reference", "commit.reference", func(b *commitBuilder) {
			b.commit.proposals = []proposalOrRef{{ref: make([]byte, b.group.at.suite.nh)}}
		}},
		{"leaf source", "path.source", func(b *commitBuilder) { b.commit.path.leaf.source = sourceUpdate; resign(b) }},
		{"leaf signature", "leaf.signature", func(b *commitBuilder) { b.commit.path.leaf.signature[0] ^= 1 }},
		{"leaf of another group", "leaf.signature", func(b *commitBuilder) {
			if err := b.commit.path.leaf.sign(b.group.at.suite, b.signatureKey, []byte("other"), 0); err != nil {
				t.Fatal(err)
			}
		}},
		{"leaf key kept", "leaf.same-encryption-key", func(b *commitBuilder) {
			b.commit.path.leaf.encryptionKey = b.group.at.tree.leaf(0).encryptionKey
			resign(b)
		}},
		{"leaf key of another member", "path.unique-key", func(b *commitBuilder) {
			b.commit.path.leaf.encryptionKey = b.group.at.tree.leaf(1).encryptionKey
			resign(b)
		}},
		{"leaf key of low order", "leaf.encryption-key", func(b *commitBuilder) {
			b.commit.path.leaf.encryptionKey = badKey(t, id)
			resign(b)
		}},
		{"signature key of another member", "leaf.signature", func(b *commitBuilder) {
			b.commit.path.leaf.signatureKey = b.group.at.tree.leaf(1).signatureKey
			resign(b)
		}},
		{"unsupported leaf extension", "leaf.extension-support", func(b *commitBuilder) {
			b.commit.path.leaf.extensions = []Extension{{Type: 0xf999}}
			resign(b)
		}},
		{"a node too few", "path.length", func(b *commitBuilder) { b.commit.path.nodes = b.commit.path.nodes[:1] }},
		{"a node too many", "path.length", func(b *commitBuilder) {
			b.commit.path.nodes = append(b.commit.path.nodes, b.commit.path.nodes[0])
		}},
		{"a ciphertext too few", "path.ciphertexts", func(b *commitBuilder) { b.commit.path.nodes[1].secrets = nil }},
		{"a ciphertext too many", "path.ciphertexts", func(b *commitBuilder) {
			n := &b.commit.path.nodes[1]
			n.secrets = append(n.secrets, n.secrets[0])
		}},
		{"node key of a member", "path.unique-key", func(b *commitBuilder) {
			b.commit.path.nodes[0].encryptionKey = b.group.at.tree.leaf(1).encryptionKey
		}},
		{"one key for two nodes", "path.unique-key", func(b *commitBuilder) {
			b.commit.path.nodes[1].encryptionKey = b.commit.path.nodes[0].encryptionKey
		}},
		{"node key of low order", "path.key", func(b *commitBuilder) { b.commit.path.nodes[1].encryptionKey = badKey(t, id); relink(b) }},
		{"another node key", "path.parent-hash", func(b *commitBuilder) { b.commit.path.nodes[1].encryptionKey = stranger }},
		{"another parent hash", "path.parent-hash", func(b *commitBuilder) {
			b.commit.path.leaf.parentHash = make([]byte, b.group.at.suite.nh)
			resign(b)
		}},
	}
}

// TestTreeRules: trees that a hostile committer signed for a joiner.
func TestTreeRules(t *testing.T) { eachSuite(t, treeRules) }

func treeRules(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	e := groups[0].at
	check := func(edit func(*ratchetTree)) error {
		tree := e.tree.clone()
		edit(tree)
		return tree.checkReceived(e.ctx, nil)
	}
	if err := check(func(*ratchetTree) {}); err != nil {
		t.Fatal(err)
	}
	if e.tree.node(3) == nil {
		t.Fatal("the root of the tree of four is blank")
	}
	for _, c := range treeFaults(t, id) {
		wantRule(t, c.name, check(c.edit), c.rule)
	}
}

// treeFault bends the tree of a trio.
type treeFault struct {
	name, rule string
	edit       func(*ratchetTree)
}

// treeFaults are those of parents, and of the second leaf.
func treeFaults(t tb, id Suite) []treeFault {
	t.Helper()
	parent := func(tree *ratchetTree, x nodeIndex, edit func(*parentNode)) {
		p := *tree.node(x).parent
		edit(&p)
		tree.set(x, &node{parent: &p})
	}
	stranger := must(suites[id].generateHPKE())(t).pub
	return append(leafFaults(1, func(*leafNode) {}), []treeFault{
		{"unmerged stranger", "tree.unmerged", func(tr *ratchetTree) { parent(tr, 3, func(p *parentNode) { p.unmerged = []LeafIndex{3} }) }},
		{"unmerged outside", "tree.unmerged", func(tr *ratchetTree) { parent(tr, 1, func(p *parentNode) { p.unmerged = []LeafIndex{2} }) }},
		{"unmerged far outside", "tree.unmerged", func(tr *ratchetTree) { parent(tr, 3, func(p *parentNode) { p.unmerged = []LeafIndex{1 << 31} }) }},
		{"unmerged descending", "tree.unmerged", func(tr *ratchetTree) { parent(tr, 3, func(p *parentNode) { p.unmerged = []LeafIndex{2, 1} }) }},
		{"unmerged twice", "tree.unmerged", func(tr *ratchetTree) { parent(tr, 3, func(p *parentNode) { p.unmerged = []LeafIndex{2, 2} }) }},
		{"unmerged skips a parent", "tree.unmerged", func(tr *ratchetTree) { parent(tr, 3, func(p *parentNode) { p.unmerged = []LeafIndex{1} }) }},
		{"planted parent key", "tree.parent-hash", func(tr *ratchetTree) {
			parent(tr, 3, func(p *parentNode) { p.encryptionKey = stranger })
		}},
		{"planted parent", "tree.parent-hash", func(tr *ratchetTree) {
			tr.set(5, &node{parent: &parentNode{encryptionKey: stranger}})
		}},
		{"parent key of low order", "tree.parent-key", func(tr *ratchetTree) { parent(tr, 3, func(p *parentNode) { p.encryptionKey = badKey(t, id) }) }},
		{"parent key of a leaf", "tree.unique-encryption-key", func(tr *ratchetTree) {
			parent(tr, 3, func(p *parentNode) { p.encryptionKey = tr.leaf(0).encryptionKey })
		}},
		{"a leaf twice", "tree.unique-encryption-key", func(tr *ratchetTree) { tr.set(2, tr.node(0)) }},
	}...)
}

// leafFaults are those of one leaf, which is signed again where its signature is not the fault.
func leafFaults(at LeafIndex, resign func(*leafNode)) []treeFault {
	leaf := func(tree *ratchetTree, edit func(*leafNode)) {
		n := *tree.leaf(at)
		edit(&n)
		tree.set(at.node(), &node{leaf: &n})
	}
	return []treeFault{
		{"a signature key twice", "tree.unique-signature-key", func(tr *ratchetTree) {
			leaf(tr, func(l *leafNode) { l.signatureKey = tr.leaf(0).signatureKey; resign(l) })
		}},
		{"an encryption key twice", "tree.unique-encryption-key", func(tr *ratchetTree) {
			leaf(tr, func(l *leafNode) { l.encryptionKey = tr.leaf(0).encryptionKey; resign(l) })
		}},
		{"a leaf's identity", "leaf.signature", func(tr *ratchetTree) { leaf(tr, func(l *leafNode) { l.credential = basic("eve") }) }},
		{"a leaf without the group's extension", "group.extension-support", func(tr *ratchetTree) {
			leaf(tr, func(l *leafNode) { l.capabilities.extensions = nil; resign(l) })
		}},
		{"a leaf that lacks a credential type in use", "group.credential-support", func(tr *ratchetTree) {
			leaf(tr, func(l *leafNode) { l.capabilities.credentials = []CredentialType{CredentialX509}; resign(l) })
		}},
	}
}

// recorder is a validator that remembers its events and refuses on demand.
type recorder struct {
	events []CredentialEvent
	refuse CredentialEvent
}

var errRefused = errors.New("refused by the test")

func (r *recorder) ValidateCredential(c CredentialCheck) error {
	r.events = append(r.events, c.Event)
	replaces := c.Event == CredentialUpdate || c.Event == CredentialCommit || c.Event == CredentialExternalSenderUpdated
	if replaces != (c.Predecessor != nil) || c.Suite != SuiteX25519AES128Ed25519 || len(c.SignatureKey) == 0 {
		return errors.New("incomplete check")
	}
	if c.Event == r.refuse {
		return errRefused
	}
	return nil
}

func (r *recorder) take() []CredentialEvent {
	events := r.events
	r.events = nil
	return events
}

// TestCredentialEvents: the validator is asked at all seven events of RFC 9420 section 5.3.1,
// and its refusal reaches the caller.
func TestCredentialEvents(t *testing.T) {
	groups := trio(t)
	r := new(recorder)
	groups[1].app.Credentials = r
	expect := func(what string, want ...CredentialEvent) {
		t.Helper()
		if got := r.take(); !slices.Equal(got, want) {
			t.Errorf("%s: events %v, want %v", what, got, want)
		}
	}
	refused := func(what string, event CredentialEvent, do func() error) {
		t.Helper()
		r.refuse = event
		if err := do(); !errors.Is(err, errRefused) {
			t.Errorf("%s: %v, want the validator's error", what, err)
		}
		r.refuse = 0
		r.take()
	}
	kp, secrets := keyPackage(t, "d")
	c := must(groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow, NewCredential: new(basic("a2"))}))(t)
	must(groups[1].Process(c.Message()))(t)
	expect("commit that adds and renames", CredentialAdd, CredentialCommit)
	refused("Add", CredentialAdd, func() error { return second(groups[1].Process(c.Message())) })
	refused("Commit", CredentialCommit, func() error { return second(groups[1].Process(c.Message())) })

	must(groups[1].Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow}))(t)
	expect("own commit that adds", CredentialKeyPackage, CredentialAdd)
	refused("KeyPackage", CredentialKeyPackage, func() error { return kp.Verify(testNow, r) })

	tree := c.Next().RatchetTree()
	must(Join(c.Welcomes()[0].Message, secrets, JoinParams{Tree: tree, Application: Application{Credentials: r}, Now: testNow}))(t)
	expect("join", CredentialJoin, CredentialJoin, CredentialJoin, CredentialJoin)
	refused("Join", CredentialJoin, func() error {
		return second(Join(c.Welcomes()[0].Message, secrets, JoinParams{Tree: tree, Application: Application{Credentials: r}, Now: testNow}))
	})

	update := must(groups[2].Propose(ProposalParams{Update: true, NewCredential: new(basic("c2"))}))(t)
	refused("Update", CredentialUpdate, func() error { return second(groups[1].Process(update)) })
	must(groups[1].Process(update))(t)
	expect("update", CredentialUpdate)

	more := must(groups[0].Commit(CommitParams{NewLeafExtensions: &[]Extension{{Type: ExtensionApplicationID, Data: []byte{1, 'x'}}}}))(t)
	refused("Commit with other leaf extensions", CredentialCommit, func() error { return second(groups[1].Process(more.Message())) })
	must(groups[1].Clone().Process(must(groups[0].Commit(CommitParams{Path: true}))(t).Message()))(t)
	expect("commit with the leaf as it was")

	sender := func(name string) []Extension {
		var w wire.Writer
		w.Nested(func(w *wire.Writer) {
			w.Bytes([]byte("external key"))
			writeCredential(w, basic(name))
		})
		return []Extension{{Type: ExtensionExternalSenders, Data: mustFinish(&w)}}
	}
	for i, event := range []CredentialEvent{CredentialExternalSenderAdded, CredentialExternalSenderUpdated} {
		c := must(groups[0].Commit(CommitParams{Extensions: new(sender(string(rune('x' + i))))}))(t)
		refused("external sender", event, func() error { return second(groups[1].Process(c.Message())) })
		deliver(t, c.Message(), groups[1:])
		expect("external sender", event)
		if err := groups[0].Merge(c); err != nil {
			t.Fatal(err)
		}
	}
}

// TestC28_AllZeroX25519: points that agree on nothing are refused wherever they come in. The
// cases that yield the all-zero secret are Wycheproof's.
func TestC28_AllZeroX25519(t *testing.T) {
	s := suites[SuiteX25519AES128Ed25519]
	bad := [][]byte{lowOrder, {}, make([]byte, 31), make([]byte, 33)}
	var file struct {
		TestGroups []struct {
			Tests []struct{ Public, Shared hexBytes }
		}
	}
	if data, err := os.ReadFile("../../shared/wycheproof/x25519_test.json"); err == nil {
		if err := json.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		for _, g := range file.TestGroups {
			for _, c := range g.Tests {
				if len(c.Shared) == 32 && bytes.Equal(c.Shared, lowOrder) {
					bad = append(bad, c.Public)
				} else if err := s.checkPublicKey(c.Public); err != nil {
					t.Errorf("good key %x: %v", c.Public, err)
				}
			}
		}
		if len(bad) < 20 {
			t.Errorf("only %d low-order keys in Wycheproof's file", len(bad))
		}
	}
	for _, pub := range bad {
		if s.checkPublicKey(pub) == nil {
			t.Errorf("key %x is accepted", pub)
		}
		if _, err := s.encryptWithLabel(pub, "x", nil, nil); err == nil {
			t.Errorf("encrypted to %x", pub)
		}
	}
	key := must(s.generateHPKE())(t)
	if _, err := s.decryptWithLabel(key, "x", nil, hpkeCiphertext{kemOutput: lowOrder, ciphertext: make([]byte, 20)}); err == nil {
		t.Error("decrypted from the all-zero point")
	}
	kp := forge(t, s.id, func(kp *KeyPackage, _ *leafNode) { kp.initKey = lowOrder })
	wantRule(t, "init key", kp.Verify(testNow, nil), "keypackage.init-key")
}
