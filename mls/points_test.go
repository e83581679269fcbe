package mls

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestC28_BadKeysEverywhere: what is no key of the suite's KEM is refused wherever a message
// can hold one, with a typed error, and changes nothing. One suite of each KEM shows it.
func TestC28_BadKeysEverywhere(t *testing.T) {
	seen := map[uint16]bool{}
	eachSuite(t, func(t *testing.T, id Suite) {
		if kem := suites[id].kemID(); seen[kem] {
			t.Skip("another suite has this KEM")
		} else {
			seen[kem] = true
		}
		groups := trioOf(t, id)
		for name, key := range badKeys(t, id) {
			inKeyPackages(t, groups, name, key)
			inUpdates(t, groups, name, key)
			inPaths(t, groups, name, key)
			inWelcomes(t, groups, name, key)
			inExternalInits(t, groups, name, key)
			inTrees(t, groups, name, key)
			s := groups[0].at.suite
			if _, err := s.encryptWithLabel(key, "x", nil, nil); err == nil {
				t.Errorf("%s: encrypted to it", name)
			}
		}
	})
}

// refused has every other member process a message of leaf 0 and wants the rule.
func refused(t *testing.T, what string, groups []*Group, msg []byte, rule string) {
	t.Helper()
	for _, g := range groups[1:] {
		wantRule(t, what, untouched(t, what, g, msg), rule)
	}
}

func inKeyPackages(t *testing.T, groups []*Group, name string, key []byte) {
	t.Helper()
	id := groups[0].Suite()
	for rule, edit := range map[string]func(*KeyPackage, *leafNode){
		"keypackage.init-key":  func(kp *KeyPackage, _ *leafNode) { kp.initKey = key },
		"leaf.encryption-key":  func(_ *KeyPackage, l *leafNode) { l.encryptionKey = key },
		"keypackage.signature": func(_ *KeyPackage, l *leafNode) { l.signatureKey = key },
	} {
		kp := forge(t, id, edit)
		parsed := must(ParseKeyPackage(kp.Bytes()))(t)
		wantRule(t, name, parsed.Verify(testNow, nil), rule)
		add := []*proposal{{kind: proposalAdd, add: kp}}
		refused(t, name+" in an added KeyPackage", groups, must(hack(t, groups[0].Clone(), add, withoutPath, wireFormatPrivate, nil))(t), rule)
		before := fingerprint(t, groups[0])
		_, err := groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow})
		wantRule(t, name+" in our own Add", err, rule)
		if !bytes.Equal(fingerprint(t, groups[0]), before) {
			t.Errorf("%s in our own Add left a trace", name)
		}
	}
}

func inUpdates(t *testing.T, groups []*Group, name string, key []byte) {
	t.Helper()
	g := groups[0].Clone()
	p := must(g.propose(&ProposalParams{Update: true}, new(queuedProposal)))(t)
	p.update.encryptionKey = key
	if err := p.update.sign(g.at.suite, g.at.signatureKey, g.at.ctx.groupID, 0); err != nil {
		t.Fatal(err)
	}
	content := g.content(contentProposal, nil)
	content.proposal = p
	a := &authenticatedContent{wireFormat: wireFormatPrivate, content: content}
	if err := a.sign(g.at.suite, g.at.signatureKey, g.at.ctx); err != nil {
		t.Fatal(err)
	}
	refused(t, name+" in an Update", groups, must(g.protect(a, 0))(t), "leaf.encryption-key")
}

// inPaths: in the leaf and a node, which everybody sees, and as KEM output, which only those
// see who have to decrypt it.
func inPaths(t *testing.T, groups []*Group, name string, key []byte) {
	t.Helper()
	commit := func(edit func(*commitBuilder)) []byte {
		return must(hack(t, groups[0].Clone(), nil, edit, wireFormatPrivate, nil))(t)
	}
	refused(t, name+" in a path's leaf", groups, commit(func(b *commitBuilder) {
		l := b.commit.path.leaf
		l.encryptionKey = key
		if err := l.sign(b.group.at.suite, b.signatureKey, b.group.at.ctx.groupID, 0); err != nil {
			t.Fatal(err)
		}
	}), "leaf.encryption-key")
	refused(t, name+" in a path", groups, commit(func(b *commitBuilder) { b.commit.path.nodes[1].encryptionKey = key }), "path.key")
	// Leaf 0's path in a tree of four: node 1 for leaf 1, node 3 for leaf 2.
	msg := commit(func(b *commitBuilder) { b.commit.path.nodes[1].secrets[0].kemOutput = key })
	if err := untouched(t, name, groups[2], msg); !errors.Is(err, ErrCannotFollow) || errors.Is(err, ErrInvalidCommit) {
		t.Errorf("%s as KEM output for leaf 2: %v, want ErrCannotFollow alone", name, err)
	}
	must(groups[1].Process(msg))(t)
}

func inWelcomes(t *testing.T, groups []*Group, name string, key []byte) {
	t.Helper()
	kp, secrets := keyPackageOf(t, groups[0].Suite(), "d")
	c := must(groups[0].Clone().Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow}))(t)
	m := must(parse(c.Welcomes()[0].Message, readMessage))(t)
	m.welcome.secrets[0].secrets.kemOutput = key
	before := must(secrets.MarshalBinary())(t)
	_, err := Join(encode(m, writeMessage), secrets, JoinParams{Tree: c.Next().RatchetTree(), Now: testNow})
	wantRule(t, name+" in a Welcome", err, "welcome.secrets")
	must(Join(c.Welcomes()[0].Message, secrets, JoinParams{Tree: c.Next().RatchetTree(), Now: testNow}))(t)
	if !bytes.Equal(must(secrets.MarshalBinary())(t), before) {
		t.Errorf("%s in a Welcome changed the secrets", name)
	}
}

// inExternalInits: no commit with one counts, from inside the group or from outside.
func inExternalInits(t *testing.T, groups []*Group, name string, key []byte) {
	t.Helper()
	external := &proposal{kind: proposalExternalInit, externalInit: key}
	refused(t, name+" in an ExternalInit", groups,
		must(hack(t, groups[0].Clone(), []*proposal{external}, nil, wireFormatPrivate, nil))(t), "proposals.external-init")
	if _, bad := badOutputs(t, groups[0].Suite())[name]; !bad {
		return
	}
	msg := hackExternal(t, groupInfoFor(t, groups[0]), outsider(t, groups[0].Suite(), "d"), func(b *externalBuilder) {
		b.commit.proposals[0].proposal.externalInit = key
	})
	refused(t, name+" in an external commit", groups, publicBytes(msg), "external.init")
}

// inTrees: a joiner's tree, in a node that is no leaf; leaves are as in KeyPackages.
func inTrees(t *testing.T, groups []*Group, name string, key []byte) {
	t.Helper()
	tree := groups[0].at.tree.clone()
	p := *tree.node(3).parent
	p.encryptionKey = key
	tree.set(3, &node{parent: &p})
	wantRule(t, name+" in a tree", tree.checkReceived(groups[0].at.ctx, nil), "tree.parent-key")
}

// TestC28_KeysThatAnybodySignsFor: for a signature key of small order there are signatures that
// nobody made, one for every content. A leaf with such a key would be anybody's.
func TestC28_KeysThatAnybodySignsFor(t *testing.T) {
	for id, size := range map[Suite]int{SuiteX25519AES128Ed25519: 32, SuiteX448AES256Ed448: 57} {
		neutral, sig := make([]byte, size), make([]byte, 2*size)
		neutral[0], sig[0] = 1, 1
		if err := id.Verify(neutral, "any", []byte("content"), sig); err == nil {
			t.Errorf("%s: a signature that nobody made is taken", id)
		}
		kp, _ := keyPackageOf(t, id, "anybody")
		leaf, forged := *kp.leaf, *kp
		leaf.signatureKey, leaf.signature = neutral, sig
		forged.leaf, forged.signature = &leaf, sig
		wantRule(t, id.String(), must(ParseKeyPackage(forged.Bytes()))(t).Verify(testNow, nil), "keypackage.signature")
	}
	// All of Ed448's, with the sign and without; the last two are not canonical.
	for _, text := range []string{
		strings.Repeat("00", 56), "01" + strings.Repeat("00", 55), "fe" + strings.Repeat("ff", 27) + "fe" + strings.Repeat("ff", 27),
		strings.Repeat("ff", 28) + "fe" + strings.Repeat("ff", 27), strings.Repeat("00", 28) + strings.Repeat("ff", 28),
	} {
		for _, sign := range []byte{0, 0x80} {
			key := append(must(hex.DecodeString(text))(t), sign)
			sig := make([]byte, 114)
			sig[0] = 1
			for n := range 50 {
				if err := SuiteX448AES256Ed448.Verify(key, "any", fmt.Append(nil, n), sig); err == nil {
					t.Fatalf("a forged signature for %x is taken", key)
				}
			}
		}
	}
}
