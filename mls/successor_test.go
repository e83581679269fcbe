package mls

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

func successorConfig(t tb, s Suite, kps []*KeyPackage) SuccessorConfig {
	t.Helper()
	return SuccessorConfig{
		KeyPackages: kps, SignatureKey: signatureKeyOf(t, s), SupportedExtensions: []ExtensionType{testExtension}, Now: testNow,
	}
}

// enter has every client join with its invitation and the group that it comes from.
func enter(t tb, n *Group, welcomes []Welcome, secrets []*KeyPackageSecrets, parents []*Group) []*Group {
	t.Helper()
	all := []*Group{n}
	for i, w := range welcomes {
		all = append(all, must(Join(w.Message, secrets[i], JoinParams{Tree: n.RatchetTree(), Now: testNow, Parent: parents[i], Application: parents[i].app}))(t))
	}
	agree(t, all)
	return all
}

// TestSuccessor: any member makes the group that a ReInit asks for, and all others join it.
func TestSuccessor(t *testing.T) { twoSuites(t, successors) }

func successors(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	to := another(id)
	closeGroup(t, groups, to)
	kps, secrets := packages(t, to, "c", "a") // in any order
	for _, path := range []bool{false, true} {
		cfg := successorConfig(t, to, kps)
		cfg.Path, cfg.TreeInWelcome = path, path
		n, welcomes, err := reload(t, groups[1]).Successor(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if r := reInitTo(to); n.Epoch() != 1 || n.Suite() != to || !bytes.Equal(n.ID(), r.GroupID) || !reflect.DeepEqual(n.Extensions(), r.Extensions) || n.ReInit() != nil {
			t.Errorf("the new group is %q in epoch %d of suite %v", n.ID(), n.Epoch(), n.Suite())
		}
		if path { // the Welcome holds the tree
			must(Join(welcomes[0].Message, secrets[0], JoinParams{Now: testNow, Parent: groups[2]}))(t)
		}
		all := enter(t, n, welcomes, secrets, []*Group{groups[2], reload(t, groups[0])})
		say(t, all[1], all, "hello")
		say(t, all[0], all, "again")
		deliver(t, must(all[2].Commit(CommitParams{}))(t).Message(), all[:2])
	}
	// Without the closed group one learns which is asked for, and nothing else opens it.
	n, welcomes, err := groups[1].Successor(successorConfig(t, to, kps))
	if err != nil {
		t.Fatal(err)
	}
	want := PSKID{Resumption: &ResumptionID{GroupID: []byte("group"), Epoch: groups[0].Epoch()}}
	_, secret := groups[0].View().ResumptionPSK()
	for name, p := range map[string]JoinParams{
		"nothing":       {},
		"a source":      {Application: Application{PSKs: knownPSKs{"group": secret}}},
		"another group": {Parent: trioOf(t, id)[0]},
	} {
		p.Tree, p.Now = n.RatchetTree(), testNow
		_, err := Join(welcomes[0].Message, secrets[0], p)
		if missing, ok := errors.AsType[*PSKError](err); !ok || !errors.Is(err, ErrUnknownPSK) || !reflect.DeepEqual(missing.ID, want) {
			t.Errorf("joining with %s: %v, want ErrUnknownPSK with the group's id", name, err)
		}
	}
}

// TestBranch: some members go on among themselves, beside the group.
func TestBranch(t *testing.T) { twoSuites(t, branches) }

func branches(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	kps, secrets := packages(t, id, "c")
	extensions := []Extension{{Type: testExtension, Data: []byte("of the branch")}}
	before := fingerprint(t, groups[0])
	n, welcomes, err := groups[0].Branch([]byte("branch"), extensions, successorConfig(t, id, kps))
	if err != nil {
		t.Fatal(err)
	}
	if n.Epoch() != 1 || n.Suite() != id || string(n.ID()) != "branch" || !reflect.DeepEqual(n.Extensions(), extensions) {
		t.Errorf("the branch is %q in epoch %d of suite %v", n.ID(), n.Epoch(), n.Suite())
	}
	if !bytes.Equal(fingerprint(t, groups[0]), before) {
		t.Error("the old group changed")
	}
	all := enter(t, n, welcomes, secrets, groups[2:])
	say(t, all[1], all, "hello")
	say(t, groups[1], groups, "the old group goes on")
	// The resumption secret is among what the branch grew from: b knows all but that Welcome's.
	outsider := *groups[1].at
	outsider.secrets = new(*outsider.secrets)
	outsider.secrets.resumption = make(secret, n.at.suite.nh)
	stranger := &Group{at: &outsider}
	wantRule(t, "another secret", second(Join(welcomes[0].Message, secrets[0], JoinParams{Tree: n.RatchetTree(), Now: testNow, Parent: stranger})), "welcome.group-info")
	// The branch was made in an epoch that is over.
	deliver(t, must(groups[0].Commit(CommitParams{}))(t).Message(), groups[1:])
	if _, err := Join(welcomes[0].Message, secrets[0], JoinParams{Tree: n.RatchetTree(), Now: testNow, Parent: groups[2]}); !errors.Is(err, ErrUnknownPSK) {
		t.Errorf("joining with the next epoch: %v, want ErrUnknownPSK", err)
	}
	// A Welcome of a usual group does not pass for a branch.
	kp, more := keyPackageOf(t, id, "d")
	c := must(n.Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow}))(t)
	wantRule(t, "no branch", second(Join(c.Welcomes()[0].Message, more, JoinParams{Tree: c.Next().RatchetTree(), Now: testNow, Parent: groups[2]})), "welcome.parent")
}

// TestSuccessorMembers: whom the creator invites; what counts as the same client, the
// application says.
func TestSuccessorMembers(t *testing.T) {
	groups := trio(t)
	branch := func(g *Group, names ...string) error {
		kps, _ := packages(t, DefaultSuite, names...)
		_, _, err := g.Branch([]byte("branch"), nil, successorConfig(t, DefaultSuite, kps))
		return err
	}
	wantRule(t, "branch with a stranger", branch(groups[0], "b", "d"), "successor.members")
	wantRule(t, "branch with one client twice", branch(groups[0], "b", "b"), "successor.members")
	if err := branch(groups[0]); err != nil {
		t.Errorf("branch of one: %v", err)
	}
	wrong := successorConfig(t, DefaultSuite, nil)
	wrong.Credential = new(basic("b2"))
	wantRule(t, "branch as somebody else", second3(groups[0].Branch(nil, nil, wrong)), "successor.members")
	kps, _ := packages(t, another(DefaultSuite), "b")
	wantRule(t, "branch with packages of another suite", second3(groups[0].Branch(nil, nil, successorConfig(t, DefaultSuite, kps))), "keypackage.suite")

	first := func(a, b Credential) bool { return a.Identity[0] == b.Identity[0] }
	for _, g := range groups {
		g.app.SameClient = first
	}
	wrong.Credential = new(basic("a2"))
	if _, _, err := groups[0].Branch(nil, nil, wrong); err != nil {
		t.Errorf("branch with a new credential of one's own: %v", err)
	}
	closeGroup(t, groups, DefaultSuite)
	for name, names := range map[string][]string{"missing": {"b"}, "nobody else": {}, "a stranger more": {"b", "c", "d"}, "a stranger instead": {"b", "d"}, "one twice": {"b", "b2"}} {
		kps, _ := packages(t, DefaultSuite, names...)
		wantRule(t, name, second3(groups[0].Successor(successorConfig(t, DefaultSuite, kps))), "successor.members")
	}
	kps, secrets := packages(t, DefaultSuite, "b2", "c")
	n, welcomes, err := groups[0].Successor(successorConfig(t, DefaultSuite, kps))
	if err != nil {
		t.Fatal(err)
	}
	enter(t, n, welcomes, secrets, groups[1:])
	p := JoinParams{Tree: n.RatchetTree(), Now: testNow, Parent: groups[2]} // without the application's word
	wantRule(t, "another credential", second(Join(welcomes[1].Message, secrets[1], p)), "successor.members")
}

// TestBranchUnderPolicy: what links a branch to its group is no pre-shared key that somebody
// asks the members for.
func TestBranchUnderPolicy(t *testing.T) {
	groups := trioWith(t, DefaultSuite, Application{Credentials: policyOf(func(c CommitCheck) error {
		if len(c.PSKs) > 0 {
			return errNotAllowed
		}
		return nil
	})})
	kps, secrets := packages(t, DefaultSuite, "b", "c")
	n, welcomes, err := groups[0].Branch([]byte("branch"), nil, successorConfig(t, DefaultSuite, kps))
	if err != nil {
		t.Fatal(err)
	}
	enter(t, n, welcomes, secrets, groups[1:])
}

// hostile makes a group out of g's resumption secret as no honest member does.
func hostile(t tb, g *Group, usage uint8, begin GroupConfig, p CommitParams) *StagedCommit {
	t.Helper()
	begin.SignatureKey, begin.Now, begin.SupportedExtensions = signatureKeyOf(t, begin.Suite), testNow, []ExtensionType{testExtension}
	if begin.Credential.Identity == nil {
		begin.Credential = g.at.tree.leaf(g.at.own).credential
	}
	n := must(NewGroup(begin))(t)
	id, psk := g.at.ResumptionPSK()
	l := &link{id: must(n.at.suite.newPSK(id))(t), psk: psk}
	l.id.usage = usage
	p.link, p.Now = l, testNow
	return must(n.Commit(p))(t)
}

// TestSuccessorsThatAreNone: a member makes another group than the one it should, out of the
// right resumption secret; who is invited finds out.
func TestSuccessorsThatAreNone(t *testing.T) { twoSuites(t, successorsThatAreNone) }

func successorsThatAreNone(t *testing.T, id Suite) {
	open, closed := trioOf(t, id), trioOf(t, id)
	to := another(id)
	closeGroup(t, closed, to)
	for _, c := range successorFaults(id, to, open, closed) {
		begin := c.begin(to)
		kps, secrets := packages(t, begin.Suite, c.names...)
		staged := hostile(t, c.parent[0], c.usage, begin, CommitParams{Add: kps})
		p := JoinParams{Tree: staged.Next().RatchetTree(), Now: testNow, Parent: c.parent[1]}
		_, err := Join(staged.Welcomes()[0].Message, secrets[0], p)
		if c.rule == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		wantRule(t, c.name, err, c.rule)
	}
	// Not in the first epoch: the group had a life before.
	kps, secrets := packages(t, to, "b", "c")
	c := lateSuccessor(t, closed[0], to, kps)
	p := JoinParams{Tree: c.Next().RatchetTree(), Now: testNow, Parent: closed[1]}
	wantRule(t, "epoch 2", second(Join(c.Welcomes()[0].Message, secrets[0], p)), "successor.epoch")
	// A member that was removed has nothing left to join with.
	closed[1].removed = true
	if _, err := Join(c.Welcomes()[0].Message, secrets[0], p); !errors.Is(err, ErrUnknownPSK) {
		t.Errorf("joining as a former member: %v, want ErrUnknownPSK", err)
	}
	if err := second3(closed[1].Successor(SuccessorConfig{})); err != ErrRemoved {
		t.Errorf("successor by a former member: %v, want ErrRemoved", err)
	}
}

// successorFault is a group that a member makes out of its parent's resumption secret, another
// one than it should; without a rule it is as it should be.
type successorFault struct {
	name, rule string
	parent     []*Group
	usage      uint8
	names      []string
	edit       func(*GroupConfig)
}

// begin is how the group begins.
func (f *successorFault) begin(to Suite) GroupConfig {
	cfg := GroupConfig{Suite: to, GroupID: reInitTo(to).GroupID, Extensions: reInitTo(to).Extensions}
	if f.edit != nil {
		f.edit(&cfg)
	}
	return cfg
}

// lateSuccessor adds clients to a group that is linked to g, but not in its first epoch.
func lateSuccessor(t tb, g *Group, to Suite, kps []*KeyPackage) *StagedCommit {
	t.Helper()
	r := reInitTo(to)
	n := must(NewGroup(GroupConfig{
		Suite: to, GroupID: r.GroupID, Extensions: r.Extensions, Credential: basic("a"), SignatureKey: signatureKeyOf(t, to), Now: testNow,
		SupportedExtensions: []ExtensionType{testExtension},
	}))(t)
	if err := n.Merge(must(n.Commit(CommitParams{}))(t)); err != nil {
		t.Fatal(err)
	}
	psk, secret := g.View().ResumptionPSK()
	l := &link{id: must(n.at.suite.newPSK(psk))(t), psk: secret}
	l.id.usage = usageReInit
	return must(n.Commit(CommitParams{Add: kps, Now: testNow, TreeInWelcome: true, link: l}))(t)
}

// successorFaults are of a trio that goes on and of one that a ReInit to another suite closed.
func successorFaults(id, to Suite, open, closed []*Group) []successorFault {
	r := reInitTo(to)
	return []successorFault{
		{"a good successor", "", closed, usageReInit, []string{"b", "c"}, nil},
		{"another id", "reinit.parameters", closed, usageReInit, []string{"b", "c"}, func(cfg *GroupConfig) { cfg.GroupID = []byte("other") }},
		{"another suite", "reinit.parameters", closed, usageReInit, []string{"b", "c"}, func(cfg *GroupConfig) { cfg.Suite = id }},
		{"an extension less", "reinit.parameters", closed, usageReInit, []string{"b", "c"}, func(cfg *GroupConfig) { cfg.Extensions = r.Extensions[:1] }},
		{"another extension", "reinit.parameters", closed, usageReInit, []string{"b", "c"}, func(cfg *GroupConfig) {
			cfg.Extensions = []Extension{{Type: testExtension, Data: []byte("third")}, r.Extensions[1]}
		}},
		{"extensions in another order", "reinit.parameters", closed, usageReInit, []string{"b", "c"}, func(cfg *GroupConfig) {
			cfg.Extensions = []Extension{r.Extensions[1], r.Extensions[0]}
		}},
		{"of an open group", "reinit.parameters", open, usageReInit, []string{"b", "c"}, nil},
		{"a member missing", "successor.members", closed, usageReInit, []string{"b"}, nil},
		{"a stranger more", "successor.members", closed, usageReInit, []string{"b", "c", "d"}, nil},
		{"a stranger instead", "successor.members", closed, usageReInit, []string{"b", "d"}, nil},
		{"made by nobody", "successor.members", closed, usageReInit, []string{"b", "c"}, func(cfg *GroupConfig) { cfg.Credential = basic("x") }},
		{"a good branch", "", open, usageBranch, []string{"b"}, func(cfg *GroupConfig) { cfg.Suite = id }},
		{"a branch of another suite", "branch.suite", open, usageBranch, []string{"b"}, nil},
		{"a branch with a stranger", "successor.members", open, usageBranch, []string{"b", "d"}, func(cfg *GroupConfig) { cfg.Suite = id }},
		{"a branch by a stranger", "successor.members", open, usageBranch, []string{"b"}, func(cfg *GroupConfig) { cfg.Suite, cfg.Credential = id, basic("x") }},
	}
}
