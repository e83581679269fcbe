package mls

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/cryptotest"
)

var updateStored = flag.Bool("update", false, "write the stored forms of this version anew")

// storedSuites have their stored forms on file: the default one, ECDSA, and the longest hash.
var storedSuites = []Suite{SuiteX25519AES128Ed25519, SuiteP256AES128P256, SuiteX448ChaCha20Ed448}

// storedForm is what a member of a group of three stored, and what comes to it afterwards. It
// keeps a past epoch and a key of a message that was skipped, two Updates wait, one of them its
// own, and it has staged a commit that adds a fourth.
type storedForm struct {
	Suite   Suite       `json:"suite"`
	Records [][2][]byte `json:"records"`
	Staged  []byte      `json:"staged"`
	Joiner  []byte      `json:"joiner"` // the secrets of the fourth's KeyPackage
	Past    []byte      `json:"past"`   // a message of the epoch before
	Late    []byte      `json:"late"`   // the message that was skipped
	Next    []byte      `json:"next"`   // a later one
	Commit  []byte      `json:"commit"` // another member's, with the Update that waits
	Behind  []byte      `json:"behind"` // a message of the epoch that it begins
	Secret  []byte      `json:"secret"` // exported from that epoch
}

// TestStoredForms: what any version has stored is read, and the group goes on from there.
func TestStoredForms(t *testing.T) {
	if *updateStored {
		writeStoredForms(t)
	}
	files := must(filepath.Glob("testdata/stored-*.json"))(t)
	if len(files) < recordVersion {
		t.Fatalf("%d files of stored forms, there are %d versions", len(files), recordVersion)
	}
	for _, file := range files {
		var forms []storedForm
		if err := json.Unmarshal(must(os.ReadFile(file))(t), &forms); err != nil {
			t.Fatal(err)
		}
		for _, f := range forms {
			t.Run(fmt.Sprintf("%s/%v", filepath.Base(file), f.Suite), f.check)
		}
	}
}

func (f storedForm) check(t *testing.T) {
	kept := shelf{}
	for _, r := range f.Records {
		kept[string(r[0])] = r[1]
	}
	g := must(LoadGroup(kept.records(), Application{KeepEpochs: 1}))(t)
	kept.load(t, g)
	own, another := g.Clone(), g.Clone()

	for text, msg := range map[string][]byte{"past": f.Past, "late": f.Late, "next": f.Next} {
		if m := must(g.Process(msg))(t).(*ApplicationMessage); string(m.Data) != text {
			t.Errorf("message %q reads %q", text, m.Data)
		}
	}
	deliver(t, f.Commit, []*Group{g})
	if m := must(g.Process(f.Behind))(t).(*ApplicationMessage); string(m.Data) != "behind" {
		t.Errorf("the message behind the commit reads %q", m.Data)
	}
	if secret := must(g.Export("test", nil, 32))(t); !bytes.Equal(secret, f.Secret) {
		t.Errorf("the epoch exports %x, want %x", secret, f.Secret)
	}
	kept.keep(t, g)
	kept.load(t, g)

	staged := must(own.LoadCommit(f.Staged))(t)
	if _, back := must(own.Process(staged.Message()))(t).(*OwnCommit); !back {
		t.Error("the own commit is not known")
	}
	if err := own.Merge(staged); err != nil {
		t.Fatal(err)
	}
	joiner := must(UnmarshalKeyPackageSecrets(f.Joiner))(t)
	fourth := must(Join(staged.Welcomes()[0].Message, joiner, JoinParams{Tree: own.RatchetTree()}))(t)
	agree(t, []*Group{own, fourth})
	say(t, fourth, []*Group{own}, "hello")

	if len(another.queue) != 1 || len(another.sent) != 1 || another.sent[0].leafKey == nil {
		t.Errorf("%d proposals wait, %d have not come back", len(another.queue), len(another.sent))
	}
}

// writeStoredForms writes the file of the current version, the same each time.
func writeStoredForms(t *testing.T) {
	var forms []storedForm
	for i, id := range storedSuites {
		t.Run("write", func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, uint64(i))
			forms = append(forms, newStoredForm(t, id))
		})
	}
	b := must(json.Marshal(forms))(t)
	name := fmt.Sprintf("testdata/stored-%d.json", recordVersion)
	if err := os.WriteFile(name, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func newStoredForm(t *testing.T, id Suite) storedForm {
	groups := trioOf(t, id)
	a, b, c := groups[0], groups[1], groups[2]
	f := storedForm{Suite: id}
	b.app.KeepEpochs = 1
	f.Past = must(c.Encrypt([]byte("past"), nil))(t)
	say(t, c, groups, "w")
	advance(t, a, groups, CommitParams{})
	say(t, b, groups, "x")
	say(t, a, groups, "y")
	f.Late = must(a.Encrypt([]byte("late"), nil))(t)
	say(t, a, []*Group{b}, "z")
	f.Next = must(a.Encrypt([]byte("next"), nil))(t)
	kp, joiner := keyPackageOf(t, id, "d")
	f.Joiner = must(joiner.MarshalBinary())(t)
	must(b.SafeExport(7))(t)
	must(b.Propose(ProposalParams{Update: true}))(t)
	update := must(c.Propose(ProposalParams{Update: true}))(t)
	for _, g := range groups {
		must(g.Process(update))(t)
	}
	f.Staged = must(must(b.Commit(CommitParams{Add: []*KeyPackage{kp}, Path: true, Now: testNow}))(t).MarshalBinary())(t)
	for _, r := range stored(b) {
		f.Records = append(f.Records, [2][]byte{[]byte(r.Key), r.Value})
	}
	commit := must(a.Commit(CommitParams{IncludePending: true, Now: testNow}))(t)
	f.Commit = commit.Message()
	if err := a.Merge(commit); err != nil {
		t.Fatal(err)
	}
	f.Behind = must(a.Encrypt([]byte("behind"), nil))(t)
	f.Secret = must(a.Export("test", nil, 32))(t)
	return f
}
