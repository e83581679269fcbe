package mls

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// Cases of KeyPackages, which whoever would add them verifies.

func keyPackageCases(t *testing.T, id Suite) []*ruleVector {
	good := forge(t, id, func(*KeyPackage, *leafNode) {})
	var all []*ruleVector
	bad := badKeyPackages(t, id)
	for _, rule := range slices.Sorted(maps.Keys(bad)) {
		if rule != "group.extension-support" && rule != "keypackage.suite" {
			all = append(all, verifyCase("a KeyPackage that breaks the rule", rule, bad[rule], good))
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(unreadable)) {
		all = append(all, verifyCase("an extension of a KeyPackage's leaf", rule, withLeafExtension(t, unreadable[rule]), good))
	}
	cut := wrapped(good)
	malformed := verifyCase("a KeyPackage without its last byte", "malformed", good, good)
	malformed.Bad = cut[:len(cut)-1]
	return append(all, malformed)
}

// certificateCases have a certificate that is none, and one of another key.
func certificateCases(t *testing.T, id Suite) []*ruleVector {
	a := newAuthority(t)
	good, secrets := a.keyPackage(t, id, "b")
	var all []*ruleVector
	chains := badChains(t, a, secrets.signatureKey)
	for _, c := range []struct {
		name, rule string
		chain      int
	}{
		{"a certificate that is none", "credential.certificate", 2},
		{"a certificate of another key", "credential.certificate-key", 0},
	} {
		bad := forge(t, id, func(_ *KeyPackage, l *leafNode) { l.credential = chains[c.rule][c.chain] })
		all = append(all, verifyCase(c.name, c.rule, bad, good))
	}
	return all
}

func lifetimeCases(t *testing.T, id Suite) []*ruleVector {
	week := func(l *leafNode) { l.lifetime.notAfter += uint64(7 * 24 * time.Hour / time.Second) }
	bad := forge(t, id, func(*KeyPackage, *leafNode) {})
	good := forge(t, id, func(_ *KeyPackage, l *leafNode) { week(l) })
	c := verifyCase("a KeyPackage whose lifetime is over", "expired", bad, good)
	c.Now = testNow.Add(25 * time.Hour).Unix()

	// A member that has not updated its leaf in time: in the good group it is gone.
	founder := namedSetting(t, id, "b").groups[0]
	joiner, own, err := NewKeyPackage(KeyPackageConfig{
		Suite: id, Credential: basic("d"), SignatureKey: signatureKeyOf(t, id), NotBefore: testNow, NotAfter: testNow.Add(72 * time.Hour),
		SupportedExtensions: []ExtensionType{testExtension},
	})
	done(t, err)
	p := CommitParams{Add: []*KeyPackage{joiner}, Path: true, Now: testNow, TreeInWelcome: true}
	late := must(founder.Commit(p))(t)
	p.Remove = []LeafIndex{1}
	without := must(founder.Commit(p))(t)
	return []*ruleVector{c, {
		Name: "a member whose lifetime is over", Error: "expired", Action: actJoin, Now: c.Now, Member: memberOf(t, own),
		Bad: late.Welcomes()[0].Message, Good: without.Welcomes()[0].Message,
	}}
}

// keyCases show keys that are none of the suite's wherever a message has one.
func keyCases(t *testing.T, id Suite) []*ruleVector {
	good := forge(t, id, func(*KeyPackage, *leafNode) {})
	key := badKey(t, id)
	s := trioSetting(t, id)
	paths := pathFaults(t, s.groups)
	i := slices.IndexFunc(paths, func(f pathFault) bool { return f.rule == "path.key" })
	trees := treeFaults(t, id)
	j := slices.IndexFunc(trees, func(f treeFault) bool { return f.rule == "tree.parent-key" })
	return []*ruleVector{
		verifyCase("a leaf's key", "leaf.encryption-key", badKeyPackages(t, id)["leaf.encryption-key"], good),
		verifyCase("an init key", "keypackage.init-key", forge(t, id, func(kp *KeyPackage, _ *leafNode) { kp.initKey = key }), good),
		verifyCase("a leaf's signature", "leaf.signature", badKeyPackages(t, id)["leaf.signature"], good),
		s.openly("a path: "+paths[i].name, "path.key", must(hack(t, s.groups[0].Clone(), nil, paths[i].edit, wireFormatPublic, nil))(t), s.goodCommit(t)),
		followCase("a tree: "+trees[j].name, "tree.parent-key", trees[j].info(t, s.groups[0]), s.info),
	}
}
