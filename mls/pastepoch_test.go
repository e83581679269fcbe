package mls

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
)

// advance has by commit, which all others follow.
func advance(t tb, by *Group, groups []*Group, p CommitParams) {
	t.Helper()
	p.Now = testNow
	c := must(by.Commit(p))(t)
	for _, g := range groups {
		if g != by {
			deliver(t, c.Message(), []*Group{g})
		}
	}
	if err := by.Merge(c); err != nil {
		t.Fatal(err)
	}
}

// keeping is a trio whose members keep that many epochs.
func keeping(t tb, s Suite, epochs int) []*Group {
	t.Helper()
	return trioWith(t, s, Application{KeepEpochs: epochs})
}

// TestPastEpochs: a message that comes late is read with the keys, and under the signature key,
// of the epoch it was sent in; once, and as long as the epoch is kept.
func TestPastEpochs(t *testing.T) { twoSuites(t, pastEpochs) }

func pastEpochs(t *testing.T, id Suite) {
	groups := keeping(t, id, 2)
	kp, secrets := keyPackageOf(t, id, "d")
	say(t, groups[1], groups, "in time")
	var late [][]byte // of epoch 1, by each member
	for _, g := range groups {
		must(g.Encrypt([]byte("skipped"), nil))(t)
		late = append(late, must(g.Encrypt([]byte("late"), []byte("aad")))(t))
	}
	// b takes another signature key, c leaves, and d gets its place.
	advance(t, groups[1], groups, CommitParams{NewSignatureKey: signatureKeyOf(t, id)})
	between := must(groups[2].Encrypt([]byte("between"), nil))(t)
	c := must(groups[0].Commit(CommitParams{Remove: []LeafIndex{2}, Add: []*KeyPackage{kp}, Now: testNow}))(t)
	deliver(t, c.Message(), groups[1:])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	d := must(Join(c.Welcomes()[0].Message, secrets, JoinParams{Tree: groups[0].RatchetTree(), Now: testNow}))(t)
	if !groups[2].Removed() || groups[2].past != nil {
		t.Error("a former member keeps epochs")
	}
	store := shelf{}
	store.keep(t, groups[0])
	g := store.load(t, groups[0])
	read := func(msg []byte, from LeafIndex, epoch uint64, generation uint32, text string) {
		t.Helper()
		m, ok := must(g.Process(msg))(t).(*ApplicationMessage)
		if !ok || m.Sender != from || m.Epoch != epoch || m.Generation != generation || string(m.Data) != text {
			t.Errorf("got %+v, want %q", m, text)
		}
		n := bytesOf(g.Save())
		if n == 0 || n > 2048 {
			t.Errorf("reading a late message changes %d bytes of what is stored", n)
		}
		store.keep(t, g)
		g = store.load(t, g)
		if err := untouched(t, "once more", g, msg); !errors.Is(err, ErrConsumed) {
			t.Errorf("late message once more: %v, want ErrConsumed", err)
		}
	}
	read(late[1], 1, 1, 2, "late")
	read(late[2], 2, 1, 1, "late")
	read(between, 2, 2, 0, "between")
	if err := untouched(t, "own", g, late[0]); !errors.Is(err, ErrConsumed) || errors.Is(err, ErrOwnMessage) {
		t.Errorf("own message of a past epoch: %v, want ErrConsumed", err)
	}
	for _, other := range []*Group{d, keeping(t, id, 2)[1]} {
		if err := untouched(t, "stranger", other, late[2]); !errors.Is(err, ErrPastEpoch) && !errors.Is(err, ErrDecrypt) {
			t.Errorf("message of an epoch that the member did not see: %v", err)
		}
	}
	say(t, d, []*Group{g, groups[1], d}, "now")
	advance(t, d, []*Group{g, groups[1], d}, CommitParams{})
	if err := untouched(t, "too late", g, late[1]); !errors.Is(err, ErrPastEpoch) || g.kept([]byte("group"), 1) >= 0 {
		t.Errorf("message of an epoch that is no longer kept: %v, want ErrPastEpoch", err)
	}
}

// TestPastEpochsAreForReading: nothing but application messages counts in a past epoch, and
// what claims to come from it is verified as then.
func TestPastEpochsAreForReading(t *testing.T) { twoSuites(t, pastEpochsAreForReading) }

func pastEpochsAreForReading(t *testing.T, id Suite) {
	groups := keeping(t, id, 1)
	insider := groups[1].Clone() // stays in epoch 1
	insider.at = new(*insider.at)
	said := spoken(t, groups[2].Clone(), "late")
	said["public commit"] = publicCommit(t, groups[2].Clone())
	advance(t, groups[0], groups, CommitParams{})
	g := groups[0]
	for name, msg := range said {
		if name == "application" {
			continue
		}
		if err := untouched(t, name, g, msg); !errors.Is(err, ErrPastEpoch) || errors.Is(err, ErrInvalidCommit) {
			t.Errorf("%s of a past epoch: %v, want ErrPastEpoch", name, err)
		}
	}
	a := insider.opened(t, said["application"])
	junk := must(parse(said["application"], readMessage))(t)
	junk.private.ciphertext = bytes.Clone(junk.private.ciphertext)
	junk.private.ciphertext[len(junk.private.ciphertext)-1] ^= 1
	mine := insider.content(contentApplication, nil)
	mine.application = []byte("not mine")
	forged := &authenticatedContent{wireFormat: wireFormatPrivate, content: mine}
	if err := forged.sign(insider.at.suite, insider.at.signatureKey, insider.at.ctx); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		msg  []byte
		want error
	}{
		"in another's name":   {insider.inNameOf(t, 2, 5, forged), ErrInvalid},
		"in our own name":     {insider.inNameOf(t, 0, 5, a), ErrConsumed},
		"that does not open":  {encode(junk, writeMessage), ErrDecrypt},
		"far ahead":           {insider.farAhead(t, 2, a), ErrTooFarAhead},
		"by nobody's leaf":    {insider.byLeaf(t, 3, a), ErrInvalid},
		"by an outside place": {insider.byLeaf(t, 1<<20, a), ErrInvalid},
	} {
		if err := untouched(t, name, g, c.msg); !errors.Is(err, c.want) {
			t.Errorf("message of a past epoch %s: %v, want %v", name, err, c.want)
		}
	}
	if m, ok := must(g.Process(said["application"]))(t).(*ApplicationMessage); !ok || string(m.Data) != "late" {
		t.Errorf("the message itself: %+v", m)
	}
	// In a group that is closed, too.
	closing := keeping(t, id, 1)
	msg := must(closing[1].Encrypt([]byte("late"), nil))(t)
	closeGroup(t, closing, id)
	must(closing[0].Process(msg))(t)
}

// farAhead encrypts a beyond the window of a leaf's ratchet.
func (g *Group) farAhead(t tb, leaf LeafIndex, a *authenticatedContent) []byte {
	t.Helper()
	reader := g.Clone()
	reader.keys.take(must(reader.keys.seek(leaf, contentApplication, maxForward-1))(t))
	return reader.inNameOf(t, leaf, maxForward+1, a)
}

// byLeaf encrypts a under a key of its own, naming any leaf.
func (g *Group) byLeaf(t tb, leaf LeafIndex, a *authenticatedContent) []byte {
	t.Helper()
	named := *a.content
	named.sender.index = uint32(leaf)
	st := must(g.keys.seek(g.at.own, contentApplication, 9))(t)
	m := must(protectPrivate(g.at.suite, &authenticatedContent{a.wireFormat, &named, a.auth}, g.at.secrets.senderData, st.key, 0))(t)
	return encode(&message{wireFormat: wireFormatPrivate, private: m}, writeMessage)
}

// TestForget: the age of an epoch counts from the first Forget after its end, by a clock that
// may go wrong, and survives being stored.
func TestForget(t *testing.T) {
	groups := keeping(t, DefaultSuite, 5)
	g := groups[0]
	want := func(what string, epochs ...uint64) {
		t.Helper()
		g = reload(t, g)
		groups[0] = g
		var kept []uint64
		for _, p := range g.past {
			kept = append(kept, p.ctx.epoch)
		}
		if !reflect.DeepEqual(kept, epochs) {
			t.Errorf("%s: the epochs %v are kept, want %v", what, kept, epochs)
		}
	}
	at := func(seconds int) time.Time { return testNow.Add(time.Duration(seconds) * time.Second) }
	next := func() { advance(t, groups[1], groups, CommitParams{}) }
	next() // epoch 1 is over
	want("never called", 1)
	g.Forget(at(1000), math.MaxInt64)
	want("first call, for as long as can be", 1)
	g.Forget(at(1000), time.Minute)
	want("second call", 1)
	next()
	g.Forget(at(1059), time.Minute)
	want("not old enough", 1, 2)
	g.Forget(at(1060), time.Minute)
	want("a minute", 2)
	next()
	g.Forget(at(500), time.Minute) // the clock was ahead
	want("clock went back", 2, 3)
	g.Forget(at(559), time.Minute)
	want("clock went on", 2, 3)
	g.Forget(at(560), time.Minute+time.Nanosecond)
	want("parts of a second", 2, 3)
	g.Forget(at(560), time.Minute)
	want("clock went on")
	for range 7 {
		next()
	}
	want("as many as may be", 6, 7, 8, 9, 10)
	g.app.KeepEpochs = 2
	g.Forget(at(600), time.Hour)
	want("fewer", 9, 10)
	g.app.KeepEpochs = 0
	next()
	want("none")
}

// TestPSKOfPastEpochs: a group finds the resumption secrets of the epochs that it keeps; who
// does not keep them may have been handed them.
func TestPSKOfPastEpochs(t *testing.T) {
	groups := keeping(t, DefaultSuite, 2)
	id, psk := groups[0].View().ResumptionPSK()
	groups[2].app = Application{PSKs: knownPSKs{"group": psk}}
	advance(t, groups[0], groups, CommitParams{})
	advance(t, groups[1], groups, CommitParams{PSKs: []PSKID{id}})
	agree(t, groups)
	msg := must(groups[0].Commit(CommitParams{PSKs: []PSKID{id}}))(t).Message()
	groups[2].app.PSKs = nil
	if err := untouched(t, "without the secret", groups[2], msg); !errors.Is(err, ErrUnknownPSK) || !errors.Is(err, ErrCannotFollow) {
		t.Errorf("without the secret: %v, want ErrUnknownPSK", err)
	}
	must(groups[1].Process(msg))(t)
	advance(t, groups[0], groups, CommitParams{})
	if _, err := groups[0].Commit(CommitParams{PSKs: []PSKID{id}}); !errors.Is(err, ErrUnknownPSK) {
		t.Errorf("of an epoch that is no longer kept: %v, want ErrUnknownPSK", err)
	}
}

// TestBranchOfAPastEpoch: a branch that was made before the last commit is joined with a parent
// that keeps the epoch, and its members are those of then.
func TestBranchOfAPastEpoch(t *testing.T) {
	groups := keeping(t, DefaultSuite, 1)
	kps, secrets := packages(t, DefaultSuite, "b", "c")
	n, welcomes, err := groups[0].Branch([]byte("branch"), nil, successorConfig(t, DefaultSuite, kps))
	if err != nil {
		t.Fatal(err)
	}
	stranger, _ := packages(t, DefaultSuite, "d")
	c := hostile(t, groups[0], usageBranch, GroupConfig{Suite: DefaultSuite, GroupID: []byte("branch")}, CommitParams{Add: []*KeyPackage{kps[0], stranger[0]}})
	joined := add(t, groups[0], groups[1:], CommitParams{Remove: []LeafIndex{2}}, "d")
	p := JoinParams{Tree: c.Next().RatchetTree(), Now: testNow, Parent: reload(t, groups[1])}
	wantRule(t, "a member of now", second(Join(c.Welcomes()[0].Message, secrets[0], p)), "successor.members")
	p.Tree = n.RatchetTree()
	agree(t, []*Group{n, must(Join(welcomes[0].Message, secrets[0], p))(t)})
	p.Parent = joined[0]
	if _, err := Join(welcomes[0].Message, secrets[0], p); !errors.Is(err, ErrUnknownPSK) {
		t.Errorf("with a parent that came later: %v, want ErrUnknownPSK", err)
	}
}

// TestSuccessorOfAPastEpoch: what takes a closed group's place is linked to its last epoch, and
// not to one that a former member knows.
func TestSuccessorOfAPastEpoch(t *testing.T) {
	groups := keeping(t, DefaultSuite, 1)
	r := reInitTo(DefaultSuite)
	kps, secrets := packages(t, DefaultSuite, "b", "c")
	begin := GroupConfig{Suite: r.Suite, GroupID: r.GroupID, Extensions: r.Extensions}
	early := hostile(t, groups[0], usageReInit, begin, CommitParams{Add: kps})
	closeGroup(t, groups, DefaultSuite)
	p := JoinParams{Tree: early.Next().RatchetTree(), Now: testNow, Parent: groups[1]}
	wantRule(t, "an epoch too early", second(Join(early.Welcomes()[0].Message, secrets[0], p)), "reinit.parameters")
}

// TestDamagedPastEpochs: records whose sum is right and which do not fit together are found out
// one by one.
func TestDamagedPastEpochs(t *testing.T) {
	groups := keeping(t, DefaultSuite, 2)
	say(t, groups[1], groups, "x")
	for range 2 {
		advance(t, groups[1], groups, CommitParams{})
	}
	kept := shelf{}
	kept.keep(t, groups[0])
	epoch := func(n uint32) string { return recordKey(recordPast, 0, n) }
	edit := func(key string, change func(*pastEpoch)) func(shelf) {
		return func(s shelf) {
			r := wire.NewReader(s[key])
			p := readPastEpoch(r)
			change(p)
			s[key] = encode(p, writePastEpoch)
		}
	}
	for name, damage := range map[string]func(shelf){
		"a hole": func(s shelf) {
			maps.DeleteFunc(s, func(key string, _ []byte) bool { return strings.HasPrefix(key[1:], epoch(2)[1:]) })
		},
		"parts of no epoch": func(s shelf) { delete(s, epoch(1)) },
		"another place":     func(s shelf) { s[epoch(0)] = s[epoch(1)]; delete(s, epoch(1)) },
		"all an epoch early": func(s shelf) {
			for key, value := range maps.Clone(s) {
				if kind := key[:1]; kind != recordHeader && kind == strings.ToUpper(kind) {
					moved := []byte(key)
					moved[8]--
					delete(s, key)
					defer func() { s[string(moved)] = value }()
				}
			}
		},
		"the current epoch":  func(s shelf) { s[epoch(3)] = s[epoch(2)] },
		"another group":      edit(epoch(1), func(p *pastEpoch) { p.ctx.groupID = []byte("other") }),
		"another suite":      edit(epoch(1), func(p *pastEpoch) { p.ctx.suite = another(DefaultSuite) }),
		"no leaves":          edit(epoch(1), func(p *pastEpoch) { p.keys.leaves = 0 }),
		"three leaves":       edit(epoch(1), func(p *pastEpoch) { p.keys.leaves = 3 }),
		"too many leaves":    edit(epoch(1), func(p *pastEpoch) { p.keys.leaves = 2 * maxLeaves }),
		"a short secret":     edit(epoch(1), func(p *pastEpoch) { p.resumption = p.resumption[1:] }),
		"another secret":     edit(epoch(1), func(p *pastEpoch) { p.senderData = append(p.senderData, 0) }),
		"a byte more":        func(s shelf) { s[epoch(1)] = append(bytes.Clone(s[epoch(1)]), 0) },
		"a leaf outside":     func(s shelf) { s[recordKey(recordPastLeaf, 0, 1, 2*maxLeaves)] = []byte{0} },
		"a leaf at a parent": func(s shelf) { s[recordKey(recordPastLeaf, 0, 1, 1)] = []byte{0} },
		"no leaf at all":     func(s shelf) { s[recordKey(recordPastLeaf, 0, 1, 0)] = []byte{1} },
		"a secret above":     func(s shelf) { s[recordKey(recordPastSecret, 0, 1, 3)] = make([]byte, 32) },
		"a ratchet outside":  func(s shelf) { s[recordKey(recordPastMessages, 0, 1, 4)] = make([]byte, 36) },
		"a key outside":      func(s shelf) { s[recordKey(recordPastSkipped, 0, 1, 4, 0)] = make([]byte, 28) },
	} {
		damaged := maps.Clone(kept)
		damage(damaged)
		var sum recordSum
		for key, value := range damaged {
			if kind := key[:1]; kind != recordHeader && kind != recordNode {
				sum.add(digestRecord(key, value))
			}
		}
		damaged[recordHeader] = sum.header()
		if _, err := LoadGroup(damaged.records(), Application{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
	kept.load(t, groups[0])
}

// TestDroppedRatchet: a ratchet without its secret gives no key, which anybody could derive.
func TestDroppedRatchet(t *testing.T) {
	if key, err := new(ratchet).seek(suites[DefaultSuite], 0); !errors.Is(err, ErrConsumed) || key.key != nil {
		t.Errorf("a key of no secret: %v, want ErrConsumed", err)
	}
}
