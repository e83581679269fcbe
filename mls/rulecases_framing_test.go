package mls

import (
	"bytes"
	"testing"
)

// Cases of messages to a group that are wrong before one looks at what they say.

func framingCases(t *testing.T, id Suite) []*ruleVector {
	s := trioSetting(t, id)
	a, good := s.groups[0], s.goodCommit(t)
	tag := must(parse(bytes.Clone(good), readMessage))(t).public
	tag.membershipTag = flippedLast(tag.membershipTag)
	signature := must(parse(bytes.Clone(good), readMessage))(t).public
	signature.auth.signature = flippedLast(signature.auth.signature)
	forged := &authenticatedContent{wireFormat: wireFormatPublic, content: signature.content, auth: signature.auth}
	signature = must(protectPublic(a.at.suite, forged, a.at.ctx, a.at.secrets.membershipKey))(t)
	_, application := publicApplication(t, a)
	spoken := must(a.Clone().Encrypt([]byte("hello"), nil))(t)
	return []*ruleVector{
		s.secretly("a membership tag", "framing.membership-tag", publicBytes(tag), good),
		s.openly("a signature", "framing.signature", publicBytes(signature), good),
		s.openly("in the name of a blank leaf", "framing.sender", nameless(t, a, 3, wireFormatPublic), good),
		s.openly("application data in the clear", "framing.application-public", application, good),
		s.secretly("padding that is not zero", "framing.padding", badlyPadded(t, a.Clone()), spoken),
		s.openly("a commit without its last byte", "malformed", good[:len(good)-1], good),
	}
}

// errorCases are messages that break no rule, and have come to the wrong place or time.
func errorCases(t *testing.T, id Suite) []*ruleVector {
	s := trioSetting(t, id)
	a, good := s.groups[0], s.goodCommit(t)
	a.app.PSKs = knownPSKs{"known": must(ruleData{}.PSK(PSKID{External: []byte("known")}))(t), "unknown": []byte("a secret of one")}
	withPSK := func(name string) []byte {
		return must(a.Clone().Commit(CommitParams{PSKs: []PSKID{external(name)}}))(t).Message()
	}
	foreign := must(NewGroup(GroupConfig{Suite: id, GroupID: []byte("another"), Credential: basic("x"), SignatureKey: signatureKeyOf(t, id), Now: testNow}))(t)
	wrongTag := must(hack(t, a.Clone(), nil, nil, wireFormatPublic, flippedLast))(t)
	ahead := a.Clone()
	first := must(ahead.Encrypt([]byte("first"), nil))(t)
	for range maxForward {
		must(ahead.Encrypt(nil, nil))(t)
	}
	far := must(ahead.Encrypt([]byte("far"), nil))(t)
	damaged := must(parse(bytes.Clone(first), readMessage))(t)
	damaged.private.ciphertext = flippedLast(damaged.private.ciphertext)
	all := []*ruleVector{
		s.openly("a commit of another group", "wrong-group", must(foreign.Commit(CommitParams{Public: true}))(t).Message(), good),
		s.secretly("a pre-shared key that one member has", "unknown-psk", withPSK("unknown"), withPSK("known")),
		s.secretly("a confirmation tag", "cannot-follow", wrongTag, good),
		s.secretly("a generation too many", "too-far-ahead", far, first),
		s.secretly("a ciphertext", "decrypt", encode(damaged, writeMessage), first),
	}
	future := a.Clone()
	done(t, future.Merge(must(future.Commit(CommitParams{}))(t)))
	all = append(all, s.openly("a commit of the next epoch", "future-epoch", must(future.Commit(CommitParams{Public: true}))(t).Message(), good))
	s.commits(t, CommitParams{Public: true})
	all = append(all, s.openly("a commit once more", "past-epoch", s.before[0], s.goodCommit(t)))
	spoken, again := must(a.Encrypt([]byte("one"), nil))(t), must(a.Encrypt([]byte("two"), nil))(t)
	s.before = append(s.before, spoken)
	return append(all, s.secretly("application data once more", "consumed", spoken, again))
}

// ownMessageCases have a copy of the receiver's state in use.
func ownMessageCases(t *testing.T, id Suite) []*ruleVector {
	s := trioSetting(t, id)
	twin := s.groups[1].Clone()
	return []*ruleVector{
		s.secretly("an Update by a copy of the member", "own-message", must(twin.Propose(ProposalParams{Update: true, Public: true}))(t), s.goodCommit(t)),
	}
}

// followerCases are for who follows from outside alone.
func followerCases(t *testing.T, id Suite) []*ruleVector {
	s := trioSetting(t, id)
	private := must(s.groups[0].Clone().Commit(CommitParams{}))(t).Message()
	c := s.openly("a PrivateMessage", "decrypt", private, s.goodCommit(t))
	c.Member = nil
	return []*ruleVector{c}
}

func reInitCases(t *testing.T, id Suite) []*ruleVector {
	s := trioSetting(t, id)
	s.commits(t, CommitParams{ReInit: reInitTo(id), Public: true})
	msg := forgedOpenly(t, s.groups[0], &proposal{kind: proposalRemove, remove: 2})
	return []*ruleVector{s.openly("a proposal after a ReInit", "group.reinit", msg, nil)}
}

func safeAADCases(t *testing.T, _ Suite) []*ruleVector {
	data := must(EncodeComponents([]ComponentData{{Component: ComponentSafeAAD, Data: EncodeComponentIDs(nil)}}))(t)
	s := settingOf(t, extendedFounder(t, Extension{Type: ExtensionAppDataDictionary, Data: data}), extendedConfig(t, "b"))
	framed := must(EncodeComponents([]ComponentData{{Component: testComponent, Data: []byte("aad")}}))(t)
	good := must(s.groups[0].Clone().Encrypt([]byte("hi"), framed))(t)
	return []*ruleVector{s.secretly("authenticated data of no component", "framing.safe-aad", looseAAD(t, s.groups[0].Clone()), good)}
}
