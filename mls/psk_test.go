package mls

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"
)

// knownPSKs are pre-shared keys by external id, or by group id for those of other groups.
type knownPSKs map[string][]byte

var errNoSuchPSK = errors.New("not among the test's keys")

func (k knownPSKs) PSK(id PSKID) ([]byte, error) {
	name := string(id.External)
	if id.Resumption != nil {
		name = string(id.Resumption.GroupID)
	}
	if psk, ok := k[name]; ok {
		return bytes.Clone(psk), nil
	}
	return nil, errNoSuchPSK
}

// twoSuites runs a test over a suite with EdDSA and one with ECDSA and other lengths.
func twoSuites(t *testing.T, run func(*testing.T, Suite)) {
	for _, s := range []Suite{DefaultSuite, SuiteP384AES256P384} {
		t.Run(s.String(), func(t *testing.T) { run(t, s) })
	}
}

// trioWith is a trio that has the same application.
func trioWith(t tb, s Suite, app Application) []*Group {
	t.Helper()
	groups := trioOf(t, s)
	for _, g := range groups {
		g.app = app
	}
	return groups
}

func external(id string) PSKID { return PSKID{External: []byte(id)} }

// TestPSKsInGroups: pre-shared keys of all kinds go into the next epoch, by value and by
// reference, for members and for those who join with it.
func TestPSKsInGroups(t *testing.T) { twoSuites(t, psksInGroups) }

func psksInGroups(t *testing.T, id Suite) {
	other := newGroupOf(t, another(id), "x")
	ofOther, otherSecret := other.View().ResumptionPSK()
	ofOther.Resumption.GroupID = []byte("other")
	app := Application{PSKs: knownPSKs{"one": []byte("key one"), "": []byte("key without a name"), "other": otherSecret}}
	groups := trioWith(t, id, app)
	for _, p := range []PSKID{external("one"), external(""), ofOther, {}} {
		if p.External == nil && p.Resumption == nil {
			p, _ = groups[0].View().ResumptionPSK() // every member knows that of the group's own epoch
		}
		c := must(groups[0].Commit(CommitParams{PSKs: []PSKID{p}}))(t)
		if len(c.Updates()) != 0 {
			t.Errorf("a commit that only names %v has a path", p)
		}
		deliver(t, c.Message(), groups[1:])
		if err := groups[0].Merge(c); err != nil {
			t.Fatal(err)
		}
		agree(t, groups)
	}
	// One by reference, two of one key by value, a joiner and a path.
	waiting := must(groups[1].Propose(ProposalParams{PSK: new(ofOther)}))(t)
	for _, g := range groups {
		q := must(g.Process(waiting))(t).(*QueuedProposal)
		if q.Sender != 1 || q.Own != (g == groups[1]) || !reflect.DeepEqual(*q.PSK, ofOther) {
			t.Errorf("leaf %d is told of %+v", g.OwnLeaf(), q)
		}
	}
	groups[2] = reload(t, groups[2])
	kp, secrets := keyPackageOf(t, id, "d")
	c := must(groups[0].Commit(CommitParams{
		Add: []*KeyPackage{kp}, PSKs: []PSKID{external("one"), external("one")}, IncludePending: true, Path: true, Now: testNow,
	}))(t)
	deliver(t, c.Message(), groups[1:])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	p := JoinParams{Tree: groups[0].RatchetTree(), Now: testNow}
	if _, err := Join(c.Welcomes()[0].Message, secrets, p); !errors.Is(err, ErrUnknownPSK) {
		t.Errorf("joining without the keys: %v, want ErrUnknownPSK", err)
	}
	p.Application.PSKs = knownPSKs{"one": []byte("key two"), "other": otherSecret}
	wantRule(t, "joining with another key", second(Join(c.Welcomes()[0].Message, secrets, p)), "welcome.group-info")
	p.Application = app
	groups = append(groups, must(Join(c.Welcomes()[0].Message, secrets, p))(t))
	agree(t, groups)
	say(t, groups[3], groups, "hello")
}

// TestPSKsThatAreMissing: a commit with a key that one member lacks counts, and leaves that
// member behind; it learns which key it lacks. Nobody commits what it cannot follow itself.
func TestPSKsThatAreMissing(t *testing.T) { twoSuites(t, psksThatAreMissing) }

func psksThatAreMissing(t *testing.T, id Suite) {
	groups := trioWith(t, id, Application{PSKs: knownPSKs{"one": []byte("key one")}})
	groups[1].app.PSKs = nil
	msg := must(groups[0].Clone().Commit(CommitParams{PSKs: []PSKID{external("one")}}))(t).Message()
	for name, source := range map[string]PSKSource{
		"no source": nil, "no such key": knownPSKs{}, "an empty key": knownPSKs{"one": {}}, "another key": knownPSKs{"one": []byte("key two")},
	} {
		groups[1].app.PSKs = source
		err := untouched(t, name, groups[1], msg)
		if !errors.Is(err, ErrCannotFollow) || errors.Is(err, ErrInvalidCommit) || errors.Is(err, ErrUnknownPSK) != (name != "another key") {
			t.Errorf("%s: %v, want ErrCannotFollow", name, err)
		}
		missing, ok := errors.AsType[*PSKError](err)
		if ok != (name != "another key") || ok && !reflect.DeepEqual(missing.ID, external("one")) {
			t.Errorf("%s: the error names %+v", name, missing)
		}
		if errors.Is(err, errNoSuchPSK) != (name == "no such key") {
			t.Errorf("%s: %v hides what the source said", name, err)
		}
	}
	g := groups[1]
	g.app.PSKs = knownPSKs{"two": []byte("key two")}
	before := fingerprint(t, g)
	for _, p := range []PSKID{
		external("one"), {Resumption: &ResumptionID{GroupID: []byte("group"), Epoch: 0}}, {Resumption: &ResumptionID{GroupID: []byte("x"), Epoch: g.Epoch()}},
	} {
		_, err := g.Commit(CommitParams{PSKs: []PSKID{p}})
		if missing, ok := errors.AsType[*PSKError](err); !ok || !errors.Is(err, ErrUnknownPSK) || !reflect.DeepEqual(missing.ID, p) {
			t.Errorf("committing an unknown key: %v, want ErrUnknownPSK", err)
		}
	}
	for _, p := range []PSKID{{}, {External: []byte("two"), Resumption: &ResumptionID{}}} {
		wantRule(t, "key of two kinds or none", second(g.Commit(CommitParams{PSKs: []PSKID{p}})), "psk.one")
		wantRule(t, "key of two kinds or none", second(g.Propose(ProposalParams{PSK: &p})), "psk.one")
	}
	if !bytes.Equal(fingerprint(t, g), before) {
		t.Error("a refused commit or proposal left a trace")
	}
	// Of what waits, the known key is committed.
	for _, name := range []string{"one", "two"} {
		must(g.Process(must(groups[2].Propose(ProposalParams{PSK: new(external(name))}))(t)))(t)
	}
	a := groups[2].opened(t, must(g.Commit(CommitParams{IncludePending: true}))(t).Message())
	if len(a.content.commit.proposals) != 1 || !bytes.Equal(a.content.commit.proposals[0].ref, g.queue[1].ref) {
		t.Errorf("%d proposals are committed, want the one with a known key", len(a.content.commit.proposals))
	}
}

// TestPSKNonces: no two uses of a key are the same input to the key schedule.
func TestPSKNonces(t *testing.T) {
	groups := trioWith(t, DefaultSuite, Application{PSKs: knownPSKs{"one": []byte("key one")}})
	seen := map[string]bool{}
	for range 3 {
		c := must(groups[0].Commit(CommitParams{PSKs: []PSKID{external("one"), external("one")}}))(t)
		for _, p := range groups[1].opened(t, c.Message()).content.commit.proposals {
			if nonce := string(p.proposal.psk.nonce); seen[nonce] || len(nonce) != groups[0].at.suite.nh {
				t.Errorf("nonce %x is short or comes twice", nonce)
			} else {
				seen[nonce] = true
			}
		}
	}
}

// TestPSKCount: psk_secret counts its keys in two bytes, so a longer list would pass for a
// shorter one.
func TestPSKCount(t *testing.T) {
	ids := make([]preSharedKeyID, 1<<16)
	for i := range ids {
		ids[i] = preSharedKeyID{kind: pskExternal, id: binary.BigEndian.AppendUint32(nil, uint32(i)), nonce: make([]byte, 32)}
	}
	wantRule(t, "65536 keys", checkPSKList(ids), "psk.count")
	if err := checkPSKList(ids[1:]); err != nil {
		t.Errorf("65535 keys: %v", err)
	}
}

// TestPolicyForPSKs: a policy sees which keys a commit names, by value and by reference, and
// refuses before anybody looks for them.
func TestPolicyForPSKs(t *testing.T) {
	groups := trioWith(t, DefaultSuite, Application{PSKs: knownPSKs{"one": []byte("key one"), "two": []byte("key two")}})
	deliverProposal := must(groups[0].Propose(ProposalParams{PSK: new(external("two"))}))(t)
	for _, g := range groups {
		must(g.Process(deliverProposal))(t)
	}
	msg := must(groups[0].Commit(CommitParams{PSKs: []PSKID{external("one")}, IncludePending: true}))(t).Message()
	var seen []PSKID
	for _, refuse := range []error{errNotAllowed, nil} {
		groups[1].app = Application{Credentials: policyOf(func(c CommitCheck) error {
			seen = c.PSKs
			return refuse
		})}
		_, err := groups[1].Process(msg)
		if want := []PSKID{external("one"), external("two")}; !reflect.DeepEqual(seen, want) {
			t.Errorf("the policy saw %+v, want %+v", seen, want)
		}
		if refused := errors.Is(err, ErrInvalidCommit) && errors.Is(err, errNotAllowed); refused != (refuse != nil) || errors.Is(err, ErrUnknownPSK) != (refuse == nil) {
			t.Errorf("policy said %v: %v", refuse, err)
		}
	}
}
