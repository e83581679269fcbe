package tsmls

import (
	"testing"

	"github.com/sealpost/sealpost/mls"
)

// A group is closed by a ReInit of one library or the other, by value or by reference, and
// the group that takes its place is made by either, in another suite.
func TestReInit(t *testing.T) {
	p := startPeer(t)
	for _, by := range []string{"go1", "ts1"} {
		for _, grower := range []string{"go2", "ts2"} {
			t.Run(by[:2]+" closes, "+grower[:2]+" begins anew", func(t *testing.T) {
				s := newSession(t, p, mls.DefaultSuite, by)
				var adds []change
				for _, name := range []string{"go1", "ts1", "go2", "ts2"} {
					if name != by {
						adds = append(adds, s.add(name))
					}
				}
				s.commit(by, manner{}, adds...)
				begin := mls.ReInit{
					GroupID: []byte("in place of " + s.group), Version: 1, Suite: mls.SuiteP256AES128P256,
					Extensions: []mls.Extension{{Type: understood, Data: []byte("of the successor")}},
				}
				if by == grower[:2]+"1" {
					s.commit(by, manner{}, change{reInit: &begin})
				} else {
					s.propose(grower, change{reInit: &begin})
					s.commit(by, manner{})
				}
				for _, name := range s.names() {
					if _, err := s.members[name].encrypt([]byte("too late"), nil); err == nil {
						t.Errorf("%s writes to a closed group", name)
					}
				}
				next := s.grow(grower, successor, begin, s.others(grower)...)
				for _, name := range next.names() {
					next.say(name)
				}
				next.commit(by, manner{path: true})
			})
		}
	}
}

// A group of some members branches off, made by either library.
func TestBranch(t *testing.T) {
	p := startPeer(t)
	for _, grower := range []string{"go1", "ts1"} {
		t.Run("made by "+grower[:2], func(t *testing.T) {
			s := newSession(t, p, mls.DefaultSuite, "go1")
			s.commit("go1", manner{}, s.add("ts1"), s.add("go2"), s.add("ts2"), s.add("go3"), s.add("ts3"))
			s.commit("ts1", manner{path: true})
			begin := mls.ReInit{GroupID: []byte("a branch of " + s.group), Version: 1, Suite: s.suite}
			// ts-mls takes the extensions of the old group along.
			begin.Extensions = []mls.Extension{{Type: understood, Data: []byte("first")}}
			next := s.grow(grower, branch, begin, "go2", "ts2")
			for _, name := range next.names() {
				next.say(name)
			}
			next.commit("ts2", manner{path: true})
			s.say("ts3") // the old group goes on
		})
	}
}

// grow has one member make a group out of this one, and the others named join it.
func (s *session) grow(by, usage string, begin mls.ReInit, others ...string) *session {
	s.t.Helper()
	next := *s
	next.suite, next.group = begin.Suite, string(begin.GroupID)
	next.members, next.waiting, next.leaving = map[string]member{}, map[string]newcomer{}, map[string]bool{}
	var packages [][]byte
	for _, name := range others {
		packages = append(packages, next.add(name).add)
	}
	for ref, n := range next.waiting {
		n.parent = s.members[n.name]
		next.waiting[ref] = n
	}
	m := next.client(by)
	c, err := m.grow(s.members[by], usage, begin, packages)
	s.ok(by, err)
	next.members[by] = m
	next.admit(by, manner{}, c)
	if len(next.waiting) > 0 {
		s.t.Fatalf("%d members have no Welcome", len(next.waiting))
	}
	next.agree()
	return &next
}
