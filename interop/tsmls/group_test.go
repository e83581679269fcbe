package tsmls

import (
	"bytes"
	"testing"

	"github.com/sealpost/sealpost/mls"
)

// Several members of each library, and what several proposals in one commit do to the tree.
func TestGroup(t *testing.T) {
	p := startPeer(t)
	for _, f := range founders {
		founder, other := f[0], f[1]
		t.Run("founded by "+founder[:2], func(t *testing.T) {
			s := newSession(t, p, mls.DefaultSuite, founder)
			s.commit(founder, manner{}, s.add("go2"), s.add("ts2"), s.add(other))
			s.say("go2")
			s.say("ts2")
			s.commit(other, manner{path: true})
			for _, by := range []string{"go2", "ts2"} { // proposals of all kinds, by reference
				s.propose(other, update())
				s.propose(founder, s.add("ts3"))
				s.propose(by, s.add("go3"))
				s.commit(by, manner{})
				s.say("ts3")
				s.propose(by, s.remove("ts3"))
				s.propose("go3", update())
				s.commit(by, manner{})
				s.say("go3")
				s.commit(by, manner{}, s.remove("go3"))
			}
			s.propose("ts2", extend("second"))
			s.commit("go2", manner{}, s.add("ts3"), s.remove(founder))
			s.commit("ts3", manner{treeInside: true}, s.add("go3"), s.remove("go2"))
			s.propose("ts3", update())
			s.commit("go3", manner{path: true}, s.add("ts4"), extend("third"))
			s.commit("ts4", manner{path: true})
			for _, by := range s.names() {
				s.sayInOrder(by, 2, 0, 1)
			}
		})
	}
}

// Two members commit in the same epoch. Whichever the delivery service takes, the other
// maker follows it and his own commit counts for nobody.
func TestTwoCommitsInOneEpoch(t *testing.T) {
	p := startPeer(t)
	for _, f := range founders {
		winner, loser := f[0], f[1]
		t.Run(winner[:2]+" wins", func(t *testing.T) {
			s := newSession(t, p, mls.DefaultSuite, winner)
			s.commit(winner, manner{}, s.add(loser), s.add("go2"), s.add("ts2"))
			lost, err := s.members[loser].commit(nil, manner{path: true})
			s.ok(loser, err)
			s.commit(winner, manner{path: true})
			for _, name := range s.names() {
				if _, err := s.members[name].process(lost.message); err == nil {
					t.Errorf("%s takes a commit of the epoch before", name)
				}
			}
			s.agree()
			s.commit(loser, manner{path: true})
			s.say(loser)
		})
	}
}

// A message that was changed on the way, or comes once more, is refused by both, and does
// not keep anybody from reading the one that was sent.
func TestChangedMessagesAreRefused(t *testing.T) {
	s := newSession(t, startPeer(t), mls.DefaultSuite, "go1")
	s.commit("go1", manner{}, s.add("ts1"), s.add("go2"), s.add("ts2"))
	for _, by := range []string{"go1", "ts1"} {
		msg, err := s.members[by].encrypt([]byte("a message"), nil)
		s.ok(by, err)
		c, err := s.members[by].commit(nil, manner{path: true})
		s.ok(by, err)
		for _, name := range []string{"go2", "ts2"} {
			for _, sent := range [][]byte{msg, c.message} {
				for _, at := range []int{len(sent) - 1, len(sent) / 2, 12} {
					changed := bytes.Clone(sent)
					changed[at] ^= 1
					if r, err := s.members[name].process(changed); err == nil {
						t.Errorf("%s takes a message of %s that was changed at %d of %d: %+v", name, by, at, len(sent), r)
					}
				}
			}
			if _, err := s.members[name].process(msg); err != nil {
				t.Errorf("%s does not read the message of %s: %v", name, by, err)
			}
			if _, err := s.members[name].process(msg); err == nil {
				t.Errorf("%s reads a message of %s twice", name, by)
			}
		}
		s.deliver(by, manner{}, c)
	}
}
