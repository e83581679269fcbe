package mls

import "bytes"

// ruleSetting is a group, with what its members joined with; the first founded it.
type ruleSetting struct {
	groups  []*Group
	members []*ruleMember
	before  []hexBytes // messages that all took since then
	info    []byte     // of the epoch before them
}

// settingOf has clients join a founder's group, all in one commit.
func settingOf(t tb, founder *Group, others ...KeyPackageConfig) *ruleSetting {
	t.Helper()
	var (
		kps []*KeyPackage
		all []*KeyPackageSecrets
	)
	for _, cfg := range others {
		kp, secrets, err := NewKeyPackage(cfg)
		done(t, err)
		kps, all = append(kps, kp), append(all, secrets)
	}
	return invited(t, founder, kps, all)
}

// trioSetting is trioOf.
func trioSetting(t tb, id Suite) *ruleSetting { return namedSetting(t, id, "b", "c") }

// namedSetting has a found a group for the others.
func namedSetting(t tb, id Suite, names ...string) *ruleSetting {
	t.Helper()
	kps, secrets := packages(t, id, names...)
	return invited(t, newGroupOf(t, id, "a"), kps, secrets)
}

// invited has the founder add clients, who join.
func invited(t tb, founder *Group, kps []*KeyPackage, secrets []*KeyPackageSecrets) *ruleSetting {
	t.Helper()
	s := &ruleSetting{groups: []*Group{founder}, members: []*ruleMember{nil}}
	c := must(founder.Commit(CommitParams{Add: kps, Path: true, Now: testNow, TreeInWelcome: true}))(t)
	done(t, founder.Merge(c))
	for i, w := range c.Welcomes() {
		s.groups = append(s.groups, must(Join(w.Message, secrets[i], JoinParams{Now: testNow, Application: founder.app}))(t))
		m := memberOf(t, secrets[i])
		m.Welcome = w.Message
		s.members = append(s.members, m)
	}
	agree(t, s.groups)
	s.info = groupInfoFor(t, founder)
	return s
}

func done(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// memberOf is a member that has not joined yet.
func memberOf(t tb, secrets *KeyPackageSecrets) *ruleMember {
	t.Helper()
	initKey, leafKey, signatureKey, err := secrets.PrivateKeys()
	done(t, err)
	return &ruleMember{KeyPackage: wrapped(secrets.kp), InitPriv: initKey, EncryptionPriv: leafKey, SignaturePriv: signatureKey}
}

// wrapped is a KeyPackage as an MLSMessage.
func wrapped(kp *KeyPackage) []byte {
	return encode(&message{wireFormat: wireFormatKeyPackage, keyPackage: kp}, writeMessage)
}

// all has everybody take a message that the cases have before theirs.
func (s *ruleSetting) all(t tb, msg []byte) {
	t.Helper()
	for _, g := range s.groups {
		switch c := must(g.Process(msg))(t).(type) {
		case *StagedCommit:
			done(t, g.Merge(c))
		case *OwnCommit:
			t.Fatal("an own commit is merged by who made it")
		}
	}
	s.before = append(s.before, msg)
}

// commits has the founder commit, and all follow.
func (s *ruleSetting) commits(t tb, p CommitParams) {
	t.Helper()
	c := must(s.groups[0].Commit(p))(t)
	deliver(t, c.Message(), s.groups[1:])
	done(t, s.groups[0].Merge(c))
	s.before = append(s.before, c.Message())
}

// openly is a case for the second member and for who follows from outside.
func (s *ruleSetting) openly(name, rule string, bad, good []byte) *ruleVector {
	c := s.secretly(name, rule, bad, good)
	c.GroupInfo = s.info
	return c
}

// secretly is a case for the second member.
func (s *ruleSetting) secretly(name, rule string, bad, good []byte) *ruleVector {
	return &ruleVector{Name: name, Error: rule, Action: actProcess, Member: s.members[1], Messages: s.before, Bad: bad, Good: good}
}

// goodCommit is one of the founder's in the clear, which it does not merge.
func (s *ruleSetting) goodCommit(t tb) []byte {
	t.Helper()
	return must(s.groups[0].Clone().Commit(CommitParams{Public: true}))(t).Message()
}

func verifyCase(name, rule string, bad, good *KeyPackage) *ruleVector {
	return &ruleVector{Name: name, Error: rule, Action: actVerify, Now: testNow.Unix(), Bad: wrapped(bad), Good: wrapped(good)}
}

func followCase(name, rule string, bad, good []byte) *ruleVector {
	return &ruleVector{Name: name, Error: rule, Action: actFollow, Bad: bad, Good: good}
}

// flippedLast changes the last byte.
func flippedLast(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)-1] ^= 1
	return b
}
