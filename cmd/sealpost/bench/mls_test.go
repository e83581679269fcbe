package bench

import (
	"testing"

	"github.com/sealpost/sealpost/mls"
)

// Every operation of the figures runs, again and again, and every suite of the figures has
// its primitives.
func TestOperationsRun(t *testing.T) {
	for _, name := range []string{"commit", "commit primitives", "process", "process primitives", "protect", "protect primitives"} {
		for _, s := range classicSuites {
			runTwice(t, mlsRequest{Operation: name, Suite: s, Members: 8})
		}
	}
}

// mls itself judges the groups that are laid out here: who joins one checks all of it.
func TestLargeGroups(t *testing.T) {
	for _, v := range variants() {
		for _, members := range []int{4, 5, 9, 16, 40} {
			q := mlsRequest{Suite: v.suite, Members: members, Populated: v.populated, Fixture: t.TempDir()}
			if _, err := makeFixture(q); err != nil {
				t.Fatalf("%+v: %v", q, err)
			}
			for _, q.Operation = range []string{
				"join", "create path", "follow path", "follow add", "encrypt", "decrypt", "store", "verify", "verify all", "path floor",
				"join floor", "create floor", "follow floor",
			} {
				runTwice(t, q)
			}
		}
	}
}

// A populated group is what it says: a commit reaches all members by one key on each level.
func TestPopulatedCommitIsShort(t *testing.T) {
	const members = 64
	sizes := map[bool]int{}
	for _, populated := range []bool{false, true} {
		q := mlsRequest{Suite: mls.SuiteX25519AES128Ed25519, Members: members, Populated: populated, Fixture: t.TempDir()}
		if _, err := makeFixture(q); err != nil {
			t.Fatal(err)
		}
		commit, err := fixture{q.Fixture}.read(pathFile)
		if err != nil {
			t.Fatal(err)
		}
		sizes[populated] = len(commit)
	}
	const ciphertext = 1 + 32 + 1 + 48 // of a path secret
	if fewer := (sizes[false] - sizes[true]) / ciphertext; fewer != members-1-pathLength(members) {
		t.Errorf("the commit in a populated group has %d ciphertexts fewer", fewer)
	}
}

func runTwice(t *testing.T, q mlsRequest) {
	t.Helper()
	op, err := operations[q.Operation](q)
	if err != nil {
		t.Errorf("%+v: %v", q, err)
		return
	}
	for range 2 {
		if _, err := op.once(); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func TestFiguresHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, area := range Areas() {
		figures, err := new(bench).figures(area, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range figures {
			if seen[f.Name] || f.About == "" || f.Unit == "" || (f.Over != nil) != (f.Sides != "") {
				t.Errorf("figure %q: again, or without About, Unit or Sides", f.Name)
			}
			seen[f.Name] = true
			if f.Over == nil && f.Unit == "ratio" {
				t.Errorf("figure %q is a ratio to nothing", f.Name)
			}
		}
	}
}
