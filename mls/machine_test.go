package mls

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestGroupMachine drives a group of up to eight members: commits that race, proposals of all
// kinds, external commits, application messages that come late, never or twice, members that
// are stored and loaded, and in between outsiders and members who send what nobody should.
// Members always agree on the epoch, or refuse alike; and no message costs more than the
// largest that is honest.
func TestGroupMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { groupMachine(t, []int{3, 2, 4, 6, 0}, []int{8, 4, 12, 1}) })
}

// FuzzGroup drives the machine of TestGroupMachine by the fuzzer's bytes, in short runs.
func FuzzGroup(f *testing.F) {
	for seed := range byte(8) {
		var b []byte
		for i := range 1000 {
			b = append(b, seed*byte(i>>3)+byte(i)*13)
		}
		f.Add(b)
	}
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { groupMachine(t, []int{2, 1, 3}, []int{2, 1, 4}) }))
}

// groupMachine has one of first clients join a founder, and takes one of these numbers of steps.
func groupMachine(t *rapid.T, first, steps []int) {
	id := rapid.SampledFrom([]Suite{DefaultSuite, DefaultSuite, SuiteMLKEM768X25519AES256Ed25519, SuiteP256AES128P256}).Draw(t, "suite")
	m := &machine{T: t, secrets: make(map[string]*KeyPackageSecrets), app: Application{
		PSKs: knownPSKs{"one": []byte("key one"), "two": []byte("key two")}, KeepEpochs: rapid.IntRange(0, 1).Draw(t, "kept epochs"),
	}}
	m.join(newGroupOf(t, id, "founder"))
	for range rapid.SampledFrom(first).Draw(t, "members at first") {
		m.enter()
	}
	all := map[string]func(){
		"chat": m.chat, "letters": m.letters, "propose": m.propose, "commit": m.commit, "enter": m.enter,
		"repeat": m.repeat, "forge": m.forge, "claim": m.claim, "impersonate": m.impersonate, "propose ill": m.proposeIll, "commit ill": m.commitIll, "reload": m.reload,
	}
	names := slices.Sorted(maps.Keys(all))
	for range rapid.SampledFrom(steps).Draw(t, "steps") {
		all[rapid.SampledFrom(names).Draw(t, "step")]()
		agree(t, m.groups())
	}
}

const machineMembers = 8

// machine is a group, its delivery service, and what is on its way.
type machine struct {
	*rapid.T
	app     Application
	clients []*client
	secrets map[string]*KeyPackageSecrets // by reference, of those who may be added
	names   int
	mail    []letter
	log     [][]byte // all that the group was ever sent
}

// client is one device; g is replaced when it is stored and loaded.
type client struct{ g *Group }

// letter is an application message on its way to one client.
type letter struct {
	to    *client
	msg   []byte
	epoch uint64
}

func (m *machine) join(g *Group) *client {
	g.app = m.app
	c := &client{g}
	m.clients = append(m.clients, c)
	return c
}

func (m *machine) groups() (out []*Group) {
	for _, c := range m.clients {
		out = append(out, c.g)
	}
	return out
}

// bury takes those out of the machine who are no longer in the group.
func (m *machine) bury() {
	for _, c := range m.clients {
		if c.g.Removed() {
			if _, err := c.g.Process(m.log[len(m.log)-1]); !errors.Is(err, ErrRemoved) {
				m.Fatalf("a former member processes: %v, want ErrRemoved", err)
			}
		}
	}
	m.clients = slices.DeleteFunc(m.clients, func(c *client) bool { return c.g.Removed() })
}

func (m *machine) chance(of int, what string) bool { return rapid.IntRange(1, of).Draw(m.T, what) == 1 }

func (m *machine) someone(what string) *client {
	return m.clients[rapid.IntRange(0, len(m.clients)-1).Draw(m.T, what)]
}

// newcomer is a KeyPackage whose secrets are kept.
func (m *machine) newcomer(s Suite) *KeyPackage {
	m.names++
	kp, secrets := keyPackageOf(m, s, fmt.Sprintf("member %d", m.names))
	m.secrets[string(kp.Ref())] = secrets
	return kp
}

// chat writes messages to everybody, some of which are lost.
func (m *machine) chat() {
	from := m.someone("speaker")
	for range rapid.IntRange(1, 4).Draw(m.T, "messages") {
		msg, err := from.g.Encrypt([]byte("words"), nil)
		if errors.Is(err, ErrPendingProposals) {
			return
		}
		if err != nil {
			m.Fatal(err)
		}
		m.log = append(m.log, msg)
		for _, again := range m.echoed(from, msg) {
			if &again[0] == &msg[0] {
				continue
			}
			for _, c := range m.clients {
				if text, ok := must(c.g.Process(again))(m).(*ApplicationMessage); !ok || text.Sender != from.g.OwnLeaf() {
					m.Fatalf("leaf %d gets %+v", c.g.OwnLeaf(), text)
				}
			}
		}
		for _, c := range m.clients {
			if c != from && !m.chance(5, "lost") {
				m.mail = append(m.mail, letter{c, msg, from.g.Epoch()})
			}
		}
	}
}

// letters delivers some of what is on its way, in any order, and now and then twice.
func (m *machine) letters() {
	for range min(len(m.mail), rapid.IntRange(1, 8).Draw(m.T, "letters")) {
		i := rapid.IntRange(0, len(m.mail)-1).Draw(m.T, "letter")
		l := m.mail[i]
		m.mail = slices.Delete(m.mail, i, i+1)
		want := error(nil)
		switch {
		case l.to.g.Removed():
			want = ErrRemoved
		case l.epoch+uint64(m.app.KeepEpochs) < l.to.g.Epoch():
			want = ErrPastEpoch
		}
		got, err := l.to.g.Process(l.msg)
		if text, ok := got.(*ApplicationMessage); !errors.Is(err, want) || want == nil && (!ok || string(text.Data) != "words") {
			m.Fatalf("a letter of epoch %d in epoch %d: %v, %v, want %v", l.epoch, l.to.g.Epoch(), got, err, want)
		}
		if want == nil && m.chance(3, "twice") {
			if _, err := l.to.g.Process(l.msg); !errors.Is(err, ErrConsumed) {
				m.Fatalf("a letter that comes twice: %v, want ErrConsumed", err)
			}
		}
	}
}

// proposal draws what g could propose.
func (m *machine) proposal(g *Group) ProposalParams {
	// What says the same twice is refused as a repetition.
	p := ProposalParams{Now: testNow, Public: m.chance(2, "public"), AAD: fmt.Appendf(nil, "%d", len(m.log))}
	switch rapid.SampledFrom([]string{"update", "add", "remove", "psk", "extensions"}).Draw(m.T, "proposal") {
	case "update":
		p.Update = true
	case "add":
		p.Add = m.newcomer(g.Suite())
	case "remove":
		p.Remove = new(m.someone("who goes").g.OwnLeaf())
	case "psk":
		p.PSK = new(external(m.psk()))
	case "extensions":
		p.Extensions = &[]Extension{{Type: testExtension, Data: []byte{byte(len(m.log))}}}
	}
	return p
}

func (m *machine) psk() string { return rapid.SampledFrom([]string{"one", "two"}).Draw(m.T, "psk") }

// propose has everybody, the proposer too, get a proposal.
func (m *machine) propose() {
	from := m.someone("proposer")
	msg, err := from.g.Propose(m.proposal(from.g))
	if err != nil {
		if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrLimit) {
			m.Fatal(err)
		}
		return
	}
	for i, msg := range m.echoed(from, msg) {
		m.log = append(m.log, msg)
		for _, c := range m.clients {
			q, err := c.g.Process(msg)
			if _, ok := q.(*QueuedProposal); i == 0 && !ok || i > 0 && !errors.Is(err, ErrConsumed) {
				m.Fatalf("leaf %d, proposal, time %d: %v", c.g.OwnLeaf(), i+1, err)
			}
		}
	}
}

// echoed is a message and, now and then, another member's encryption of what it says, under this
// generation of its sender's or a later one; either may come first.
func (m *machine) echoed(from *client, msg []byte) [][]byte {
	traitor := m.someone("traitor").g.Clone()
	if from == nil || traitor.OwnLeaf() == from.g.OwnLeaf() || !m.chance(3, "encrypted again") {
		return [][]byte{msg}
	}
	if must(parse(slices.Clone(msg), readMessage))(m).private == nil {
		return [][]byte{msg, msg}
	}
	a := traitor.opened(m, msg)
	ratchets, _ := from.g.keys.ratchets(from.g.OwnLeaf())
	at := ratchets.of(a.content.contentType).next + uint32(rapid.SampledFrom([]int{0, 1, 2, 20}).Draw(m.T, "generation"))
	again := traitor.inNameOf(m, from.g.OwnLeaf(), at, a)
	if m.chance(2, "afterwards") {
		return [][]byte{msg, again}
	}
	return [][]byte{again, msg}
}

// draft is a commit that its maker would like to win.
type draft struct {
	by     *client
	msg    []byte
	staged *StagedCommit
	joiner *Group // by an external commit
}

// draft makes a random commit; nil if there is nothing to commit.
func (m *machine) draft(by *client) *draft {
	g := by.g
	p := CommitParams{
		Now: testNow, Path: m.chance(2, "path"), Public: m.chance(2, "public"), TreeInWelcome: m.chance(2, "tree"),
		IncludePending: !m.chance(4, "leave out"),
	}
	for room := machineMembers - len(m.clients); room > 0 && m.chance(2, "add"); room-- {
		p.Add = append(p.Add, m.newcomer(g.Suite()))
	}
	for _, c := range m.clients {
		if c != by && len(m.clients) > 2 && m.chance(6, "remove") {
			p.Remove = append(p.Remove, c.g.OwnLeaf())
		}
	}
	if m.chance(4, "use a psk") {
		p.PSKs = []PSKID{external(m.psk())}
	}
	if m.chance(4, "new extensions") {
		p.Extensions = &[]Extension{{Type: testExtension, Data: []byte("by a commit")}}
	}
	c := must(g.Commit(p))(m)
	return &draft{by: by, msg: c.Message(), staged: c}
}

// commit has one or two members commit at once; the first wins.
func (m *machine) commit() {
	first := m.draft(m.someone("committer"))
	drafts := []*draft{first}
	if other := m.someone("rival"); other != first.by {
		drafts = append(drafts, m.draft(other))
	}
	m.settle(drafts)
}

// settle has the first of some commits count.
func (m *machine) settle(drafts []*draft) {
	won := drafts[0]
	msg := m.echoed(won.by, won.msg)[0]
	m.log = append(m.log, msg)
	for _, c := range m.clients {
		staged := won.staged
		switch got := must(c.g.Process(msg))(m).(type) {
		case *StagedCommit:
			if c == won.by {
				m.Fatalf("leaf %d does not know its commit", c.g.OwnLeaf())
			}
			staged = got
		case *OwnCommit:
			if !got.Is(staged) {
				m.Fatalf("leaf %d takes its commit for another one", c.g.OwnLeaf())
			}
		default:
			m.Fatalf("leaf %d takes a commit for %T", c.g.OwnLeaf(), got)
		}
		if err := c.g.Merge(staged); err != nil {
			m.Fatal(err)
		}
	}
	m.bury()
	if won.joiner != nil {
		m.join(won.joiner)
	} else {
		for _, w := range won.staged.Welcomes() {
			p := JoinParams{Tree: won.by.g.RatchetTree(), Application: m.app, Now: testNow}
			m.join(must(Join(w.Message, m.secrets[string(w.KeyPackageRef)], p))(m))
		}
	}
	for _, lost := range drafts[1:] {
		for _, c := range m.clients {
			if _, err := c.g.Process(lost.msg); !errors.Is(err, ErrPastEpoch) {
				m.Fatalf("a commit that lost: %v, want ErrPastEpoch", err)
			}
		}
	}
}

// enter has somebody join without an invitation, perhaps in the place of one who lost its
// state, and perhaps another commit is faster.
func (m *machine) enter() {
	from := m.someone("helper").g
	m.names++
	p := outsider(m, from.Suite(), fmt.Sprintf("member %d", m.names))
	p.Application = m.app
	if m.chance(2, "use a psk") {
		p.PSKs = []PSKID{external(m.psk())}
	}
	if len(m.clients) >= machineMembers || m.chance(2, "come back") {
		lost := m.someone("lost").g
		p.Remove, p.Credential = new(lost.OwnLeaf()), lost.at.tree.leaf(lost.OwnLeaf()).credential
	}
	g, msg, err := JoinExternal(groupInfoFor(m, from), p)
	if err != nil {
		m.Fatal(err)
	}
	drafts := []*draft{{msg: msg, joiner: g}}
	if m.chance(3, "somebody was faster") {
		drafts = append([]*draft{m.draft(m.someone("committer"))}, drafts...)
	}
	m.settle(drafts)
}

// repeat sends once more what was sent before. It changes nothing, or the members agree on
// what it changes.
func (m *machine) repeat() {
	if len(m.log) == 0 {
		return
	}
	last := m.log[max(0, len(m.log)-10):]
	msg := rapid.SampledFrom(last).Draw(m.T, "old")
	for _, c := range m.clients {
		if got, err := c.g.Process(msg); err == nil {
			if _, late := got.(*ApplicationMessage); late {
				m.mail = slices.DeleteFunc(m.mail, func(l letter) bool { return l.to == c && &l.msg[0] == &msg[0] })
			} else if _, again := got.(*QueuedProposal); !again {
				m.Fatalf("leaf %d takes an old message for %T", c.g.OwnLeaf(), got)
			}
		}
	}
}

// reload stores and loads somebody.
func (m *machine) reload() {
	c := m.someone("stored")
	c.g = reload(m, c.g)
}
