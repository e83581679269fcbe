package mls

import (
	"bytes"
	"errors"
	"testing"
)

// TestPublicHandshake: commits and proposals in the clear count like encrypted ones, by
// reference and mixed, and say in the clear what they do.
func TestPublicHandshake(t *testing.T) { eachSuite(t, publicHandshake) }

func publicHandshake(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	for i, public := range []bool{true, false, true} {
		update := must(groups[1].Propose(ProposalParams{Update: true, Public: public}))(t)
		remove := must(groups[2].Propose(ProposalParams{Extensions: &[]Extension{{Type: testExtension, Data: []byte{byte(i)}}}, Public: !public}))(t)
		for j := range groups {
			groups[j] = reload(t, groups[j])
			for _, msg := range [][]byte{update, remove} {
				must(groups[j].Process(msg))(t)
			}
		}
		c := must(groups[0].Commit(CommitParams{IncludePending: true, Public: public, Now: testNow, AAD: []byte("aad")}))(t)
		if m := must(parse(c.Message(), readMessage))(t); (m.public != nil) != public {
			t.Fatalf("commit has wire format %d, public is %v", m.wireFormat, public)
		}
		if es, ok := c.Extensions(); !ok || es[0].Data[0] != byte(i) || len(c.Updates()) != 2 || string(c.AAD()) != "aad" {
			t.Errorf("commit %d: extensions %v, %d updates, aad %q", i, es, len(c.Updates()), c.AAD())
		}
		if own, ok := must(groups[0].Process(c.Message()))(t).(*OwnCommit); !ok || !bytes.Equal(own.Message, c.Message()) {
			t.Error("an own public commit is not recognised")
		}
		deliver(t, c.Message(), groups[1:])
		if err := groups[0].Merge(c); err != nil {
			t.Fatal(err)
		}
		agree(t, groups)
		say(t, groups[1], groups, "on we go")
	}
	// Replays belong to epochs that are over.
	c := must(groups[0].Commit(CommitParams{Public: true}))(t)
	deliver(t, c.Message(), groups[1:])
	if err := untouched(t, "replay", groups[1], c.Message()); !errors.Is(err, ErrPastEpoch) {
		t.Errorf("public commit once more: %v, want ErrPastEpoch", err)
	}
}

// TestPublicOwnMessages: a public message of a copy of this member is found out, as an
// encrypted one is, and public ones use no generation up.
func TestPublicOwnMessages(t *testing.T) {
	groups := trio(t)
	twin := groups[0].Clone()
	before := groups[0].keys.root
	for what, msg := range map[string][]byte{
		"commit":   must(twin.Commit(CommitParams{Public: true}))(t).Message(),
		"proposal": must(twin.Propose(ProposalParams{Update: true, Public: true}))(t),
	} {
		if err := untouched(t, what, groups[0], msg); !errors.Is(err, ErrOwnMessage) {
			t.Errorf("%s of a copy: %v, want ErrOwnMessage", what, err)
		}
	}
	must(groups[0].Commit(CommitParams{Public: true}))(t)
	if groups[0].keys.root != before || twin.keys.root != before {
		t.Error("a public message used up a message key")
	}
}

// TestTreeInWelcome: the joiner needs nothing else, and what it was given beside is not used.
func TestTreeInWelcome(t *testing.T) { eachSuite(t, treeInWelcome) }

func treeInWelcome(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	kp, secrets := keyPackageOf(t, id, "d")
	c := must(groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow, TreeInWelcome: true}))(t)
	for _, tree := range [][]byte{nil, groups[1].RatchetTree()} {
		g := must(Join(c.Welcomes()[0].Message, secrets, JoinParams{Tree: tree, Now: testNow}))(t)
		if !bytes.Equal(g.EpochAuthenticator(), c.Next().EpochAuthenticator()) {
			t.Error("joined another epoch")
		}
	}
}

// TestGroupInfoExtensions: what was asked for is in it, and nothing else.
func TestGroupInfoExtensions(t *testing.T) {
	e := trio(t)[1].View()
	for _, p := range []GroupInfoParams{{}, {Tree: true}, {ExternalPub: true}, {Tree: true, ExternalPub: true}} {
		info := must(parse(must(e.GroupInfo(p))(t), readMessage))(t).groupInfo
		if err := info.verifySignature(e.suite, e.tree.leaf(1).signatureKey); err != nil || info.signer != 1 {
			t.Errorf("%+v: signer %d, %v", p, info.signer, err)
		}
		tree, hasTree := findExtension(info.extensions, extensionRatchetTree)
		pub, hasPub := findExtension(info.extensions, extensionExternalPub)
		if hasTree != p.Tree || hasPub != p.ExternalPub || hasTree && !bytes.Equal(tree, e.RatchetTree()) {
			t.Errorf("%+v: tree %v, key %v", p, hasTree, hasPub)
		}
		if hasPub && !bytes.Equal(must(e.suite.parseExternalPub(pub))(t), must(e.externalKey())(t).pub) {
			t.Errorf("%+v: another key", p)
		}
	}
}

// TestA22_PublicOwnMessageIsNoEvidence: every member can change the ECDSA signature of a public
// proposal and tag it again. That is no sign of a copied state.
func TestA22_PublicOwnMessageIsNoEvidence(t *testing.T) {
	groups := trioOf(t, SuiteP256AES128P256)
	g := groups[0]
	msg := must(g.Propose(ProposalParams{Update: true, Public: true}))(t)
	m := must(parse(msg, readMessage))(t).public
	a := &authenticatedContent{wireFormat: wireFormatPublic, content: m.content, auth: m.auth}
	a.auth.signature = malleate(t, g.Suite(), m.auth.signature)
	m = must(protectPublic(g.at.suite, a, g.at.ctx, groups[1].at.secrets.membershipKey))(t)
	changed := encode(&message{wireFormat: wireFormatPublic, public: m}, writeMessage)
	if q, ok := must(g.Process(changed))(t).(*QueuedProposal); !ok || !q.Own {
		t.Errorf("own proposal with another signature: %+v, want it queued as our own", q)
	}
}
