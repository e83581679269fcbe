package mls

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"
)

const (
	testComponent ComponentID  = 0x8001
	otherID       ComponentID  = 0x8002
	testProposal  ProposalType = 0xf0b1
)

// appender is the logic of testComponent: updates are appended. It knows no other.
type appender struct{}

func (appender) UpdateAppData(id ComponentID, current []byte, updates [][]byte) ([]byte, error) {
	if id != testComponent {
		return nil, errors.New("no such component")
	}
	return append(current, bytes.Join(updates, nil)...), nil
}

var (
	extended          = Application{AppData: appender{}}
	extendedProposals = []ProposalType{ProposalAppDataUpdate, ProposalAppEphemeral, ProposalSelfRemove, testProposal}
)

func extendedConfig(t tb, name string) KeyPackageConfig {
	t.Helper()
	return KeyPackageConfig{
		Suite: DefaultSuite, Credential: basic(name), SignatureKey: signatureKey(t),
		NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(time.Hour),
		SupportedExtensions: []ExtensionType{ExtensionAppDataDictionary, ExtensionSupportedWireFormats, ExtensionRequiredWireFormats},
		SupportedProposals:  extendedProposals, Components: []ComponentID{testComponent},
	}
}

// extendedPair is a group of two whose members know the proposals of
// draft-ietf-mls-extensions and one of their own.
func extendedPair(t tb, extensions ...Extension) []*Group {
	t.Helper()
	a := extendedFounder(t, extensions...)
	return []*Group{a, addWith(t, a, nil, extendedConfig(t, "b"))}
}

// extendedFounder is the first of such a group.
func extendedFounder(t tb, extensions ...Extension) *Group {
	t.Helper()
	k := extendedConfig(t, "a")
	return must(NewGroup(GroupConfig{
		Suite: k.Suite, GroupID: []byte("group"), Credential: k.Credential, SignatureKey: k.SignatureKey, Now: testNow,
		SupportedExtensions: k.SupportedExtensions, SupportedProposals: k.SupportedProposals, Components: k.Components,
		Extensions: extensions, Application: extended,
	}))(t)
}

// addWith has g add one client, whose KeyPackage is made to measure; others process it.
func addWith(t tb, g *Group, others []*Group, cfg KeyPackageConfig) *Group {
	t.Helper()
	kp, secrets, err := NewKeyPackage(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := must(g.Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow}))(t)
	deliver(t, c.Message(), others)
	if err := g.Merge(c); err != nil {
		t.Fatal(err)
	}
	return must(Join(c.Welcomes()[0].Message, secrets, JoinParams{Tree: g.RatchetTree(), Now: testNow, Application: extended}))(t)
}

// commitTo has the first group commit, and the others follow; it returns what the last saw.
func commitTo(t tb, groups []*Group, p CommitParams) *StagedCommit {
	t.Helper()
	c := must(groups[0].Commit(p))(t)
	var seen *StagedCommit
	for _, g := range groups[1:] {
		seen = must(g.Process(c.Message()))(t).(*StagedCommit)
		if err := g.Merge(seen); err != nil {
			t.Fatal(err)
		}
	}
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	agree(t, groups)
	return seen
}

// TestAppDataUpdate: components' data changes by commits without a path, by value and by
// reference, and reaches those who join.
func TestAppDataUpdate(t *testing.T) {
	groups := extendedPair(t)
	commitTo(t, groups, CommitParams{AppData: []AppDataUpdate{
		{Component: testComponent, Update: []byte("one ")}, {Component: testComponent, Update: []byte("two ")},
	}})
	msg := must(groups[1].Propose(ProposalParams{AppData: &AppDataUpdate{Component: testComponent, Update: []byte("three")}}))(t)
	for _, g := range groups {
		if q := must(g.Process(msg))(t).(*QueuedProposal); q.AppData == nil || string(q.AppData.Update) != "three" {
			t.Fatalf("queued as %+v", q)
		}
	}
	if seen := commitTo(t, groups, CommitParams{IncludePending: true}); len(seen.Updates()) != 0 {
		t.Error("a commit that only updates application data has a path")
	}
	groups = append(groups, addWith(t, groups[0], groups[1:], extendedConfig(t, "c")))
	for _, g := range groups {
		if data, ok := g.View().AppData(testComponent); !ok || string(data) != "one two three" {
			t.Errorf("leaf %d has %q", g.OwnLeaf(), data)
		}
	}
	commitTo(t, groups, CommitParams{AppData: []AppDataUpdate{{Component: testComponent, Remove: true}}})
	if _, ok := groups[2].View().AppData(testComponent); ok {
		t.Error("removed data is still there")
	}
}

// requiresAppData is in the context of a group whose dictionary only AppDataUpdates change.
var requiresAppData = Extension{
	Type: ExtensionRequiredCapabilities, Data: encodeRequired(requiredCapabilities{proposals: []ProposalType{ProposalAppDataUpdate}}),
}

// paramsFault is a commit that nobody may ask for.
type paramsFault struct {
	name, rule string
	params     CommitParams
}

// commit is what g commits if it does not look.
func (f *paramsFault) commit(t tb, g *Group, format uint16) []byte {
	t.Helper()
	var list []*proposal
	for _, l := range must(g.requested(&f.params))(t) {
		list = append(list, l.proposal)
	}
	return must(hack(t, g.Clone(), list, nil, format, nil))(t)
}

// appDataFaults are those of a group in which testComponent has data.
var appDataFaults = []paramsFault{
	{"removed and changed", "app-data.operations", CommitParams{AppData: []AppDataUpdate{{Component: testComponent, Update: []byte("y")}, {Component: testComponent, Remove: true}}}},
	{"removed twice", "app-data.operations", CommitParams{AppData: []AppDataUpdate{{Component: testComponent, Remove: true}, {Component: testComponent, Remove: true}}}},
	{"nothing to remove", "app-data.absent", CommitParams{AppData: []AppDataUpdate{{Component: otherID, Remove: true}}}},
	{"unknown component", "app-data.component", CommitParams{AppData: []AppDataUpdate{{Component: otherID, Update: []byte("z")}}}},
	{"dictionary by extensions", "app-data.group-extensions", CommitParams{Extensions: &[]Extension{requiresAppData}}},
}

// TestC27_AppDataRules: lists of AppDataUpdates that the draft forbids, refused by committer
// and receiver alike.
func TestC27_AppDataRules(t *testing.T) {
	groups := extendedPair(t, requiresAppData)
	commitTo(t, groups, CommitParams{AppData: []AppDataUpdate{{Component: testComponent, Update: []byte("x")}}})
	for _, c := range appDataFaults {
		_, err := groups[0].Commit(c.params)
		wantRule(t, c.name+", committing", err, c.rule)
		msg := c.commit(t, groups[0], wireFormatPrivate)
		err = untouched(t, c.name, groups[1], msg)
		wantRule(t, c.name, err, c.rule)
		if !errors.Is(err, ErrInvalidCommit) {
			t.Errorf("%s: %v, want ErrInvalidCommit", c.name, err)
		}
	}
	groups[0].app.AppData = nil
	_, err := groups[0].Commit(CommitParams{AppData: []AppDataUpdate{{Component: testComponent, Update: []byte("y")}}})
	wantRule(t, "an application without components", err, "app-data.component")
}

// TestEphemeralAndCustom: what a commit says beyond RFC 9420 comes out for everybody, in
// order, and survives being stored.
func TestEphemeralAndCustom(t *testing.T) {
	groups := extendedPair(t)
	say := ComponentData{Component: testComponent, Data: []byte("by reference")}
	msg := must(groups[1].Propose(ProposalParams{Ephemeral: &say}))(t)
	custom := must(groups[1].Propose(ProposalParams{Custom: &CustomProposal{Type: testProposal, Data: []byte("own kind")}}))(t)
	for _, g := range groups {
		must(g.Process(msg))(t)
		if q := must(g.Process(custom))(t).(*QueuedProposal); q.Custom == nil || q.Custom.Type != testProposal {
			t.Fatalf("queued as %+v", q)
		}
	}
	first := ComponentData{Component: otherID, Data: []byte("by value")}
	seen := commitTo(t, groups, CommitParams{Ephemeral: []ComponentData{first}, IncludePending: true})
	if e := seen.Ephemeral(); len(e) != 2 || string(e[0].Data) != "by value" || string(e[1].Data) != "by reference" {
		t.Errorf("ephemeral data: %+v", e)
	}
	if c := seen.Custom(); len(c) != 1 || c[0].Type != testProposal || string(c[0].Data) != "own kind" {
		t.Errorf("custom proposals: %+v", c)
	}
	for _, bad := range []ProposalType{0, proposalAdd, ProposalSelfRemove, 0x0a0a} {
		_, err := groups[0].Commit(CommitParams{Custom: []CustomProposal{{Type: bad}}})
		wantRule(t, "custom proposal of a type that is none", err, "proposals.type")
	}
}

// TestProposalSupport: a proposal of a type that a member does not announce counts for nobody,
// unless the same commit removes that member.
func TestProposalSupport(t *testing.T) {
	groups := extendedPair(t)
	plain := extendedConfig(t, "c")
	plain.SupportedProposals = nil
	groups = append(groups, addWith(t, groups[0], groups[1:], plain))
	p := CommitParams{Ephemeral: []ComponentData{{Component: testComponent}}}
	_, err := groups[0].Commit(p)
	wantRule(t, "committing", err, "proposals.support")
	msg := must(hack(t, groups[0].Clone(), []*proposal{{kind: ProposalAppEphemeral, component: new(ComponentData)}}, nil, wireFormatPrivate, nil))(t)
	wantRule(t, "receiving", untouched(t, "unsupported", groups[1], msg), "proposals.support")
	p.Remove = []LeafIndex{2}
	commitTo(t, groups[:2], p)
}

// TestComponentsSupport: nobody is in a group whose required components he lacks.
func TestComponentsSupport(t *testing.T) {
	for _, which := range []ComponentID{ComponentAppComponents, ComponentSafeAAD} {
		data := must(EncodeComponents([]ComponentData{{Component: which, Data: EncodeComponentIDs([]ComponentID{testComponent})}}))(t)
		es := []Extension{{Type: ExtensionAppDataDictionary, Data: data}}
		groups := extendedPair(t)
		if which == ComponentAppComponents {
			commitTo(t, groups, CommitParams{Extensions: &es})
			lacking := extendedConfig(t, "c")
			lacking.Components = nil
			kp, _, err := NewKeyPackage(lacking)
			if err != nil {
				t.Fatal(err)
			}
			_, err = groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow})
			wantRule(t, "adding who lacks it", err, "components.support")
			continue
		}
		_, err := groups[0].Commit(CommitParams{Extensions: &es})
		wantRule(t, "safe AAD that no leaf lists", err, "components.support")
	}
	groups := extendedPair(t)
	for name, data := range map[string][]byte{
		"not a dictionary": {1, 2}, "wrong order": {6, 0x80, 2, 0, 0x80, 1, 0}, "twice": {6, 0x80, 1, 0, 0x80, 1, 0},
	} {
		es := []Extension{{Type: ExtensionAppDataDictionary, Data: data}}
		_, err := groups[0].Commit(CommitParams{Extensions: &es})
		wantRule(t, name, err, "components.dictionary")
		bad := extendedConfig(t, "c")
		bad.LeafExtensions = es
		if _, _, err := NewKeyPackage(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("leaf with a dictionary that is %s: %v", name, err)
		}
	}
	es := []Extension{{Type: ExtensionAppDataDictionary, Data: []byte{5, 0, byte(ComponentAppComponents), 2, 1, 0}}}
	_, err := groups[0].Commit(CommitParams{Extensions: &es})
	wantRule(t, "half a component", err, "components.dictionary")
}

// TestRequiredWireFormats: a group may require formats beyond those of RFC 9420 only of
// members that list them.
func TestRequiredWireFormats(t *testing.T) {
	groups := extendedPair(t)
	es := []Extension{{Type: ExtensionRequiredWireFormats, Data: EncodeWireFormats([]uint16{wireFormatPublic, 0xf0c1})}}
	_, err := groups[0].Commit(CommitParams{Extensions: &es})
	wantRule(t, "format that no leaf lists", err, "group.wire-format-support")
	es[0].Data = []byte{3}
	_, err = groups[0].Commit(CommitParams{Extensions: &es})
	wantRule(t, "broken list", err, "extension.wire-formats")
	es[0].Data = EncodeWireFormats([]uint16{wireFormatPublic, wireFormatPrivate})
	commitTo(t, groups, CommitParams{Extensions: &es})
}

// looseAAD is application data of g with authenticated data of no component.
func looseAAD(t tb, g *Group) []byte {
	t.Helper()
	c := g.content(contentApplication, []byte("loose"))
	c.application = []byte("hi")
	a := &authenticatedContent{wireFormat: wireFormatPrivate, content: c}
	if err := a.sign(g.at.suite, g.at.signatureKey, g.at.ctx); err != nil {
		t.Fatal(err)
	}
	return must(g.protect(a, 0))(t)
}

// TestSafeAAD: where the group's dictionary says so, authenticated data is framed by component.
func TestSafeAAD(t *testing.T) {
	data := must(EncodeComponents([]ComponentData{{Component: ComponentSafeAAD, Data: EncodeComponentIDs(nil)}}))(t)
	groups := extendedPair(t, Extension{Type: ExtensionAppDataDictionary, Data: data})
	framed := must(EncodeComponents([]ComponentData{{Component: testComponent, Data: []byte("aad")}}))(t)
	_, err := groups[0].Encrypt([]byte("hi"), []byte("loose"))
	wantRule(t, "sending", err, "framing.safe-aad")
	_, err = groups[0].Commit(CommitParams{AAD: []byte("loose")})
	wantRule(t, "committing", err, "framing.safe-aad")
	wantRule(t, "receiving", untouched(t, "loose AAD", groups[1], looseAAD(t, groups[0].Clone())), "framing.safe-aad")
	m := must(groups[1].Process(must(groups[0].Encrypt([]byte("hi"), framed))(t)))(t).(*ApplicationMessage)
	if items := must(ParseComponents(m.AAD))(t); len(items) != 1 || items[0].Component != testComponent {
		t.Errorf("items %+v", items)
	}
}

// TestLastResort: a package says that it may be used again, and only if it was made so.
func TestLastResort(t *testing.T) {
	for _, last := range []bool{true, false} {
		cfg := extendedConfig(t, "a")
		cfg.LastResort = last
		kp, _, err := NewKeyPackage(cfg)
		if err != nil {
			t.Fatal(err)
		}
		again := must(ParseKeyPackage(kp.Bytes()))(t)
		if again.LastResort() != last || again.Verify(testNow, nil) != nil {
			t.Errorf("LastResort %v, want %v", again.LastResort(), last)
		}
		if ids := must(listedComponents(again.leaf.extensions, ComponentAppComponents))(t); !slices.Contains(ids, testComponent) {
			t.Errorf("leaf announces %v", ids)
		}
	}
}

// TestComponentLabel: what one component signs is worth nothing to another, or without one.
func TestComponentLabel(t *testing.T) {
	key := signatureKey(t)
	sig := must(key.Sign(ComponentLabel(testComponent, "label"), []byte("content")))(t)
	for label, good := range map[string]bool{
		ComponentLabel(testComponent, "label"): true, ComponentLabel(otherID, "label"): false,
		ComponentLabel(testComponent, "other"): false, "label": false,
	} {
		if err := DefaultSuite.Verify(key.Public(), label, []byte("content"), sig); (err == nil) != good {
			t.Errorf("label %q: %v, want good: %v", label, err, good)
		}
	}
}

// TestSelfRemoveRules: a member leaves by a proposal that anybody can read, never inside a
// commit, and never for somebody outside.
func TestSelfRemoveRules(t *testing.T) {
	groups := extendedPair(t)
	groups = append(groups, addWith(t, groups[0], groups[1:], extendedConfig(t, "c")))
	hidden := groups[2].Clone()
	c := hidden.content(contentProposal, nil)
	c.proposal = &proposal{kind: ProposalSelfRemove}
	a := must(hidden.signHandshake(c, false))(t)
	wantRule(t, "private", untouched(t, "private", groups[1], must(hidden.sendHandshake(a))(t)), "self-remove.wire-format")
	byValue := must(hack(t, groups[2].Clone(), []*proposal{{kind: ProposalSelfRemove}}, nil, wireFormatPrivate, nil))(t)
	wantRule(t, "by value", untouched(t, "by value", groups[1], byValue), "self-remove.by-value")
	wantRule(t, "from outside", groups[1].at.checkProposal(&proposal{kind: ProposalSelfRemove}, sender{kind: senderExternal}, &extended), "proposal.sender")
	public := must(groups[2].Propose(ProposalParams{SelfRemove: true}))(t)
	_, err := groups[2].Propose(ProposalParams{SelfRemove: true})
	wantRule(t, "once more", err, "self-remove.once")
	for _, g := range groups[:2] {
		if q := must(g.Process(public))(t).(*QueuedProposal); q.Remove == nil || *q.Remove != 2 {
			t.Fatalf("queued as %+v", q)
		}
	}
	seen := commitTo(t, groups[:2], CommitParams{IncludePending: true})
	if r := seen.Removes(); len(r) != 1 || r[0].Leaf != 2 {
		t.Errorf("removed: %+v", r)
	}
}
