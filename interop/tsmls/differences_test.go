package tsmls

import (
	"errors"
	"testing"

	"github.com/sealpost/sealpost/mls"
)

// ts-mls leaves the path out where RFC 9420 section 17.4 demands one. When this test fails
// because the commit is taken, ts-mls has learned it, and README.md and the sessions can too.
func TestExtensionsAloneWithoutPathAreRefused(t *testing.T) {
	s := newSession(t, startPeer(t), mls.DefaultSuite, "ts1")
	s.commit("ts1", manner{}, s.add("go1"))
	c, err := s.members["ts1"].commit([]change{extend("second")}, manner{})
	s.ok("ts1", err)
	var broken *mls.Error
	if _, err := s.members["go1"].process(c.message); !errors.Is(err, mls.ErrInvalidCommit) || !errors.As(err, &broken) || broken.Rule != "commit.path" {
		t.Errorf("a commit without its path: %v", err)
	}
	s.propose("ts1", extend("second"))
	s.commit("go1", manner{})
	s.say("ts1")
}
