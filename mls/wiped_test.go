package mls

import (
	"bytes"
	"testing"
)

// TestWipedRecords: a caller that wipes what Save has listed, stored or not, takes no key from
// the group. With the group's own bytes in its hands it would make the group encrypt under keys
// that are derived from zeros.
func TestWipedRecords(t *testing.T) { eachSuite(t, wipedRecords) }

func wipedRecords(t *testing.T, id Suite) {
	groups := keeping(t, id, 1)
	g := groups[0]
	kept := shelf{}
	kept.keep(t, g)
	say(t, groups[1], groups, "x")
	commitTo(t, groups, CommitParams{})
	must(g.SafeExport(1))(t)
	p := must(g.Propose(ProposalParams{Update: true}))(t)
	must(g.Process(p))(t)
	before := fingerprint(t, g)
	for range 2 { // not said to be stored
		for _, r := range g.Save() {
			clear(r.Value)
		}
	}
	if !bytes.Equal(before, fingerprint(t, g)) {
		t.Error("who wipes records changes the group")
	}
	listed := g.Save()
	for _, r := range listed {
		if r.Value != nil {
			kept[r.Key] = bytes.Clone(r.Value)
		} else {
			delete(kept, r.Key)
		}
		clear(r.Value)
	}
	g.Saved()
	if !bytes.Equal(before, fingerprint(t, g)) {
		t.Error("who wipes stored records changes the group")
	}
	kept.load(t, g)
	say(t, groups[1], groups[1:], "others go on")
	g.DropProposals()
	say(t, g, groups, "and so does the group")
}

// TestWipedExport: who wipes an exported secret changes neither a copy of the group nor what is
// stored of it.
func TestWipedExport(t *testing.T) {
	g := trio(t)[0]
	kept := shelf{}
	must(g.SafeExport(0x8000))(t) // the next one has its secret by now
	kept.keep(t, g)
	before := g.Clone()
	out := must(g.SafeExport(0x8001))(t)
	want := bytes.Clone(out)
	clear(out)
	kept.keep(t, g)
	kept.load(t, g)
	if got := must(before.SafeExport(0x8001))(t); !bytes.Equal(got, want) {
		t.Errorf("a copy exports %x, want %x", got, want)
	}
}

// TestWipedPrivateKeys: who wipes the private keys of a KeyPackage, handed over, does not change
// what is stored of it: a seed of zeros is everybody's.
func TestWipedPrivateKeys(t *testing.T) { eachSuite(t, wipedPrivateKeys) }

func wipedPrivateKeys(t *testing.T, id Suite) {
	_, secrets := keyPackageOf(t, id, "a")
	before := must(secrets.MarshalBinary())(t)
	initKey, leafKey, signatureKey, err := secrets.PrivateKeys()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range [][]byte{initKey, leafKey, signatureKey} {
		clear(key)
	}
	if !bytes.Equal(must(secrets.MarshalBinary())(t), before) {
		t.Error("who wipes the keys changes the KeyPackage's secrets")
	}
}
