package mls

import (
	"maps"
	"slices"
	"testing"
)

// Cases of proposals and commits of members.

func proposalCases(t *testing.T, id Suite) []*ruleVector {
	s := trioSetting(t, id)
	a := s.groups[0]
	good := must(a.Clone().Propose(ProposalParams{Update: true, Public: true}))(t)
	var all []*ruleVector
	for _, f := range updateFaults(t, a) {
		all = append(all, s.openly("an Update: "+f.name, f.rule, forgedOpenly(t, a, updateWith(t, a, f.edit)), good))
	}
	return all
}

func referenceCases(t *testing.T, id Suite) []*ruleVector {
	s := namedSetting(t, id, "d", "b", "c") // who judges the commit is the first to be invited
	var all []*ruleVector
	for _, f := range referenceFaults(t) {
		judge := s.groups[1].Clone()
		one := *s
		one.groups = []*Group{s.groups[0].Clone(), s.groups[3].Clone(), s.groups[2].Clone()}
		for _, msg := range f.make(one.groups) {
			must(judge.Process(msg))(t)
			one.before = append(one.before, msg)
		}
		good := must(one.groups[0].Clone().Commit(CommitParams{}))(t).Message()
		all = append(all, one.secretly("a commit by reference: "+f.name, f.rule, commitReferred(t, one.groups[0], judge, f.twice), good))
	}
	return all
}

func listCases(t *testing.T, id Suite) []*ruleVector {
	s := trioSetting(t, id)
	a := s.groups[0]
	var faults []listFault
	bad := badKeyPackages(t, id)
	for _, rule := range []string{"keypackage.suite", "group.extension-support", "keypackage.signature", "leaf.suite-support"} {
		faults = append(faults, listFault{"an Add that breaks the rule", rule, []*proposal{{kind: proposalAdd, add: bad[rule]}}})
	}
	for _, rule := range slices.Sorted(maps.Keys(unmet)) {
		required := Extension{Type: ExtensionRequiredCapabilities, Data: encodeRequired(unmet[rule])}
		faults = append(faults, extensionFault("a capability that nobody has", rule, required))
	}
	faults = append(faults, listFaults(t, s.groups)...)
	var all []*ruleVector
	for _, f := range faults {
		all = append(all, s.openly("a commit: "+f.name, f.rule, f.commit(t, a, wireFormatPublic), s.goodCommit(t)))
	}
	return all
}

func extensionFault(name, rule string, es ...Extension) listFault {
	return listFault{name, rule, []*proposal{{kind: proposalGroupExtensions, extensions: es}}}
}

func pathCases(t *testing.T, id Suite) []*ruleVector {
	s := trioSetting(t, id)
	a := s.groups[0]
	var all []*ruleVector
	for _, f := range pathFaults(t, s.groups) {
		all = append(all, s.openly("a path: "+f.name, f.rule, must(hack(t, a.Clone(), nil, f.edit, wireFormatPublic, nil))(t), s.goodCommit(t)))
	}
	short := must(hack(t, a.Clone(), nil, nil, wireFormatPublic, func(tag []byte) []byte { return tag[1:] }))(t)
	return append(all, s.openly("a confirmation tag without its first byte", "commit.confirmation-tag", short, s.goodCommit(t)))
}

// Cases of draft-ietf-mls-extensions.

func extensionCases(t *testing.T, _ Suite) []*ruleVector {
	plain := extendedConfig(t, "c")
	plain.SupportedProposals = nil
	s := settingOf(t, extendedFounder(t), extendedConfig(t, "b"), plain)
	components := must(EncodeComponents([]ComponentData{{Component: ComponentSafeAAD, Data: EncodeComponentIDs([]ComponentID{testComponent})}}))(t)
	faults := []listFault{
		{"a proposal type that one member lacks", "proposals.support", []*proposal{{kind: ProposalAppEphemeral, component: new(ComponentData)}}},
		extensionFault("a component that no leaf lists", "components.support", Extension{Type: ExtensionAppDataDictionary, Data: components}),
		extensionFault("no dictionary", "components.dictionary", unreadable["components.dictionary"]),
		extensionFault("a wire format that no leaf lists", "group.wire-format-support", Extension{Type: ExtensionRequiredWireFormats, Data: EncodeWireFormats([]uint16{wireFormatPublic, 0xf0c1})}),
		extensionFault("no list of wire formats", "extension.wire-formats", Extension{Type: ExtensionRequiredWireFormats, Data: []byte{3}}),
	}
	var all []*ruleVector
	for _, f := range faults {
		all = append(all, s.openly("a commit: "+f.name, f.rule, f.commit(t, s.groups[0], wireFormatPublic), s.goodCommit(t)))
	}
	return all
}

func appDataCases(t *testing.T, _ Suite) []*ruleVector {
	s := settingOf(t, extendedFounder(t, requiresAppData), extendedConfig(t, "b"))
	update := []AppDataUpdate{{Component: testComponent, Update: []byte("x")}}
	s.commits(t, CommitParams{AppData: update, Public: true})
	good := must(s.groups[0].Clone().Commit(CommitParams{AppData: update, Public: true}))(t).Message()
	var all []*ruleVector
	for _, f := range appDataFaults {
		all = append(all, s.openly("a commit: "+f.name, f.rule, f.commit(t, s.groups[0], wireFormatPublic), good))
	}
	return all
}

func leavingCases(t *testing.T, _ Suite) []*ruleVector {
	s := settingOf(t, extendedFounder(t), extendedConfig(t, "b"))
	a := s.groups[0]
	leave := &proposal{kind: ProposalSelfRemove}
	byValue := must(hack(t, a.Clone(), []*proposal{leave}, nil, wireFormatPublic, nil))(t)
	return []*ruleVector{
		s.openly("a SelfRemove by value", "self-remove.by-value", byValue, s.goodCommit(t)),
		s.secretly("a SelfRemove that is encrypted", "self-remove.wire-format", forgedProposal(t, a.Clone(), leave),
			must(a.Clone().Propose(ProposalParams{SelfRemove: true}))(t)),
	}
}
