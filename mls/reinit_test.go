package mls

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

func reInitTo(s Suite) *ReInit {
	return &ReInit{
		GroupID: []byte("successor"), Version: 1, Suite: s,
		Extensions: []Extension{{Type: testExtension, Data: []byte("second")}, {Type: ExtensionRequiredCapabilities, Data: make([]byte, 3)}},
	}
}

// closeGroup has the first member commit a ReInit to another suite, which all follow.
func closeGroup(t tb, groups []*Group, to Suite) {
	t.Helper()
	c := must(groups[0].Commit(CommitParams{ReInit: reInitTo(to)}))(t)
	deliver(t, c.Message(), groups[1:])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	agree(t, groups)
}

// packages are fresh KeyPackages and their secrets.
func packages(t tb, s Suite, names ...string) (kps []*KeyPackage, secrets []*KeyPackageSecrets) {
	t.Helper()
	for _, name := range names {
		kp, secret := keyPackageOf(t, s, name)
		kps, secrets = append(kps, kp), append(secrets, secret)
	}
	return kps, secrets
}

// TestReInitClosesTheGroup: after the commit nobody sends or accepts anything in the group, and
// everybody knows what comes next, also after being stored.
func TestReInitClosesTheGroup(t *testing.T) { twoSuites(t, reInitClosesTheGroup) }

func reInitClosesTheGroup(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	late := groups[1].Clone() // has never heard of the ReInit
	if groups[0].ReInit() != nil {
		t.Error("an open group is reinitialized")
	}
	want := reInitTo(another(id))
	c := must(groups[0].Commit(CommitParams{ReInit: want}))(t)
	if got := must(groups[2].Clone().Process(c.Message()))(t).(*StagedCommit); !reflect.DeepEqual(got.ReInit(), want) || !reflect.DeepEqual(c.ReInit(), want) {
		t.Errorf("the commit says %+v and %+v, want %+v", c.ReInit(), got.ReInit(), want)
	}
	deliver(t, c.Message(), groups[1:])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	open := *groups[0] // of an insider whose client goes on
	view, public := *open.at, *open.at.PublicView
	public.reInit, view.PublicView, open.at = nil, &public, &view
	open.keys = open.keys.clone()
	for i, g := range groups {
		g = reload(t, g)
		if !reflect.DeepEqual(g.ReInit(), want) || !reflect.DeepEqual(g.View().ReInit(), want) {
			t.Errorf("leaf %d is told of %+v, want %+v", i, g.ReInit(), want)
		}
		kps, _ := packages(t, id, "d")
		for name, err := range map[string]error{
			"Encrypt": second(g.Encrypt(nil, nil)), "Commit": second(g.Commit(CommitParams{})), "Propose": second(g.Propose(ProposalParams{Update: true})),
			"Add": second(g.Commit(CommitParams{Add: kps, Now: testNow})), "ReInit": second(g.Commit(CommitParams{ReInit: want})), "Branch": second3(g.Branch([]byte("x"), nil, SuccessorConfig{})),
			"GroupInfo": second(g.View().GroupInfo(GroupInfoParams{Tree: true, ExternalPub: true})), // nobody could see in it that the group is closed
		} {
			if err != ErrReInit {
				t.Errorf("%s: %v, want ErrReInit", name, err)
			}
		}
		if i == 0 {
			continue
		}
		said := spoken(t, open.Clone(), "hello")
		said["public commit"] = publicCommit(t, open.Clone())
		for name, msg := range said {
			err := untouched(t, name, g, msg)
			if !errors.Is(err, ErrReInit) || errors.Is(err, ErrInvalidCommit) != (name == "commit" || name == "public commit") {
				t.Errorf("%s in a closed group: %v, want ErrReInit", name, err)
			}
			wantRule(t, name, err, "group.reinit")
		}
		if err := untouched(t, "late", g, must(late.Encrypt(nil, nil))(t)); !errors.Is(err, ErrPastEpoch) {
			t.Errorf("message of the epoch before: %v, want ErrPastEpoch", err)
		}
	}
}

func second3[A, B any](_ A, _ B, err error) error { return err }

// TestReInitByReference: a proposal waits until nothing else does, and is then committed.
func TestReInitByReference(t *testing.T) { twoSuites(t, reInitByReference) }

func reInitByReference(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	want := reInitTo(another(id))
	asked := *want
	asked.Version = 0
	propose := func(by *Group, p ProposalParams) {
		msg := must(by.Propose(p))(t)
		for i, g := range groups {
			q := must(g.Process(msg))(t).(*QueuedProposal)
			if p.ReInit != nil && (q.ReInit.Suite != p.ReInit.Suite || q.ReInit.Version != 1 || q.Own != (g == by)) {
				t.Errorf("leaf %d is told of %+v", i, q)
			}
			groups[i] = reload(t, g)
		}
	}
	propose(groups[1], ProposalParams{ReInit: &asked})
	propose(groups[2], ProposalParams{Update: true})
	commit := func(p CommitParams) {
		c := must(groups[0].Commit(p))(t)
		deliver(t, c.Message(), groups[1:])
		if err := groups[0].Merge(c); err != nil {
			t.Fatal(err)
		}
		agree(t, groups)
	}
	commit(CommitParams{IncludePending: true})
	if groups[0].ReInit() != nil {
		t.Error("a ReInit was preferred to an Update")
	}
	propose(groups[1], ProposalParams{ReInit: &asked})
	commit(CommitParams{}) // says nothing about it
	if groups[0].ReInit() != nil {
		t.Error("a ReInit was committed that nobody asked for")
	}
	// Two wait, and the only other proposal is one that this member cannot commit.
	propose(groups[1], ProposalParams{ReInit: &asked})
	propose(groups[2], ProposalParams{ReInit: reInitTo(id)})
	propose(groups[2], ProposalParams{PSK: &PSKID{External: []byte("unknown")}})
	commit(CommitParams{IncludePending: true, Path: true})
	for _, g := range groups {
		if !reflect.DeepEqual(g.ReInit(), want) {
			t.Errorf("leaf %d is told of %+v, want the first that was proposed", g.OwnLeaf(), g.ReInit())
		}
	}
}

// TestReInitThatCannotBe: nobody asks for a group that it could not be in itself.
func TestReInitThatCannotBe(t *testing.T) {
	groups := trio(t)
	g := groups[0]
	before := fingerprint(t, g)
	for _, c := range []struct {
		name string
		edit func(*ReInit)
		want error
		rule string
	}{
		{"version 2", func(r *ReInit) { r.Version = 2 }, ErrUnsupported, "reinit.version"},
		{"unknown suite", func(r *ReInit) { r.Suite = 0xf123 }, ErrUnsupported, ""},
		{"extension twice", func(r *ReInit) { r.Extensions = append(r.Extensions, r.Extensions[0]) }, ErrInvalid, "extension.unique"},
		{"broken capabilities", func(r *ReInit) {
			r.Extensions = []Extension{{Type: ExtensionRequiredCapabilities, Data: []byte{9}}}
		}, ErrInvalid, "extension.required-capabilities"},
	} {
		r := reInitTo(DefaultSuite)
		c.edit(r)
		for _, err := range []error{second(g.Commit(CommitParams{ReInit: r})), second(g.Propose(ProposalParams{ReInit: r}))} {
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			if c.rule != "" {
				wantRule(t, c.name, err, c.rule)
			}
		}
	}
	kps, _ := packages(t, DefaultSuite, "d")
	wantRule(t, "beside an Add", second(g.Commit(CommitParams{ReInit: reInitTo(DefaultSuite), Add: kps, Now: testNow})), "proposals.reinit")
	wantRule(t, "successor of an open group", second3(g.Successor(SuccessorConfig{})), "reinit.pending")
	if !bytes.Equal(fingerprint(t, g), before) {
		t.Error("a refused commit or proposal left a trace")
	}
	// Others may commit such a ReInit: the group is closed, and nobody here can go on.
	for _, edit := range []func(*ReInit){func(r *ReInit) { r.Version = 2 }, func(r *ReInit) { r.Suite = 0xf123 }} {
		groups := trio(t)
		r := reInitTo(DefaultSuite)
		edit(r)
		pl := must(groups[1].at.apply([]listed{{proposal: &proposal{kind: proposalReInit, reInit: r}, from: fromMember(1)}}, 1, &Application{}))(t)
		b := &commitBuilder{group: groups[1], plan: pl, params: new(CommitParams), commit: new(commit)}
		deliver(t, must(b.build())(t).Message(), groups[:1])
		if _, _, err := groups[0].Successor(SuccessorConfig{SignatureKey: signatureKey(t), Now: testNow}); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%+v: %v, want ErrUnsupported", groups[0].ReInit(), err)
		}
	}
}

// TestPolicyForReInit: a policy sees a ReInit before it closes the group.
func TestPolicyForReInit(t *testing.T) {
	groups := trio(t)
	want := reInitTo(DefaultSuite)
	var seen *ReInit
	for _, g := range groups[1:] {
		g.app = Application{Credentials: policyOf(func(c CommitCheck) error {
			if seen = c.ReInit; seen != nil {
				return errNotAllowed
			}
			return nil
		})}
	}
	msg := must(groups[0].Commit(CommitParams{ReInit: want}))(t).Message()
	if err := untouched(t, "ReInit", groups[1], msg); !errors.Is(err, ErrInvalidCommit) || !errors.Is(err, errNotAllowed) || !reflect.DeepEqual(seen, want) {
		t.Errorf("%v, and the policy saw %+v", err, seen)
	}
	must(groups[2].Process(must(groups[0].Propose(ProposalParams{ReInit: want}))(t)))(t)
	c := must(groups[2].Commit(CommitParams{IncludePending: true}))(t)
	if c.ReInit() != nil || len(c.Updates()) != 1 {
		t.Error("a proposal against the policy was committed")
	}
}
