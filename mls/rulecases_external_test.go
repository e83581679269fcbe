package mls

import "testing"

// Cases of what comes from outside the group.

func externalCommitCases(t *testing.T, id Suite) []*ruleVector {
	s := trioSetting(t, id)
	es := s.groups[0].Extensions()
	s.all(t, must(s.groups[2].Propose(ProposalParams{Extensions: &es, Public: true}))(t))
	ref := s.groups[0].queue[0].ref
	made := func(edit func(*externalBuilder)) *publicMessage {
		return hackExternal(t, s.info, outsider(t, id, "d"), edit)
	}
	good := publicBytes(made(func(*externalBuilder) {}))
	again := outsider(t, id, "c") // whose place depends on nothing but the first Remove
	again.Remove = new(LeafIndex(2))
	removes := publicBytes(hackExternal(t, s.info, again, func(b *externalBuilder) {
		b.commit.proposals = append(b.commit.proposals, b.commit.proposals[1])
	}))
	all := []*ruleVector{s.openly("an external commit: one Remove twice", "external.remove-count", removes, good)}
	for _, f := range externalFaults(t, id, s.groups, ref) {
		all = append(all, s.openly("an external commit: "+f.name, f.rule, publicBytes(made(f.edit)), good))
	}
	for _, f := range framingFaults {
		if f.rule == "framing.membership-tag" {
			continue // who follows from outside has none to compare with
		}
		m := made(func(*externalBuilder) {})
		f.edit(m)
		all = append(all, s.openly("an external commit: "+f.name, f.rule, publicBytes(m), good))
	}
	return all
}

func externalProposalCases(t *testing.T, id Suite) []*ruleVector {
	s := trioSetting(t, id)
	first, _, commit := oversee(t, s.groups)
	s.before = append(s.before, commit)
	_, secrets := keyPackageOf(t, id, "d")
	good := must(publicOf(t, s.groups[0]).Propose(first, ProposalParams{Remove: new(LeafIndex(2))}))(t)
	var all []*ruleVector
	for _, f := range outsideFaults(s.groups, first, secrets) {
		all = append(all, s.openly("a proposal from outside: "+f.name, f.rule, f.send(t, s.groups[0]), good))
	}
	return all
}
