package tsmls

import (
	"testing"

	"github.com/sealpost/sealpost/mls"
)

// founders are the two sides that a group can begin on, with the other's first member.
var founders = [][2]string{{"go1", "ts1"}, {"ts1", "go1"}}

// everySuite runs a test for each suite that both libraries have, founded on either side.
func everySuite(t *testing.T, run func(t *testing.T, p *peer, suite mls.Suite, founder, other string)) {
	p := startPeer(t)
	a, err := p.ask("suites", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, s := range a.Suites {
		// A number that is not registered means something else elsewhere; the name tells.
		suite := s.ID
		if suite.String() != s.Name {
			continue
		}
		tried++
		for _, f := range founders {
			t.Run(suite.String()+"/founded by "+f[0][:2], func(t *testing.T) { run(t, p, suite, f[0], f[1]) })
		}
	}
	if tried < 9 {
		t.Errorf("only %d suites in common", tried)
	}
}

// A session of two with everything that members do to each other.
func TestSessionOfTwo(t *testing.T) {
	everySuite(t, func(t *testing.T, p *peer, suite mls.Suite, founder, other string) {
		meet(newSession(t, p, suite, founder), founder, other)
	})
}

// meet is all that two members do, from the founding of the group to its founder's removal.
func meet(s *session, founder, other string) {
	s.t.Helper()
	s.commit(founder, manner{}, s.add(other))
	s.say(founder)
	s.say(other)
	s.commit(other, manner{path: true})
	s.sayInOrder(founder, 3, 0, 2, 1)
	s.sayInOrder(other, 1, 4, 3, 0, 2)
	s.commit(founder, manner{path: true, public: true})
	for _, by := range []string{founder, other} {
		s.propose(by, update())
		s.proposeAs(by, manner{public: true}, s.share())
		s.commit(s.others(by)[0], manner{})
		s.say(by)
	}
	s.commit("go1", manner{}, extend("second"))
	s.say("ts1")
	s.commit(other, manner{public: true}, s.share(), s.share())
	s.commit(founder, manner{}, s.share(), s.resume(1), s.resume(0))
	s.say(founder)
	s.sayLate(founder)
	s.sayLate(other)
	s.commit(other, manner{}, s.remove(founder))
}
