package mls

import (
	"bytes"
	"testing"
)

// Ways in which fuzzed bytes come to a member. An insider signs and encrypts them as his own,
// so that they get past all that guards a group against others.
const (
	asMessage = iota
	asProposal
	asPublicProposal
	asCommit
	asPublicCommit
	asAAD
	fuzzWays
)

// insider sends in, in one of the ways, from a copy of g; nil if there is no such message.
func insider(t tb, g *Group, way int, in []byte) []byte {
	t.Helper()
	g = g.Clone()
	format := uint16(wireFormatPrivate)
	switch way {
	case asMessage:
		return in
	case asAAD:
		return must(g.Encrypt(in, in))(t)
	case asPublicProposal, asPublicCommit:
		format = wireFormatPublic
	}
	if way == asCommit || way == asPublicCommit {
		body, err := parse(in, readCommit)
		if err != nil {
			return nil
		}
		return must(hack(t, g, nil, func(b *commitBuilder) { *b.commit = *body }, format, nil))(t)
	}
	body, err := parse(in, readProposal)
	if err != nil {
		return nil
	}
	c := g.content(contentProposal, nil)
	c.proposal = body
	a := must(g.signHandshake(c, format == wireFormatPublic))(t)
	if format == wireFormatPrivate {
		return must(g.protect(a, 0))(t)
	}
	m := must(protectPublic(g.at.suite, a, g.at.ctx, g.at.secrets.membershipKey))(t)
	return encode(&message{wireFormat: wireFormatPublic, public: m}, writeMessage)
}

// FuzzProcess: a member survives any message, of whoever it is, and an error leaves no trace.
// What it takes for a proposal, the next commit can hold or leave out.
func FuzzProcess(f *testing.F) {
	var groups [][]*Group
	var before [][]byte
	for i, id := range fuzzSuites {
		members := trioOf(f, id)
		all := samples(f, id)
		for _, sample := range append(all["message"], publicCommit(f, members[0]), must(members[0].Encrypt([]byte("hi"), nil))(f)) {
			f.Add(uint8(i), uint8(asMessage), sample)
		}
		for _, sample := range all["proposal"] {
			f.Add(uint8(i), uint8(asProposal), sample)
			f.Add(uint8(i), uint8(asPublicProposal), sample)
		}
		f.Add(uint8(i), uint8(asCommit), all["commit"][0])
		f.Add(uint8(i), uint8(asPublicCommit), all["commit"][0])
		f.Add(uint8(i), uint8(asAAD), []byte("hi"))
		groups, before = append(groups, members), append(before, fingerprint(f, members[1]))
	}
	f.Fuzz(func(t *testing.T, suite, way uint8, in []byte) {
		i := int(suite) % len(groups)
		msg := insider(t, groups[i][0], int(way)%fuzzWays, in)
		if msg == nil {
			return
		}
		g := groups[i][1].Clone()
		got, err := g.Process(msg)
		if err != nil {
			if !bytes.Equal(fingerprint(t, g), before[i]) {
				t.Fatalf("%v left a trace", err)
			}
			return
		}
		switch got := got.(type) {
		case *StagedCommit:
			if err := g.Merge(got); err != nil {
				t.Fatal(err)
			}
		default:
			c := must(g.Commit(CommitParams{IncludePending: true, Now: testNow}))(t)
			if err := g.Merge(c); err != nil {
				t.Fatal(err)
			}
		}
		if !g.Removed() {
			reload(t, g)
		}
	})
}

// What of an invitation is fuzzed. The committer is hostile: the parts fit each other and are
// signed and encrypted as they should be.
const (
	fuzzWelcome = iota
	fuzzGroupSecrets
	fuzzGroupInfo
	fuzzRatchetTree
	fuzzExternal // a GroupInfo for who joins without an invitation
	fuzzParts
)

// FuzzJoin: a joiner survives whatever the member does that invites him.
func FuzzJoin(f *testing.F) {
	a := newGroup(f, "a")
	add(f, a, nil, CommitParams{Path: true}, "b")
	kp, secrets := keyPackage(f, "c")
	c := must(a.Commit(CommitParams{Add: []*KeyPackage{kp}, Path: true, Now: testNow}))(f)
	s, tree, msg := a.at.suite, c.Next().RatchetTree(), c.Welcomes()[0].Message
	opened, info, err := openWelcome(s, must(parse(msg, readMessage))(f).welcome, kp.Ref(), secrets.initKey, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(fuzzWelcome), msg)
	f.Add(uint8(fuzzGroupSecrets), encode(opened, writeGroupSecrets))
	f.Add(uint8(fuzzGroupInfo), encode(info, writeGroupInfo))
	f.Add(uint8(fuzzRatchetTree), tree)
	f.Add(uint8(fuzzExternal), encode(must(parse(groupInfoFor(f, a), readMessage))(f).groupInfo, writeGroupInfo))
	f.Fuzz(func(t *testing.T, part uint8, in []byte) {
		msg, tree, opened, info := msg, tree, *opened, encode(info, writeGroupInfo)
		plain := encode(&opened, writeGroupSecrets)
		switch int(part) % fuzzParts {
		case fuzzWelcome:
			msg = in
		case fuzzGroupSecrets:
			plain = in
			if other, err := parse(in, readGroupSecrets); err == nil {
				opened = *other
			}
			msg = sealWelcome(t, s, kp, &opened, plain, info)
		case fuzzGroupInfo:
			info = in
			if other, err := parse(in, readGroupInfo); err == nil {
				info = encode(signed(t, other, a), writeGroupInfo)
			}
			msg = sealWelcome(t, s, kp, &opened, plain, info)
		case fuzzRatchetTree:
			tree = in
		case fuzzExternal:
			if other, err := parse(in, readGroupInfo); err == nil {
				info := encode(&message{wireFormat: wireFormatGroupInfo, groupInfo: signed(t, other, a)}, writeMessage)
				if g, _, err := JoinExternal(info, outsider(t, s.id, "d")); err == nil {
					reload(t, g)
				}
			}
			return
		}
		if g, err := Join(msg, secrets, JoinParams{Tree: tree, Now: testNow}); err == nil {
			must(g.Encrypt([]byte("here"), nil))(t)
			reload(t, g)
		}
	})
}

// signed is a GroupInfo with a signature of g's.
func signed(t tb, info *groupInfo, g *Group) *groupInfo {
	t.Helper()
	if err := info.sign(g.at.suite, g.at.signatureKey); err != nil {
		t.Fatal(err)
	}
	return info
}

// sealWelcome encrypts an invitation for one KeyPackage: plain to its key, and info under the
// key that opened gives.
func sealWelcome(t tb, s *suite, kp *KeyPackage, opened *groupSecrets, plain, info []byte) []byte {
	t.Helper()
	k := s.groupInfoKey(s.welcomeSecret(opened.joinerSecret, s.pskSecret(nil, nil)))
	m := &welcome{suite: s.id, encryptedGroupInfo: must(s.aeadSeal(k.key, k.nonce, nil, info))(t)}
	ct := must(s.encryptWithLabel(kp.initKey, "Welcome", m.encryptedGroupInfo, plain))(t)
	m.secrets = []encryptedGroupSecrets{{newMember: kp.Ref(), secrets: ct}}
	return encode(&message{wireFormat: wireFormatWelcome, welcome: m}, writeMessage)
}
