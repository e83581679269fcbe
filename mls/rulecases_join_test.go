package mls

import (
	"bytes"
	"testing"
)

// Cases of Welcomes, trees and GroupInfos.

// invitation is a commit that adds one client with the tree in the Welcome.
func invitation(t tb, g *Group, name string) (welcome []byte, secrets *KeyPackageSecrets) {
	t.Helper()
	kp, secrets := keyPackageOf(t, g.Suite(), name)
	c := must(g.Clone().Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow, Path: true, TreeInWelcome: true}))(t)
	return c.Welcomes()[0].Message, secrets
}

func joinCase(t tb, name, rule string, secrets *KeyPackageSecrets, bad, good []byte) *ruleVector {
	t.Helper()
	return &ruleVector{Name: name, Error: rule, Action: actJoin, Member: memberOf(t, secrets), Bad: bad, Good: good}
}

func welcomeCases(t *testing.T, id Suite) []*ruleVector {
	s := trioSetting(t, id)
	a := s.groups[0]
	good, secrets := invitation(t, a, "d")
	var all []*ruleVector
	faults := append(welcomeFaults(a.at.suite), welcomeFault{"the tree of the epoch before", "tree-mismatch", func(_ *groupSecrets, i *groupInfo) {
		i.extensions = []Extension{{Type: extensionRatchetTree, Data: a.RatchetTree()}}
	}})
	for _, f := range faults {
		all = append(all, joinCase(t, "a Welcome: "+f.name, f.rule, secrets, f.welcome(t, a, good, secrets), good))
	}
	m := must(parse(good, readMessage))(t)
	entry := &m.welcome.secrets[0]
	entry.secrets.ciphertext = flippedLast(entry.secrets.ciphertext)
	all = append(all, joinCase(t, "secrets that do not open", "welcome.secrets", secrets, encode(m, writeMessage), good))
	m = must(parse(good, readMessage))(t)
	opened, _, err := openWelcome(a.at.suite, m.welcome, secrets.kp.Ref(), secrets.initKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.welcome.encryptedGroupInfo = flippedLast(m.welcome.encryptedGroupInfo)
	m.welcome.secrets[0].secrets = must(a.at.suite.encryptWithLabel(secrets.kp.initKey, "Welcome", m.welcome.encryptedGroupInfo, encode(opened, writeGroupSecrets)))(t)
	return append(all,
		joinCase(t, "a GroupInfo that does not open", "welcome.group-info", secrets, encode(m, writeMessage), good),
		joinCase(t, "a Welcome without its last byte", "malformed", secrets, good[:len(good)-1], good))
}

// strangerCases are Welcomes for somebody else.
func strangerCases(t *testing.T, id Suite) []*ruleVector {
	a := newGroupOf(t, id, "a")
	good, secrets := invitation(t, a, "b")
	other, others := invitation(t, a, "c")
	opened, info, err := openWelcome(a.at.suite, must(parse(other, readMessage))(t).welcome, others.kp.Ref(), others.initKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	handed := sealWelcome(t, a.at.suite, secrets.kp, opened, encode(opened, writeGroupSecrets), encode(info, writeGroupInfo))
	return []*ruleVector{
		joinCase(t, "a Welcome for another KeyPackage", "not-for-us", secrets, other, good),
		joinCase(t, "a tree without the joiner's leaf", "welcome.own-leaf", secrets, handed, good),
	}
}

func successorCases(t *testing.T, id Suite) []*ruleVector {
	to := another(id)
	open, closed := trioSetting(t, id), trioSetting(t, id)
	closed.commits(t, CommitParams{ReInit: reInitTo(to)})
	parents := map[uint8]*ruleMember{usageBranch: open.members[1], usageReInit: closed.members[1]}
	parents[usageReInit].Messages = closed.before
	made := func(f *successorFault, kps []*KeyPackage) []byte {
		c := hostile(t, f.parent[0], f.usage, f.begin(to), CommitParams{Add: kps, TreeInWelcome: true})
		return c.Welcomes()[0].Message
	}
	join := func(f *successorFault, secrets *KeyPackageSecrets, bad, good []byte) *ruleVector {
		c := joinCase(t, "a successor or branch: "+f.name, f.rule, secrets, bad, good)
		c.Member.Parent = parents[f.usage]
		return c
	}
	good := map[uint8]*successorFault{}
	faults := successorFaults(id, to, open.groups, closed.groups)
	var all []*ruleVector
	for i := range faults {
		f := &faults[i]
		if f.rule == "" {
			good[f.usage] = f
			continue
		}
		if f.usage == usageReInit && f.parent[0] == open.groups[0] {
			continue // its parent is another one
		}
		begin, well := f.begin(to), good[f.usage]
		kps, secrets := packages(t, begin.Suite, f.names...)
		var goodWelcome []byte
		if begin.Suite == well.begin(to).Suite {
			more, _ := packages(t, begin.Suite, well.names[1:]...)
			goodWelcome = made(well, append(kps[:1:1], more...))
		}
		all = append(all, join(f, secrets[0], made(f, kps), goodWelcome))
	}
	kps, secrets := packages(t, to, "b", "c")
	late := lateSuccessor(t, closed.groups[0], to, kps).Welcomes()[0].Message
	all = append(all, join(&successorFault{name: "in the second epoch", rule: "successor.epoch", usage: usageReInit}, secrets[0], late, made(good[usageReInit], kps)))
	usual, own := invitation(t, newGroupOf(t, id, "x"), "b")
	branch := made(good[usageBranch], []*KeyPackage{own.kp})
	return append(all, join(&successorFault{name: "a group that comes from none", rule: "welcome.parent", usage: usageBranch}, own, usual, branch))
}

// info is g's GroupInfo with the tree bent, and its hash.
func (f *treeFault) info(t tb, g *Group) []byte {
	t.Helper()
	tree := g.at.tree.clone()
	f.edit(tree)
	with := infoFault{edit: func(i *groupInfo) {
		i.context = new(*i.context)
		i.context.treeHash = tree.rootHash()
		i.extensions[0].Data = encode(tree, writeRatchetTree)
	}}
	return with.info(t, g)
}

func treeCases(t *testing.T, id Suite) []*ruleVector {
	s := trioSetting(t, id)
	// A leaf that no parent hash covers: it was added without a path.
	a := s.groups[0].Clone()
	kp, secrets := keyPackageOf(t, id, "d")
	done(t, a.Merge(must(a.Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow}))(t)))
	resign := func(l *leafNode) {
		key := secrets.signatureKey
		if !bytes.Equal(key.Public(), l.signatureKey) {
			key = a.at.signatureKey
		}
		done(t, l.sign(a.at.suite, key, nil, 0))
	}
	good := groupInfoFor(t, a)
	var all []*ruleVector
	for _, f := range leafFaults(3, resign) {
		all = append(all, followCase("a tree: "+f.name, f.rule, f.info(t, a), good))
	}
	for _, f := range treeFaults(t, id) {
		all = append(all, followCase("a tree: "+f.name, f.rule, f.info(t, s.groups[0]), s.info))
	}
	return all
}

func infoCases(t *testing.T, id Suite) []*ruleVector {
	s := trioSetting(t, id)
	var all []*ruleVector
	for _, f := range infoFaults {
		c := followCase("a GroupInfo: "+f.name, f.rule, f.info(t, s.groups[0]), s.info)
		if f.rule == "groupinfo.external-pub" {
			c.Action = actJoinExternal // who follows does not look at it
		}
		all = append(all, c)
	}
	for _, f := range epochFaults {
		c := followCase("a GroupInfo of this epoch: "+f.name, f.rule, f.info(t, s.groups[2]), groupInfoFor(t, s.groups[2]))
		c.Action, c.GroupInfo = actCheck, s.info
		all = append(all, c)
	}
	return all
}
