package mls

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// storedBytes is all that is stored of a group.
func storedBytes(g *Group) string {
	var all strings.Builder
	for _, r := range stored(g) {
		all.Write(r.Value)
		all.WriteByte(0)
	}
	return all.String()
}

// TestKeyScheduleKeepsNothing: of what the key schedule goes through, nothing stays (RFC 9420
// section 9.2): not at the committer, not at who follows, not at who joins.
func TestKeyScheduleKeepsNothing(t *testing.T) { twoSuites(t, keyScheduleKeepsNothing) }

func keyScheduleKeepsNothing(t *testing.T, id Suite) {
	groups := trioWith(t, id, Application{PSKs: knownPSKs{"one": []byte("pre-shared key of some length")}})
	s, before := groups[0].at.suite, groups[0].at
	kp, secrets := keyPackageOf(t, id, "d")
	c := must(groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, Path: true, PSKs: []PSKID{external("one")}, Now: testNow}))(t)
	deliver(t, c.Message(), groups[1:])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	d := must(Join(c.Welcomes()[0].Message, secrets, JoinParams{Tree: groups[0].RatchetTree(), Now: testNow, Application: groups[0].app}))(t)
	w := must(parse(c.Welcomes()[0].Message, readMessage))(t).welcome
	opened, _, err := openWelcome(s, w, kp.Ref(), secrets.initKey, groups[0].app.find)
	if err != nil {
		t.Fatal(err)
	}
	groupInfo := s.groupInfoKey(s.welcomeSecret(opened.joinerSecret, opened.pskSecret))
	epoch := s.epochSecret(opened.joinerSecret, opened.pskSecret, d.at.ctx)
	_, encryption, applicationExport := s.deriveEpoch(epoch)
	path, _, commitSecret, err := s.climb(opened.pathSecret, 1) // of the root, above both
	if err != nil || !bytes.Equal(s.joinerSecret(before.secrets.init, commitSecret, d.at.ctx), opened.joinerSecret) {
		t.Fatalf("the test derives another commit secret: %v", err)
	}
	gone := map[string]secret{
		"pre-shared key": []byte("pre-shared key of some length"), "psk_secret": opened.pskSecret, "joiner_secret": opened.joinerSecret,
		"welcome_secret": s.welcomeSecret(opened.joinerSecret, opened.pskSecret), "welcome_key": groupInfo.key,
		"init_secret of the epoch before": before.secrets.init, "epoch_secret": epoch, "commit_secret": commitSecret, "init key of the KeyPackage": mustPrivate(secrets.initKey),
	}
	for _, p := range path {
		gone["path_secret "+string(p[:2])] = p
	}
	groups = append(groups, d)
	agree(t, groups)
	for name, s := range gone {
		for _, g := range groups {
			if strings.Contains(storedBytes(g), string(s)) {
				t.Errorf("leaf %d has stored the %s", g.OwnLeaf(), name)
			}
		}
	}
	// What the trees hang from stays until something is taken from it.
	for what, s := range map[string]secret{"encryption_secret": encryption, "root of the exporter tree": applicationExport} {
		if !strings.Contains(storedBytes(d), string(s)) {
			t.Errorf("the %s is not stored", what)
		}
	}
	say(t, groups[0], groups, "x")
	must(d.SafeExport(1))(t)
	for what, s := range map[string]secret{"encryption_secret": encryption, "root of the exporter tree": applicationExport} {
		if strings.Contains(storedBytes(d), string(s)) {
			t.Errorf("the %s is stored after use", what)
		}
	}
}

// TestPastEpochsHoldNoOwnKeys: what is left of an epoch reads what others said in it, and
// nothing else: no own ratchet, no handshake, no secret that opens the next one.
func TestPastEpochsHoldNoOwnKeys(t *testing.T) { twoSuites(t, pastEpochsHoldNoOwnKeys) }

func pastEpochsHoldNoOwnKeys(t *testing.T, id Suite) {
	for _, spoke := range []bool{false, true} {
		groups := keeping(t, id, 3)
		g := groups[0]
		waiting := must(groups[1].Encrypt(nil, nil))(t)
		if spoke {
			for _, by := range groups {
				say(t, by, groups, "x")
				must(by.Process(must(by.Propose(ProposalParams{Remove: new(LeafIndex(2))}))(t)))(t)
				by.DropProposals()
			}
			must(g.Process(must(groups[1].Commit(CommitParams{}))(t).Message()))(t)
			st := must(g.keys.seek(1, contentCommit, 5))(t) // some are skipped
			g.keys.take(st)
		}
		before := g.at
		gone := map[string]string{}
		for name, s := range map[string]secret{
			"exporter": before.secrets.exporter, "authenticator": before.secrets.authenticator, "external": before.secrets.external,
			"confirmation key": before.secrets.confirmationKey, "membership key": before.secrets.membershipKey, "init secret": before.secrets.init,
		} {
			gone[string(s)] = name
		}
		for _, s := range g.keys.exports {
			gone[string(s)] = "exporter tree"
		}
		for _, key := range before.held {
			gone[string(mustPrivate(key))] = "private key"
		}
		full := g.keys.clone()
		for l := range LeafIndex(3) {
			if _, opened := full.ratchets(l); !opened {
				st := &step{leaf: l}
				if err := full.open(st); err != nil {
					t.Fatal(err)
				}
				full.take(st)
			}
			r, _ := full.ratchets(l)
			gone[string(r.handshake.secret)] = "handshake ratchet"
			for _, k := range r.handshake.skipped {
				gone[string(k.key)] = "handshake key"
			}
			if l == 0 {
				gone[string(r.application.secret)] = "own ratchet"
			}
		}
		advance(t, groups[1], groups, CommitParams{Path: true})
		advance(t, g, groups, CommitParams{})
		if spoke {
			must(g.Process(waiting))(t)
		}
		g = reload(t, g)
		if len(g.past) != 2 {
			t.Fatalf("%d epochs are kept, want 2", len(g.past))
		}
		all := storedBytes(g)
		for s, name := range gone {
			if strings.Contains(all, s) {
				t.Errorf("spoke %v: the old epoch's %s is still stored", spoke, name)
			}
		}
		if !strings.Contains(all, string(before.secrets.resumption)) {
			t.Error("the resumption secret of a kept epoch is gone")
		}
		g.Forget(testNow, 0)
		if len(g.past) != 0 {
			t.Error("Forget with no age keeps an epoch")
		}
		g = reload(t, g)
		for _, r := range stored(g) {
			if bytes.Contains(r.Value, before.secrets.resumption) || bytes.Contains(r.Value, before.secrets.senderData) || strings.ToUpper(r.Key[:1]) == r.Key[:1] {
				t.Errorf("record %q of a forgotten epoch is still stored", r.Key)
			}
		}
	}
}

// TestPastEpochsOpenNoHandshake: who takes what is stored after a commit, and keeps the epoch
// before, reads neither that commit in its recording of the epoch nor a proposal that came.
func TestPastEpochsOpenNoHandshake(t *testing.T) { twoSuites(t, pastEpochsOpenNoHandshake) }

func pastEpochsOpenNoHandshake(t *testing.T, id Suite) {
	for _, spoke := range []string{"nobody", "the committer", "another", "all"} {
		groups := keeping(t, id, 1)
		groups = append(groups, add(t, groups[0], groups[1:], CommitParams{}, "d", "e")...)
		for _, g := range groups {
			g.app.KeepEpochs = 1
		}
		late := must(groups[3].Encrypt([]byte("late"), nil))(t)
		committers := must(groups[2].Encrypt([]byte("late"), nil))(t)
		for i, by := range groups {
			if spoke == "all" || spoke == "the committer" && i == 2 || spoke == "another" && i == 1 {
				say(t, by, groups, "x")
			}
		}
		kp, _ := keyPackageOf(t, id, "f")
		proposal := must(groups[4].Propose(ProposalParams{Add: kp, Now: testNow}))(t)
		for _, g := range groups {
			must(g.Process(proposal))(t)
		}
		c := must(groups[2].Commit(CommitParams{IncludePending: true, Path: true, Now: testNow}))(t)
		deliver(t, c.Message(), groups[:2])
		for i, g := range groups[:2] {
			thief := reload(t, g)
			p := thief.past[len(thief.past)-1]
			for name, msg := range map[string][]byte{"commit": c.Message(), "proposal": proposal} {
				m := must(parse(bytes.Clone(msg), readMessage))(t).private
				data := must(m.openSenderData(thief.at.suite, p.senderData))(t)
				if _, err := p.keys.seek(data.leaf, m.contentType, data.generation); !errors.Is(err, ErrConsumed) {
					t.Errorf("%s spoke: what leaf %d has stored gives the key of the %s: %v", spoke, i, name, err)
				}
			}
			for _, msg := range [][]byte{late, committers} { // what members said can still be read
				if m, ok := must(g.Process(msg))(t).(*ApplicationMessage); !ok || string(m.Data) != "late" {
					t.Errorf("%s spoke: the late message reads %+v", spoke, m)
				}
			}
		}
	}
}

// TestPastEpochOfAJoiner: whoever makes itself a member of a group whose places are all taken has
// none in the epoch that its commit ends.
func TestPastEpochOfAJoiner(t *testing.T) {
	a := newGroup(t, "a")
	groups := append([]*Group{a}, add(t, a, nil, CommitParams{}, "b")...)
	for _, g := range groups {
		g.app.KeepEpochs = 1
	}
	late := must(groups[1].Encrypt([]byte("late"), nil))(t)
	groups = append(groups, comeIn(t, groups, outsider(t, DefaultSuite, "c")))
	a = reload(t, a)
	if m := must(a.Process(late))(t).(*ApplicationMessage); string(m.Data) != "late" {
		t.Errorf("the late message reads %+v", m)
	}
	say(t, groups[2], groups[:2], "x")
}
