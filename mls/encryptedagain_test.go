package mls

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestA08_WhoeverEncryptedIt: a member encrypts again, under any generation, what a victim has
// said in the epoch, and it comes before the victim's own message, after it, or instead. The
// victim comes to the others' verdict each time, with the same proposals waiting and the same
// keys used up, so that what it sends next counts for all or for none.
func TestA08_WhoeverEncryptedIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.SampledFrom([]Suite{DefaultSuite, DefaultSuite, SuiteP256AES128P256}).Draw(t, "suite")
		w := &echoes{T: t, groups: trioOf(t, id)}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			rapid.SampledFrom([]func(){w.propose, w.propose, w.commit, w.speak, w.original, w.copy, w.copy, w.copy, w.drop, w.store}).Draw(t, "step")()
			w.compare()
		}
		w.goOn()
	})
}

// echoes is a group whose leaf 0 is the victim and leaf 1 the insider.
type echoes struct {
	*rapid.T
	groups  []*Group
	said    []echo
	commits []*StagedCommit
}

// echo is a message of the victim's.
type echo struct {
	msg    []byte
	opened *authenticatedContent // nil if it is public
}

func (w *echoes) victim() *Group  { return w.groups[0] }
func (w *echoes) insider() *Group { return w.groups[1] }

func (w *echoes) say(msg []byte) {
	e := echo{msg: msg}
	if must(parse(bytes.Clone(msg), readMessage))(w).private != nil {
		e.opened = w.insider().Clone().opened(w, msg) // a key that the others have used up is never chosen
	}
	w.said = append(w.said, e)
}

func (w *echoes) propose() {
	p := ProposalParams{Update: true, Public: w.chance(3, "public")}
	if w.chance(2, "remove") {
		p.Update, p.Remove, p.AAD = false, new(LeafIndex(2)), fmt.Append(nil, len(w.said))
	}
	msg, err := w.victim().Propose(p)
	if err == nil {
		w.say(msg)
	}
}

func (w *echoes) commit() {
	kp, _ := keyPackageOf(w, w.victim().Suite(), fmt.Sprint(len(w.said)))
	c := must(w.victim().Commit(CommitParams{
		Add: []*KeyPackage{kp}, Now: testNow, Path: w.chance(2, "path"), Public: w.chance(3, "public"), IncludePending: w.chance(2, "pending"),
	}))(w)
	w.commits = append(w.commits, c)
	w.say(c.Message())
}

func (w *echoes) speak() {
	if msg, err := w.victim().Encrypt([]byte("words"), nil); err == nil {
		w.say(msg)
	}
}

func (w *echoes) chance(of int, what string) bool { return rapid.IntRange(1, of).Draw(w.T, what) == 1 }

// original is a message as the victim has sent it, perhaps once more.
func (w *echoes) original() {
	if len(w.said) > 0 {
		w.deliver(rapid.SampledFrom(w.said).Draw(w.T, "original").msg)
	}
}

// copy is a message of the victim's that the insider has encrypted again.
func (w *echoes) copy() {
	i := rapid.IntRange(0, len(w.said)).Draw(w.T, "copy")
	if i == len(w.said) || w.said[i].opened == nil {
		return
	}
	a := *w.said[i].opened
	if w.victim().Suite() != DefaultSuite && w.chance(2, "another signature") {
		a.auth.signature = malleate(w, w.victim().Suite(), a.auth.signature)
	}
	g := w.insider().Clone()
	at := uint32(rapid.SampledFrom([]int{0, 1, 2, 3, 4, 5, 6, 50, maxForward - 1}).Draw(w.T, "generation"))
	if _, err := g.keys.seek(0, a.content.contentType, at); err == nil {
		w.deliver(g.inNameOf(w, 0, at, &a))
	}
}

func (w *echoes) drop() {
	for _, g := range w.groups {
		g.DropProposals()
	}
}

func (w *echoes) store() { w.groups[0] = reload(w, w.victim()).Clone() }

// deliver has everybody process a message. Of an application message that it has sent itself the
// victim need not know more than that.
func (w *echoes) deliver(msg []byte) {
	m := must(parse(bytes.Clone(msg), readMessage))(w)
	var verdicts []string
	for _, g := range w.groups {
		got, err := g.Process(msg)
		if errors.Is(err, ErrOwnMessage) {
			w.Fatalf("what the victim has said itself is taken for a copy's: %v", err)
		}
		if c, ok := got.(*StagedCommit); ok && c.SelfRemoved() {
			continue // who is removed cannot tell whether the others can follow
		}
		verdicts = append(verdicts, w.verdict(got, err))
	}
	if m.private != nil && m.private.contentType == contentApplication {
		return
	}
	if len(slices.Compact(slices.Clone(verdicts))) != 1 {
		w.Fatalf("the members' verdicts are %q", verdicts)
	}
}

func (w *echoes) verdict(got Received, err error) string {
	for _, e := range []error{ErrCannotFollow, ErrInvalidCommit, ErrConsumed, ErrTooFarAhead, ErrLimit, ErrInvalid, ErrDecrypt} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	switch got := got.(type) {
	case *OwnCommit:
		if !slices.ContainsFunc(w.commits, got.Is) {
			w.Fatal("an own commit is none of those that were made")
		}
		return "commit"
	case *StagedCommit:
		return "commit"
	}
	return fmt.Sprintf("%T %v", got, err)
}

// compare holds the victim's state against the others'.
func (w *echoes) compare() {
	for _, g := range w.groups[1:] {
		if !slices.EqualFunc(w.victim().queue, g.queue, func(a, b *queuedProposal) bool { return bytes.Equal(a.ref, b.ref) }) {
			w.Fatalf("%d proposals wait at the victim and %d at leaf %d, or others", len(w.victim().queue), len(g.queue), g.OwnLeaf())
		}
		if own, others := heard(w.victim()), heard(g); own != others {
			w.Fatalf("the handshake of the victim is at %s, for leaf %d at %s", own, g.OwnLeaf(), others)
		}
	}
}

// heard is which handshake keys of leaf 0 are there.
func heard(g *Group) string {
	r, _ := g.keys.ratchets(0)
	var skipped []uint32
	for _, k := range r.handshake.skipped {
		skipped = append(skipped, k.generation)
	}
	return fmt.Sprint(skipped, r.handshake.next)
}

// goOn has the victim speak and it or the insider commit: whatever came before, that counts for
// everybody.
func (w *echoes) goOn() {
	if msg, err := w.victim().Encrypt([]byte("call the police"), nil); err == nil {
		for _, g := range w.groups[1:] {
			if m, ok := must(g.Process(msg))(w).(*ApplicationMessage); !ok || string(m.Data) != "call the police" {
				w.Fatalf("leaf %d reads %+v", g.OwnLeaf(), m)
			}
		}
	}
	by := w.groups[rapid.IntRange(0, 1).Draw(w.T, "committer")]
	c := must(by.Commit(CommitParams{IncludePending: true, Path: true, Public: w.chance(2, "public"), Now: testNow}))(w)
	if own, ok := must(by.Process(c.Message()))(w).(*OwnCommit); !ok || !own.Is(c) {
		w.Fatalf("the own commit is %+v", own)
	}
	for _, g := range w.groups {
		if g != by {
			deliver(w, c.Message(), []*Group{g})
		}
	}
	if err := by.Merge(c); err != nil {
		w.Fatal(err)
	}
	agree(w, slices.DeleteFunc(w.groups, (*Group).Removed))
}

// TestA08_BurntAtTheVictimAlone: a message of the victim's that is encrypted again as far ahead
// as the window lets it, and shown to nobody else, does not push what the victim says next out of
// the others' windows.
func TestA08_BurntAtTheVictimAlone(t *testing.T) {
	groups := trio(t)
	said := groups[1].opened(t, must(groups[0].Encrypt([]byte("one"), nil))(t))
	for range 3 {
		r, _ := groups[0].keys.ratchets(0)
		must(groups[0].Process(groups[1].Clone().inNameOf(t, 0, r.application.next, said)))(t)
	}
	must(groups[0].Process(groups[1].Clone().inNameOf(t, 0, maxForward-1, said)))(t)
	for _, text := range []string{"two", "three"} {
		groups[0] = reload(t, groups[0])
		say(t, groups[0], groups, text)
	}
}

// TestEveryEpochBeginsAnew: generations of the handshake that were used in one epoch are none of
// the next one's.
func TestEveryEpochBeginsAnew(t *testing.T) {
	groups := trio(t)
	for range 3 {
		must(groups[0].Commit(CommitParams{}))(t)
		advance(t, groups[1], groups, CommitParams{})
		msg := must(groups[0].Propose(ProposalParams{Update: true}))(t)
		data := must(must(parse(msg, readMessage))(t).private.openSenderData(groups[1].at.suite, groups[1].at.secrets.senderData))(t)
		if data.generation != 0 {
			t.Errorf("the first generation of an epoch is %d", data.generation)
		}
		for _, g := range groups {
			must(g.Process(msg))(t)
		}
	}
}
