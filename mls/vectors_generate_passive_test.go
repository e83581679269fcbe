package mls

import (
	mathrand "math/rand/v2"
	"slices"
	"testing"
)

// passiveRun is a group that one client joins and only listens to.
type passiveRun struct {
	t         *testing.T
	suite     *suite
	psks      knownPSKs
	groups    []*Group // those who act
	listener  *Group
	names     int
	head      jsonObject // the vector but for its epochs
	proposals [][]byte   // that wait
	epochs    []jsonObject
}

// passiveStart is how the listener comes in.
type passiveStart struct {
	members int // before it
	path    bool
	psk     bool // the commit that adds it names an external key
	apart   bool // the tree is not in the Welcome
}

func startPassive(t *testing.T, s *suite, p passiveStart) *passiveRun {
	t.Helper()
	run := &passiveRun{t: t, suite: s, psks: knownPSKs{}}
	run.groups = []*Group{vectorGroup(t, s, run.name(), run.psks)}
	for len(run.groups) < p.members {
		run.groups = grown(t, s, run.groups, CommitParams{Path: true})
	}
	run.names = p.members
	kp, secrets := vectorKeyPackage(t, s, "listener")
	commit := CommitParams{Add: []*KeyPackage{kp}, Path: p.path, TreeInWelcome: !p.apart}
	// Of two keys one is used.
	keys := make([]jsonObject, 2)
	for i := range keys {
		id := run.newPSK()
		keys[i] = jsonObject{{"psk_id", id.External}, {"psk", run.psks[string(id.External)]}}
		if i == 0 && p.psk {
			commit.PSKs = []PSKID{id}
		}
	}
	_, welcome := vectorCommit(t, run.groups, run.groups[0], commit)
	var tree []byte
	if p.apart {
		tree = run.groups[0].RatchetTree()
	}
	run.listener = must(Join(welcome, secrets, JoinParams{Tree: tree, Application: vectorApp(run.psks)}))(t)
	run.head = jsonObject{
		{"cipher_suite", s.id}, {"external_psks", keys}, {"key_package", keyPackageMessage(kp)},
		{"signature_priv", secrets.signatureKey.key()}, {"encryption_priv", mustPrivate(secrets.leafKey)},
		{"init_priv", mustPrivate(secrets.initKey)},
		{"welcome", welcome}, {"ratchet_tree", tree}, {"initial_epoch_authenticator", run.listener.EpochAuthenticator()},
	}
	return run
}

// name is the next member's.
func (run *passiveRun) name() string {
	run.names++
	return string(rune('a' + run.names - 1))
}

// newPSK makes an external key that everybody has.
func (run *passiveRun) newPSK() PSKID {
	id := drawn(8)
	run.psks[string(id)] = drawn(run.suite.nh)
	return PSKID{External: id}
}

// vector is the whole case.
func (run *passiveRun) vector() jsonObject {
	epochs := run.epochs
	if epochs == nil {
		epochs = []jsonObject{}
	}
	return append(slices.Clone(run.head), jsonMember{"epochs", epochs})
}

func (run *passiveRun) everybody() []*Group { return append(slices.Clone(run.groups), run.listener) }

// propose has everybody hear a proposal, whoever made it.
func (run *passiveRun) propose(msg []byte) {
	run.t.Helper()
	for _, g := range run.everybody() {
		must(g.Process(msg))(run.t)
	}
	run.proposals = append(run.proposals, msg)
}

// commit has a member commit, with all that waits, and adds as many newcomers.
func (run *passiveRun) commit(from *Group, p CommitParams, newcomers int) {
	run.t.Helper()
	var joining []*KeyPackageSecrets
	for range newcomers {
		kp, secrets := vectorKeyPackage(run.t, run.suite, run.name())
		p.Add, joining = append(p.Add, kp), append(joining, secrets)
	}
	p.IncludePending = true
	c, welcome := vectorCommit(run.t, run.everybody(), from, p)
	run.groups = slices.DeleteFunc(run.groups, (*Group).Removed)
	for _, secrets := range joining {
		run.groups = append(run.groups, must(Join(welcome, secrets, JoinParams{
			Tree: from.RatchetTree(), Application: from.app,
		}))(run.t))
	}
	run.followed(c.Message())
}

// enter has somebody join from outside, in place of a member if there is one.
func (run *passiveRun) enter(instead *LeafIndex) {
	run.t.Helper()
	from := run.groups[0]
	info := must(from.View().GroupInfo(GroupInfoParams{ExternalPub: true}))(run.t)
	g, msg, err := JoinExternal(info, ExternalParams{
		Tree: from.RatchetTree(), Application: from.app, Now: testNow, Remove: instead,
		Credential: basic(run.name()), SignatureKey: signatureKeyOf(run.t, run.suite.id),
	})
	if err != nil {
		run.t.Fatal(err)
	}
	deliver(run.t, msg, run.everybody())
	run.groups = append(slices.DeleteFunc(run.groups, (*Group).Removed), g)
	run.followed(msg)
}

// followed ends an epoch, which everybody agrees on.
func (run *passiveRun) followed(commit []byte) {
	run.t.Helper()
	agree(run.t, run.everybody())
	waited := run.proposals
	if waited == nil {
		waited = [][]byte{}
	}
	run.epochs = append(run.epochs, jsonObject{
		{"proposals", waited}, {"commit", commit}, {"epoch_authenticator", run.listener.EpochAuthenticator()},
	})
	run.proposals = nil
}

func passiveWelcomeVectors(t *testing.T, s *suite) []jsonObject {
	t.Helper()
	starts := []passiveStart{{members: 1, apart: true, path: true, psk: true}}
	if !s.postQuantum() {
		starts = append(starts, passiveStart{members: 3, path: true})
	}
	if s.id == DefaultSuite {
		starts = append(starts, passiveStart{members: 2}, passiveStart{members: 4, apart: true, psk: true})
	}
	var out []jsonObject
	for _, start := range starts {
		out = append(out, startPassive(t, s, start).vector())
	}
	return out
}

// passiveCommitVectors are a case of several epochs, each with other changes.
func passiveCommitVectors(t *testing.T, s *suite) []jsonObject {
	t.Helper()
	if s.postQuantum() {
		return []jsonObject{smallPassiveCommit(t, s)}
	}
	run := startPassive(t, s, passiveStart{members: 2, apart: true})
	a, b := run.groups[0], run.groups[1]
	began, _ := run.listener.View().ResumptionPSK()

	// By reference, of both wire formats: an Update and a pre-shared key.
	run.propose(must(b.Propose(ProposalParams{Update: true}))(t))
	run.propose(must(b.Propose(ProposalParams{PSK: new(run.knownPSK()), Public: true}))(t))
	run.commit(a, CommitParams{Public: true}, 0)
	// By value, without a path: the secret of an epoch before.
	run.commit(b, CommitParams{PSKs: []PSKID{began}}, 0)
	// From outside.
	run.enter(nil)
	// A new member, and two who leave in different ways.
	run.commit(a, CommitParams{}, 1)
	run.propose(must(b.Propose(ProposalParams{Remove: new(run.groups[2].OwnLeaf())}))(t))
	run.commit(run.groups[3], CommitParams{Remove: []LeafIndex{b.OwnLeaf()}}, 0)
	// What the group's context says, and two newcomers, of whom one has asked for it.
	run.commit(a, CommitParams{Extensions: &[]Extension{{
		Type: ExtensionRequiredCapabilities,
		Data: encodeRequired(requiredCapabilities{credentials: []CredentialType{CredentialBasic}}),
	}}}, 0)
	kp, secrets := vectorKeyPackage(t, s, run.name())
	outside := must(NewPublicGroup(groupInfoFor(t, a), nil, vectorApp(nil)))(t)
	run.propose(must(outside.Propose(secrets.signatureKey, ProposalParams{Add: kp, Now: testNow}))(t))
	run.commit(a, CommitParams{}, 1)
	// From outside in the place of a member, and nothing but new keys.
	run.enter(new(run.groups[1].OwnLeaf()))
	run.commit(a, CommitParams{}, 0)
	return []jsonObject{run.vector()}
}

// smallPassiveCommit is two epochs of a group of three, or one of two where keys are large.
func smallPassiveCommit(t *testing.T, s *suite) jsonObject {
	t.Helper()
	run := startPassive(t, s, passiveStart{members: 1, apart: true})
	began, _ := run.listener.View().ResumptionPSK()
	run.propose(must(run.groups[0].Propose(ProposalParams{PSK: new(run.knownPSK())}))(t))
	run.commit(run.groups[0], CommitParams{PSKs: []PSKID{began}, Path: s.large()}, 0)
	if !s.large() {
		run.enter(nil)
	}
	return run.vector()
}

// knownPSK is one of the keys that the vector lists.
func (run *passiveRun) knownPSK() PSKID {
	return PSKID{External: run.head[1].value.([]jsonObject)[1][0].value.([]byte)}
}

// passiveRandomVectors are epochs whose changes are drawn.
func passiveRandomVectors(t *testing.T, s *suite) []jsonObject {
	t.Helper()
	epochs, most := 4, 4
	if s.id == DefaultSuite {
		epochs, most = 12, 8
	}
	dice := mathrand.New(mathrand.NewChaCha8([32]byte(drawn(32))))
	run := startPassive(t, s, passiveStart{members: 1 + dice.IntN(most), apart: dice.IntN(2) == 0})
	for range epochs {
		run.random(dice, most)
	}
	return []jsonObject{run.vector()}
}

// random draws an epoch of a group of at most so many actors.
func (run *passiveRun) random(dice *mathrand.Rand, most int) {
	run.t.Helper()
	chance := func() bool { return dice.IntN(2) == 0 }
	from := run.groups[dice.IntN(len(run.groups))]
	p := CommitParams{Path: chance(), Public: chance()}
	for _, g := range run.groups {
		if g == from {
			continue
		}
		switch dice.IntN(5) {
		case 0:
			run.propose(must(g.Propose(ProposalParams{Update: true, Public: chance()}))(run.t))
		case 1:
			run.propose(must(g.Propose(ProposalParams{PSK: new(run.knownPSK()), Public: chance()}))(run.t))
		case 2:
			p.Remove = append(p.Remove, g.OwnLeaf())
		}
	}
	room := most - len(run.groups) + len(p.Remove)
	run.commit(from, p, dice.IntN(min(room, 2)+1))
}
