package tsmls

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// session is a group and everybody in it. Its methods fail the test when somebody refuses
// what another sent, or when two members differ after it.
type session struct {
	t       *testing.T
	peer    *peer
	suite   mls.Suite
	now     time.Time
	members map[string]member
	waiting map[string]newcomer // by KeyPackageRef: offered and not in the group yet
	leaving map[string]bool     // removed by the next commit
	shared  map[string][]byte   // pre-shared keys that all know
	group   string              // its id
	issuer  *authority          // where members have certificates
}

type newcomer struct {
	name   string
	parent member // of the group that this one grows out of
	member
}

// newSession founds a group. A member's name says its library: "go…" is package mls, "ts…"
// is ts-mls.
func newSession(t *testing.T, p *peer, suite mls.Suite, founder string) *session {
	t.Helper()
	return newSessionOf(t, p, suite, founder, nil)
}

// newSessionOf is newSession with members who have certificates of the issuer.
func newSessionOf(t *testing.T, p *peer, suite mls.Suite, founder string, issuer *authority) *session {
	t.Helper()
	s := &session{
		t: t, peer: p, suite: suite, now: time.Now(), group: t.Name(), issuer: issuer,
		members: map[string]member{}, waiting: map[string]newcomer{}, leaving: map[string]bool{},
		shared: map[string][]byte{},
	}
	m := s.client(founder)
	s.ok(founder, m.found([]byte(s.group), []mls.Extension{{Type: understood, Data: []byte("first")}}))
	s.members[founder] = m
	return s
}

func isOurs(name string) bool { return strings.HasPrefix(name, "go") }

func (s *session) ok(who string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", who, err)
	}
}

func (s *session) client(name string) member {
	s.t.Helper()
	var m member
	var err error
	id, judge := basic(name), mls.CredentialValidator(nil)
	if s.issuer != nil {
		id, judge = s.issuer.identity(s.t, s.suite, name), s.issuer
	}
	if isOurs(name) {
		m, err = newOurs(id, s.suite, s.now, judge)
	} else {
		m, err = newTheirs(s.peer, id, s.suite, s.now)
	}
	s.ok(name, err)
	for psk, secret := range s.shared {
		s.ok(name, m.know(mls.PSKID{External: []byte(psk)}, secret))
	}
	return m
}

// add has a client of that name offer a KeyPackage.
func (s *session) add(name string) change {
	s.t.Helper()
	m := s.client(name)
	b, err := m.keyPackage()
	s.ok(name, err)
	kp, err := mls.ParseKeyPackage(b)
	s.ok(name, err)
	s.ok(name, kp.Verify(s.now, nil))
	s.waiting[string(kp.Ref())] = newcomer{name: name, member: m}
	return change{add: b}
}

func (s *session) remove(name string) change {
	s.t.Helper()
	leaf := s.view(name).Leaf
	s.leaving[name] = true
	return change{remove: &leaf}
}

func update() change { return change{update: true} }

func extend(data string) change {
	return change{extensions: &[]mls.Extension{{Type: understood, Data: []byte(data)}}}
}

// share makes a fresh pre-shared key known to everybody, who joins later too.
func (s *session) share() change {
	s.t.Helper()
	n := len(s.shared)
	name, secret := fmt.Sprintf("key %d", n), bytes.Repeat([]byte{byte(n)}, 20+n)
	s.shared[name] = secret
	id := mls.PSKID{External: []byte(name)}
	for name, m := range s.members {
		s.ok(name, m.know(id, secret))
	}
	for _, n := range s.waiting {
		s.ok(n.name, n.know(id, secret))
	}
	return change{psk: &id}
}

// resume is the resumption secret of an epoch that is some steps back, for another use of it.
func (s *session) resume(back uint64) change {
	s.t.Helper()
	epoch := s.view(s.names()[0]).Epoch
	return change{psk: &mls.PSKID{Resumption: &mls.ResumptionID{GroupID: []byte(s.group), Epoch: epoch - back}}}
}

func (s *session) view(name string) view {
	s.t.Helper()
	v, err := s.members[name].view()
	s.ok(name, err)
	return v
}

func (s *session) names() []string { return slices.Sorted(maps.Keys(s.members)) }

func (s *session) others(name string) []string {
	return slices.DeleteFunc(s.names(), func(n string) bool { return n == name })
}

// propose has one member propose and all others take it.
func (s *session) propose(by string, what change) {
	s.t.Helper()
	s.proposeAs(by, manner{}, what)
}

func (s *session) proposeAs(by string, how manner, what change) {
	s.t.Helper()
	aad := []byte("proposed by " + by)
	how.aad = aad
	msg, err := s.members[by].propose(what, how)
	s.ok(by, err)
	for _, name := range s.others(by) {
		r, err := s.members[name].process(msg)
		s.ok(name+" takes the proposal of "+by, err)
		if r.kind != "proposal" || !bytes.Equal(r.aad, aad) {
			s.t.Fatalf("%s: a proposal of %s came out as %+v", name, by, r)
		}
	}
}

// commit has one member commit to what waits and what is given, and delivers it.
func (s *session) commit(by string, how manner, what ...change) {
	s.t.Helper()
	how.aad = []byte("committed by " + by)
	c, err := s.members[by].commit(what, how)
	s.ok(by, err)
	s.deliver(by, how, c)
}

// deliver has a commit count: all others take it, its maker merges it, those it adds join.
func (s *session) deliver(by string, how manner, c committed) {
	s.t.Helper()
	for _, name := range s.others(by) {
		r, err := s.members[name].process(c.message)
		if s.leaving[name] && errors.Is(err, errPeer) && s.refilled(c) {
			continue
		}
		s.ok(name+" takes the commit of "+by, err)
		if r.kind != "commit" || !bytes.Equal(r.aad, how.aad) || r.removed != s.leaving[name] {
			s.t.Fatalf("%s: a commit of %s came out as %+v", name, by, r)
		}
	}
	for name := range s.leaving {
		delete(s.members, name)
	}
	clear(s.leaving)
	s.ok(by, s.members[by].merge())
	absent := s.admit(by, how, c)
	s.agree()
	s.expel(absent)
}

// admit has those join whom a commit invites, and returns who could not.
func (s *session) admit(by string, how manner, c committed) (absent []string) {
	s.t.Helper()
	for ref, n := range s.waiting {
		welcome := c.welcome
		if c.welcomes != nil {
			welcome = c.welcomes[ref]
		}
		if welcome == nil {
			continue // offered for a later commit
		}
		var tree []byte
		if !how.treeInside {
			tree = s.view(by).Tree
		}
		delete(s.waiting, ref)
		err := n.join(welcome, tree, n.parent)
		if errors.Is(err, errPeer) && strings.Contains(err.Error(), unmergedLeaves) {
			absent = append(absent, n.name)
			continue
		}
		s.ok(n.name+" joins by "+by, err)
		s.members[n.name] = n.member
	}
	return absent
}

// unmergedLeaves is ts-mls' word for trees that RFC 9420 section 12.4.3.1 allows: it wants
// all nodes above an unmerged leaf to have the same list, not just those below the node whose
// list it is on to have the leaf on theirs.
const unmergedLeaves = "must list leaf node in its unmerged_leaves"

// expel removes members who could not join.
func (s *session) expel(names []string) {
	s.t.Helper()
	if len(names) == 0 {
		return
	}
	s.t.Logf("%v cannot join: %s", names, unmergedLeaves)
	by := s.names()[slices.IndexFunc(s.names(), isOurs)]
	var what []change
	for _, m := range s.members[by].(*ours).group.Members() {
		if slices.Contains(names, string(m.Credential.Identity)) {
			what = append(what, change{remove: &m.Leaf})
		}
	}
	s.commit(by, manner{}, what...)
}

// refilled tells whether a commit adds somebody too. ts-mls looks for its own leaf only after
// the Adds, which may have given it to another, and does not see then that it was removed.
func (s *session) refilled(c committed) bool { return c.welcome != nil || len(c.welcomes) > 0 }

// agree compares what every member sees.
func (s *session) agree() {
	s.t.Helper()
	var first view
	leaves := map[mls.LeafIndex]string{}
	for i, name := range s.names() {
		v := s.view(name)
		if other, taken := leaves[v.Leaf]; taken {
			s.t.Fatalf("%s and %s are both at leaf %d", other, name, v.Leaf)
		}
		leaves[v.Leaf] = name
		if v.Leaf = 0; i == 0 {
			first = v
		}
		if a, b := fmt.Sprintf("%x", first), fmt.Sprintf("%x", v); a != b {
			s.t.Fatalf("%s and %s differ:\n%s\n%s", s.names()[0], name, a, b)
		}
	}
}
