package mls

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// inNameOf encrypts a under a key of another member's ratchet, which every member can derive.
func (g *Group) inNameOf(t tb, leaf LeafIndex, generation uint32, a *authenticatedContent) []byte {
	t.Helper()
	named := *a.content
	named.sender.index = uint32(leaf)
	st := must(g.keys.seek(leaf, named.contentType, generation))(t)
	m := must(protectPrivate(g.at.suite, &authenticatedContent{a.wireFormat, &named, a.auth}, g.at.secrets.senderData, st.key, 0))(t)
	return encode(&message{wireFormat: wireFormatPrivate, private: m}, writeMessage)
}

// opened is what a member reads in another's message.
func (g *Group) opened(t tb, msg []byte) *authenticatedContent {
	t.Helper()
	a, _, err := g.openPrivate(must(parse(bytes.Clone(msg), readMessage))(t).private)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// spoken is one message of each content type that g makes.
func spoken(t tb, g *Group, text string) map[string][]byte {
	t.Helper()
	return map[string][]byte{
		"application": must(g.Encrypt([]byte(text), nil))(t),
		"proposal":    must(g.Propose(ProposalParams{Remove: new(LeafIndex(2)), AAD: []byte(text)}))(t),
		"commit":      must(g.Commit(CommitParams{}))(t).Message(),
	}
}

// untouched processes msg and fails if it is accepted or leaves a trace.
func untouched(t *testing.T, what string, g *Group, msg []byte) error {
	t.Helper()
	before := fingerprint(t, g)
	_, err := g.Process(msg)
	if err == nil || !bytes.Equal(fingerprint(t, g), before) {
		t.Errorf("%s: %v, want an error and no trace", what, err)
	}
	return err
}

// TestC01_OwnMessageMustVerify: only what this leaf has signed, and this state has not, shows
// that another copy of the state is in use. Sender data that names the leaf shows nothing:
// every member can write it.
func TestC01_OwnMessageMustVerify(t *testing.T) {
	groups := trio(t)
	victim, insider := groups[0], groups[1]
	for _, text := range []string{"one", "two", "three"} { // so that there are used generations
		spoken(t, victim, text)
	}
	for name, msg := range spoken(t, insider, "not mine") {
		a := groups[2].opened(t, msg)
		err := untouched(t, name, victim, insider.inNameOf(t, 0, 40, a))
		if !errors.Is(err, ErrInvalid) || errors.Is(err, ErrOwnMessage) {
			t.Errorf("%s that another member signed: %v, want ErrInvalid", name, err)
		}
		junk := must(parse(insider.inNameOf(t, 0, 40, a), readMessage))(t)
		junk.private.ciphertext[len(junk.private.ciphertext)-1] ^= 1
		err = untouched(t, name, victim, encode(junk, writeMessage))
		if !errors.Is(err, ErrDecrypt) || errors.Is(err, ErrOwnMessage) {
			t.Errorf("%s that does not open: %v, want ErrDecrypt", name, err)
		}
		want := ErrInvalid
		if name == "application" {
			want = ErrConsumed // nothing can be told about it: the key is gone
		}
		if used := untouched(t, name, victim, groups[2].inNameOf(t, 0, 1, a)); !errors.Is(used, want) || errors.Is(used, ErrOwnMessage) {
			t.Errorf("%s under a used generation: %v, want %v", name, used, want)
		}
	}
	// What a copy says that knows more than this state is evidence, of every kind.
	copied := reload(t, victim)
	said := spoken(t, copied, "four")
	said["public commit"] = publicCommit(t, copied)
	for name, msg := range said {
		err := untouched(t, name, victim, msg)
		if !errors.Is(err, ErrOwnMessage) || errors.Is(err, ErrInvalidCommit) || errors.Is(err, ErrCannotFollow) {
			t.Errorf("%s of a copy: %v, want ErrOwnMessage alone", name, err)
		}
	}
	// Also far ahead, within the window that holds for everybody, and not beyond it.
	for _, generation := range []uint32{3 + maxForward - 1, 3 + maxForward} {
		c := victim.content(contentApplication, nil)
		c.application = []byte("far")
		a := &authenticatedContent{wireFormat: wireFormatPrivate, content: c}
		if err := a.sign(victim.at.suite, victim.at.signatureKey, victim.at.ctx); err != nil {
			t.Fatal(err)
		}
		reader := groups[2].Clone()
		reader.keys.take(must(reader.keys.seek(0, contentApplication, 10))(t))
		err, want := untouched(t, "far ahead", victim, reader.inNameOf(t, 0, generation, a)), ErrOwnMessage
		if generation == 3+maxForward {
			want = ErrTooFarAhead
		}
		if !errors.Is(err, want) {
			t.Errorf("generation %d: %v, want %v", generation, err, want)
		}
	}
}

// TestC01_ReplayIsNoEvidence: a relay that shows a member its own message again proves
// nothing, nor does a member that encrypts it again under a key that is not used yet (the
// signature covers no generation).
func TestC01_ReplayIsNoEvidence(t *testing.T) {
	groups := trio(t)
	victim, insider := groups[0], groups[1]
	kp, _ := keyPackage(t, "d")
	commits := []*StagedCommit{must(victim.Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow}))(t), must(victim.Commit(CommitParams{}))(t)}
	said := spoken(t, victim, "one")
	victim = reload(t, victim)
	if err := untouched(t, "replay", victim, said["application"]); !errors.Is(err, ErrConsumed) || errors.Is(err, ErrOwnMessage) {
		t.Errorf("own message once more: %v, want ErrConsumed", err)
	}
	again := func(msg []byte) []byte { return insider.Clone().inNameOf(t, 0, 20, insider.opened(t, msg)) }
	if m, ok := must(victim.Process(again(said["application"])))(t).(*ApplicationMessage); !ok || m.Sender != 0 || string(m.Data) != "one" {
		t.Errorf("own message encrypted again: %+v", m)
	}
	// A commit is what it says, whoever encrypted it: it counts for the others, who follow it to
	// the epoch that its maker has staged.
	for i, c := range commits {
		other := must(insider.Clone().Process(again(c.Message())))(t).(*StagedCommit)
		own, ok := must(victim.Clone().Process(again(c.Message())))(t).(*OwnCommit)
		if !ok || !own.Is(c) || own.Is(commits[1-i]) || !bytes.Equal(c.Next().EpochAuthenticator(), other.Next().EpochAuthenticator()) {
			t.Errorf("own commit %d, encrypted again, is %+v", i, own)
		}
	}
	// A proposal waits for all members from the same place of the log, and once.
	for i, msg := range [][]byte{again(said["proposal"]), said["proposal"]} {
		q, err := victim.Process(msg)
		if i == 0 && (err != nil || !q.(*QueuedProposal).Own) || i == 1 && !errors.Is(err, ErrConsumed) {
			t.Errorf("own proposal, time %d: %v %v", i+1, q, err)
		}
	}
	must(insider.Process(again(said["proposal"])))(t)
	if !slices.EqualFunc(victim.queue, insider.queue, func(p, q *queuedProposal) bool { return bytes.Equal(p.ref, q.ref) }) {
		t.Error("the members' queues differ")
	}
}

// TestSignedContentIsBounded: what is remembered of own messages stays within its bound and
// ends with the epoch; beyond the bound nothing is taken for a copy's.
func TestSignedContentIsBounded(t *testing.T) {
	groups := trio(t)
	g := groups[0]
	for range maxSigned - 1 {
		g.signed = g.signed.with(signedDigest{})
	}
	copied := reload(t, g)
	last := must(copied.Encrypt([]byte("unknown"), nil))(t)
	if _, err := g.Process(last); !errors.Is(err, ErrOwnMessage) {
		t.Errorf("within the bound: %v, want ErrOwnMessage", err)
	}
	for range 3 {
		must(g.Encrypt(nil, nil))(t)
	}
	if g.signed.len() != maxSigned {
		t.Errorf("%d contents are remembered, want %d", g.signed.len(), maxSigned)
	}
	copied.keys = g.keys.clone()
	if m, ok := must(g.Process(must(copied.Encrypt([]byte("unknown"), nil))(t)))(t).(*ApplicationMessage); !ok || m.Sender != 0 {
		t.Errorf("beyond the bound: %+v", m)
	}
	c := must(g.Commit(CommitParams{}))(t)
	if err := g.Merge(c); err != nil || g.signed.len() != 0 {
		t.Errorf("after a merge (%v) %d contents are remembered", err, g.signed.len())
	}
}
