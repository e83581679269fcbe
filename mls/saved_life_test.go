package mls

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestSavedLife drives random histories of a group whose members store what Save lists after
// every step, sometimes in a transaction that fails, or whose outcome nobody tells them. What is stored is all of the group and no
// more: it loads into the same group, which goes on from there, and holds no secret that the
// step used up (RFC 9420 section 9.2).
func TestSavedLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := newGroup(t, "a")
		w := &savedWorld{keep: rapid.IntRange(0, 2).Draw(t, "past epochs"), groups: append([]*Group{a}, add(t, a, nil, CommitParams{Path: true}, "b", "c", "d")...)}
		for _, g := range w.groups {
			g.app.KeepEpochs = w.keep
			w.shelves = append(w.shelves, shelf{})
			w.shelves[len(w.shelves)-1].keep(t, g)
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			w.step(t)
		}
		for i, g := range w.groups {
			w.shelves[i].keep(t, g)
			w.shelves[i].load(t, g)
		}
		agree(t, w.groups)
	})
}

type savedWorld struct {
	groups  []*Group
	shelves []shelf
	late    [][]byte // messages that not everybody has
	members int
	keep    int // past epochs
}

// step does one thing and stores what it changed.
func (w *savedWorld) step(t *rapid.T) {
	before := make([]map[string]string, len(w.groups))
	for i, g := range w.groups {
		before[i] = secretsOf(g)
	}
	from := rapid.IntRange(0, len(w.groups)-1).Draw(t, "from")
	switch rapid.SampledFrom([]string{"say", "say", "late", "propose", "drop", "commit", "change", "export", "forget"}).Draw(t, "what") {
	case "say":
		for i := range w.groups {
			w.groups[i].DropProposals()
		}
		msg := must(w.groups[from].Encrypt([]byte("x"), nil))(t)
		if rapid.Bool().Draw(t, "held back") {
			w.late = append(w.late, msg)
		} else {
			w.deliver(t, msg, from)
		}
	case "late":
		if len(w.late) > 0 {
			w.deliver(t, w.late[0], -1)
			w.late = w.late[1:]
		}
	case "propose":
		msg := must(w.groups[from].Propose(ProposalParams{Update: true}))(t)
		if rapid.Bool().Draw(t, "arrives") {
			w.deliver(t, msg, -1)
		}
	case "drop":
		for _, g := range w.groups {
			g.DropProposals()
		}
	case "commit":
		must(w.groups[from].Commit(CommitParams{}))(t) // never merged
	case "change":
		w.change(t, from)
	case "export":
		_, _ = w.groups[from].SafeExport(ComponentID(rapid.IntRange(0, 3).Draw(t, "component")))
	case "forget":
		age := time.Duration(rapid.IntRange(0, 3).Draw(t, "age"))
		w.groups[from].Forget(testNow.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "now"))*time.Second), age*time.Second)
	}
	for i, g := range w.groups {
		switch rapid.IntRange(0, 6).Draw(t, "transaction fails") {
		case 0:
			g.Save()
			continue
		case 1: // or its outcome is not known
			w.shelves[i].put(t, g.Save())
			continue
		}
		w.shelves[i].keep(t, g)
		again := w.shelves[i].load(t, g)
		if rapid.Bool().Draw(t, "goes on from the store") {
			w.groups[i] = again
		}
		if i < len(before) {
			w.checkGone(t, i, before[i])
		}
	}
}

// deliver has everybody but one process a message of this epoch, or of an epoch that is over.
func (w *savedWorld) deliver(t *rapid.T, msg []byte, but int) {
	for i, g := range w.groups {
		if i != but {
			_, _ = g.Process(msg)
		}
	}
}

// change commits to one more member or one less, with what waits.
func (w *savedWorld) change(t *rapid.T, from int) {
	p := CommitParams{Now: testNow, IncludePending: true, Path: rapid.Bool().Draw(t, "path")}
	g := w.groups[from]
	others := slices.DeleteFunc(slices.Clone(w.groups), func(o *Group) bool { return o == g })
	if len(w.groups) > 3 && rapid.Bool().Draw(t, "remove") {
		p.Remove = []LeafIndex{others[0].OwnLeaf()}
	}
	var names []string
	if len(p.Remove) == 0 || rapid.Bool().Draw(t, "add as well") {
		w.members++
		names = []string{fmt.Sprintf("member %d", w.members)}
	}
	joined := add(t, g, others, p, names...)
	for i := len(w.groups) - 1; i >= 0; i-- {
		if w.groups[i].Removed() {
			w.shelves[i].keep(t, w.groups[i])
			if len(w.shelves[i]) > 0 {
				t.Fatalf("%d records of a former member are left", len(w.shelves[i]))
			}
			w.groups, w.shelves = slices.Delete(w.groups, i, i+1), slices.Delete(w.shelves, i, i+1)
		}
	}
	for _, g := range joined {
		g.app.KeepEpochs = w.keep
		w.groups, w.shelves = append(w.groups, g), append(w.shelves, shelf{})
	}
}

// checkGone looks for secrets that were used up in what is stored of the group at i. Those of
// before may be another member's, if its place has changed: they are not to be there either.
func (w *savedWorld) checkGone(t *rapid.T, i int, before map[string]string) {
	g := w.groups[i]
	now := secretsOf(g)
	var all strings.Builder
	for _, value := range w.shelves[i] {
		all.Write(value)
		all.WriteByte(0)
	}
	for s, what := range before {
		if now[s] == "" && strings.Contains(all.String(), s) {
			t.Fatalf("leaf %d has stored a %s that was used up", g.OwnLeaf(), what)
		}
	}
	for s, what := range now {
		if !strings.Contains(all.String(), s) {
			t.Fatalf("leaf %d has a %s, which is not stored", g.OwnLeaf(), what)
		}
	}
}

// secretsOf are the living secrets of a group, each with what it is.
func secretsOf(g *Group) map[string]string {
	out := map[string]string{}
	note := func(what string, s secret) {
		if len(s) > 0 {
			out[string(s)] = what
		}
	}
	for _, f := range g.at.secrets.fields() {
		note("epoch secret", *f)
	}
	note("signature key", g.at.signatureKey.key())
	for _, key := range g.at.held {
		note("private key", mustPrivate(key))
	}
	for _, s := range g.keys.exports {
		note("exporter secret", s)
	}
	for _, q := range slices.Concat(g.queue, g.sent) {
		if q.leafKey != nil {
			note("key of an Update", mustPrivate(q.leafKey))
		}
	}
	var walk func(n *secretNode)
	walk = func(n *secretNode) {
		if n == nil {
			return
		}
		note("secret of the secret tree", n.secret)
		if n.ratchets != nil {
			for _, r := range []ratchet{n.ratchets.handshake, n.ratchets.application} {
				note("ratchet secret", r.secret)
				for _, k := range r.skipped {
					note("message key", k.key)
				}
			}
		}
		walk(n.left)
		walk(n.right)
	}
	walk(g.keys.root)
	for _, p := range g.past {
		note("secret of a past epoch", p.senderData)
		note("secret of a past epoch", p.resumption)
		walk(p.keys.root)
	}
	return out
}
