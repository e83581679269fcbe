package mls

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"

	"pgregory.net/rapid"
)

// damage changes a message in one of the ways that fuzzers do.
func (m *machine) damage(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) == 0 {
		return []byte{0}
	}
	at := rapid.IntRange(0, len(b)-1).Draw(m.T, "at")
	value := rapid.Byte().Draw(m.T, "value")
	switch rapid.SampledFrom([]string{"set", "flip", "cut", "insert", "drop", "double"}).Draw(m.T, "damage") {
	case "set":
		b[at] = value
	case "flip":
		b[at] ^= 1 << (value % 8)
	case "cut":
		b = b[:at]
	case "insert":
		b = slices.Insert(b, at, value)
	case "drop":
		b = slices.Delete(b, at, at+1)
	case "double":
		end := min(len(b), at+int(value))
		b = slices.Insert(b, end, b[at:end]...)
	}
	return b
}

// honest is a message that a copy of g might send now.
func (m *machine) honest(g *Group) []byte {
	g = g.Clone()
	switch rapid.SampledFrom([]string{"application", "proposal", "commit", "external"}).Draw(m.T, "message") {
	case "proposal":
		if msg, err := g.Propose(m.proposal(g)); err == nil {
			return msg
		}
	case "commit":
		return must(g.Commit(CommitParams{
			Public: m.chance(2, "public"), IncludePending: true, Path: true, Now: testNow, Add: []*KeyPackage{m.newcomer(g.Suite())},
		}))(m).Message()
	case "external":
		p := outsider(m, g.Suite(), "outsider")
		p.Application = m.app
		_, msg, err := JoinExternal(groupInfoFor(m, g), p)
		if err != nil {
			m.Fatal(err)
		}
		return msg
	}
	g.queue = nil // it would have to commit first
	return must(g.Encrypt([]byte("words"), nil))(m)
}

// forge gives everybody a message that somebody changed on its way. It is refused without a
// trace.
func (m *machine) forge() {
	msg := m.honest(m.someone("sender").g)
	forged := m.damage(msg)
	if bytes.Equal(forged, msg) {
		return
	}
	m.refused(forged)
}

// refused has everybody refuse a message without a trace.
func (m *machine) refused(msg []byte) {
	for _, c := range m.clients {
		g := c.g.Clone()
		before := fingerprint(m, g)
		if got, err := m.measured(g, msg); err == nil {
			m.Fatalf("leaf %d takes a forged message for %T", g.OwnLeaf(), got)
		}
		if !bytes.Equal(fingerprint(m, g), before) {
			m.Fatalf("a forged message leaves a trace at leaf %d", g.OwnLeaf())
		}
	}
}

// claim sends, as a member, what claims to be of another one and of a generation that is far
// ahead: until the signature is looked at, nobody can know, and the key has to be derived.
func (m *machine) claim() {
	v := m.someone("traitor").g.at
	msg := &privateMessage{
		groupID: v.ctx.groupID, epoch: v.ctx.epoch, ciphertext: make([]byte, 100),
		contentType: rapid.SampledFrom([]uint8{contentApplication, contentProposal, contentCommit}).Draw(m.T, "content"),
	}
	data := senderData{
		leaf:       LeafIndex(rapid.IntRange(0, machineMembers).Draw(m.T, "leaf")),
		generation: rapid.SampledFrom([]uint32{0, maxForward - 1, 5 * maxForward, math.MaxUint32}).Draw(m.T, "generation"),
	}
	k := v.suite.senderDataKey(v.secrets.senderData, msg.ciphertext)
	msg.encryptedSenderData = must(v.suite.aeadSeal(k.key, k.nonce, msg.senderDataAAD(), encode(data, writeSenderData)))(m)
	m.refused(encode(&message{wireFormat: wireFormatPrivate, private: msg}, writeMessage))
}

// impersonate writes, as a member, in another's name and under its next key. The signature is
// the first to tell; the key is still the other's to use.
func (m *machine) impersonate() {
	from, as := m.someone("traitor"), m.someone("victim")
	if from == as {
		return
	}
	g := from.g.Clone()
	g.queue, g.at = nil, &EpochView{
		PublicView: g.at.PublicView, secrets: g.at.secrets, own: as.g.OwnLeaf(), signatureKey: g.at.signatureKey,
	}
	m.refused(must(g.Encrypt([]byte("I am he"), nil))(m))
}

// ill is a proposal that mostly may not be made, or not by a member, or not in this group.
func (m *machine) ill(g *Group) *proposal {
	leaf := LeafIndex(rapid.IntRange(0, machineMembers+1).Draw(m.T, "leaf"))
	nonce := make([]byte, rapid.SampledFrom([]int{g.at.suite.nh, 0, 200}).Draw(m.T, "nonce"))
	all := map[string]*proposal{
		"remove":      {kind: proposalRemove, remove: leaf},
		"add":         {kind: proposalAdd, add: m.newcomer(g.Suite())},
		"other suite": {kind: proposalAdd, add: m.newcomer(another(g.Suite()))},
		"update":      {kind: proposalUpdate, update: m.newcomer(g.Suite()).leaf},
		"own leaf":    {kind: proposalUpdate, update: g.at.tree.leaf(g.OwnLeaf())},
		"psk":         {kind: proposalPSK, psk: &preSharedKeyID{kind: pskExternal, id: []byte("one"), nonce: nonce}},
		"no such psk": {kind: proposalPSK, psk: &preSharedKeyID{kind: pskExternal, id: []byte("three"), nonce: nonce}},
		"old secret":  {kind: proposalPSK, psk: &preSharedKeyID{kind: pskResumption, usage: uint8(leaf) % 5, groupID: g.ID(), nonce: nonce}},
		"reinit":      {kind: proposalReInit, reInit: &ReInit{GroupID: []byte("next"), Version: versionMLS10, Suite: g.Suite()}},
		"init":        {kind: proposalExternalInit, externalInit: nonce},
		"extensions":  {kind: proposalGroupExtensions, extensions: []Extension{{Type: testExtension}}},
		"twice":       {kind: proposalGroupExtensions, extensions: []Extension{{Type: testExtension}, {Type: testExtension}}},
		"unknown":     {kind: proposalGroupExtensions, extensions: []Extension{{Type: 0xf0ff}}},
		"self remove": {kind: ProposalSelfRemove},
		"custom":      {kind: 0xf0b1},
	}
	return all[rapid.SampledFrom(slices.Sorted(maps.Keys(all))).Draw(m.T, "ill")]
}

// injure damages an encoding some times.
func (m *machine) injure(b []byte) []byte {
	for range rapid.SampledFrom([]int{0, 1, 2}).Draw(m.T, "damages") {
		b = m.damage(b)
	}
	return b
}

// proposeIll sends, as a member, a proposal that is ill.
func (m *machine) proposeIll() {
	from := m.someone("traitor")
	way := rapid.SampledFrom([]int{asProposal, asPublicProposal}).Draw(m.T, "way")
	if msg := insider(m, from.g, way, m.injure(encode(m.ill(from.g), writeProposal))); msg != nil {
		m.betray(from, msg)
	}
}

// commitIll sends, as a member, a commit with proposals that are ill, or one that is damaged
// before it is signed.
func (m *machine) commitIll() {
	from := m.someone("traitor")
	var list []*proposal
	for range rapid.SampledFrom([]int{0, 1, 2}).Draw(m.T, "proposals") {
		list = append(list, m.ill(from.g))
	}
	format := rapid.SampledFrom([]uint16{wireFormatPrivate, wireFormatPublic}).Draw(m.T, "format")
	msg := must(hack(m, from.g.Clone(), list, func(b *commitBuilder) {
		if other, err := parse(m.injure(encode(b.commit, writeCommit)), readCommit); err == nil {
			*b.commit = *other
		}
	}, format, nil))(m)
	m.betray(from, msg)
}

// betray gives everybody but its sender what a hostile member signed and encrypted. All refuse
// it, or it counts for all, and then all who can follow come to the same epoch.
func (m *machine) betray(from *client, msg []byte) {
	var took []*Group
	refused := 0
	for _, c := range m.clients {
		if c == from {
			continue
		}
		g := c.g.Clone()
		got, err := m.measured(g, msg)
		switch staged, ok := got.(*StagedCommit); {
		case errors.Is(err, ErrCannotFollow): // it counts, also for those who are stuck
			continue
		case err != nil:
			refused++
			continue
		case ok:
			if err := g.Merge(staged); err != nil {
				m.Fatal(err)
			}
		}
		if !g.Removed() {
			took = append(took, g)
		}
	}
	if refused != 0 && refused != len(m.clients)-1 {
		m.Fatalf("%d of %d members refuse %x", refused, len(m.clients)-1, msg)
	}
	if len(took) > 0 {
		agree(m, took)
		m.goOn(took)
	}
}

// goOn commits what members hold, who are no longer in step with one of the group.
func (m *machine) goOn(groups []*Group) {
	c, err := groups[0].Commit(CommitParams{IncludePending: true, Now: testNow})
	if groups[0].View().ReInit() != nil {
		if !errors.Is(err, ErrReInit) {
			m.Fatalf("a commit in a group that is closed: %v, want ErrReInit", err)
		}
		return
	}
	if err != nil {
		m.Fatal(err)
	}
	deliver(m, c.Message(), groups[1:])
	if err := groups[0].Merge(c); err != nil {
		m.Fatal(err)
	}
	agree(m, slices.DeleteFunc(groups, (*Group).Removed))
}

// measured processes a message and verifies what that cost.
func (m *machine) measured(g *Group, msg []byte) (Received, error) {
	var got Received
	var err error
	if cost := allocated(func() { got, err = g.Process(msg) }); cost > costliest(m, g.Suite())+mostMemory(len(msg)) {
		m.Fatalf("a message of %d bytes made leaf %d allocate %d, the costliest honest one %d", len(msg), g.OwnLeaf(), cost, costliest(m, g.Suite()))
	}
	return got, err
}

// allocated is what f allocates, in bytes.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// costliest is what the honest message of a suite allocates that costs most: one that lies as far
// ahead as the window lets it. Commits of eight members are far below.
func costliest(t tb, id Suite) uint64 {
	farthest.Lock()
	defer farthest.Unlock()
	if farthest.cost[id] == 0 {
		groups := trioOf(t, id)
		for range maxForward - 1 {
			must(groups[0].Encrypt(nil, nil))(t)
		}
		msg := must(groups[0].Encrypt(nil, nil))(t)
		farthest.cost[id] = allocated(func() { must(groups[1].Process(msg))(t) })
	}
	return farthest.cost[id]
}

var farthest = struct {
	sync.Mutex
	cost map[Suite]uint64
}{cost: map[Suite]uint64{}}
