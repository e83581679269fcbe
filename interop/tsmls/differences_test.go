package tsmls

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/mls"
)

// What ts-mls does otherwise than RFC 9420 says, and the sessions of the other tests go
// around. README.md tells of each. A test here fails when ts-mls has learned it: then the
// detour and the README's line go.

// A commit that changes the extensions has no path of its own (section 17.4 wants one).
func TestExtensionsAloneHaveNoPath(t *testing.T) {
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

// Where another proposal brings a path along, its secrets are encrypted under the extensions
// as they were (section 12.4.1 takes those that will be, as ts-mls itself does on receipt).
func TestPathSecretsAreSealedUnderOldExtensions(t *testing.T) {
	s := newSession(t, startPeer(t), mls.DefaultSuite, "ts1")
	s.commit("ts1", manner{}, s.add("go1"), s.add("ts2"))
	s.propose("go1", update())
	c, err := s.members["ts1"].commit([]change{extend("second")}, manner{})
	s.ok("ts1", err)
	if _, err := s.members["go1"].process(c.message); !errors.Is(err, mls.ErrCannotFollow) {
		t.Errorf("package mls on path secrets under old extensions: %v", err)
	}
	if _, err := s.members["ts2"].process(c.message); !errors.Is(err, errPeer) {
		t.Errorf("ts-mls on path secrets under old extensions: %v", err)
	}
}

// Whoever is removed by a commit that gives the leaf to another does not see it.
func TestRemovalIsNotSeenWhereTheLeafIsGivenAway(t *testing.T) {
	s := newSession(t, startPeer(t), mls.DefaultSuite, "go1")
	s.commit("go1", manner{}, s.add("ts1"), s.add("ts2"))
	c, err := s.members["go1"].commit([]change{s.remove("ts1"), s.add("go2")}, manner{})
	s.ok("go1", err)
	if r, err := s.members["ts1"].process(c.message); err == nil && r.removed {
		t.Error("ts-mls has seen its removal")
	}
	s.deliver("go1", manner{}, c)
	s.say("go2")
}

// A tree is refused in which a leaf is unmerged at a node and not at one above it, as it is
// once somebody from elsewhere has renewed that one (section 12.4.3.1 allows it).
func TestTreeWithALeafUnmergedHalfTheWayIsRefused(t *testing.T) {
	s := newSession(t, startPeer(t), mls.DefaultSuite, "go1")
	s.commit("go1", manner{}, s.add("go2"), s.add("go3"), s.add("go4"), s.add("ts1"))
	s.commit("go1", manner{}, s.remove("go4")) // renews the node above leaves 0 to 3
	s.commit("go1", manner{}, s.add("go5"))    // at leaf 3
	s.commit("ts1", manner{path: true})        // renews the root alone
	s.commit("go1", manner{}, s.add("ts2"), s.add("go6"))
	if _, joined := s.members["ts2"]; joined {
		t.Error("ts-mls has taken the tree")
	}
	s.say("go6")
	s.say("ts1")
}

// The external key in a GroupInfo has no length before it (section 12.4.3.2 has a vector).
func TestExternalKeyInAGroupInfoHasNoLength(t *testing.T) {
	s := newSession(t, startPeer(t), mls.DefaultSuite, "ts1")
	s.commit("ts1", manner{}, s.add("go1"))
	a, err := s.members["ts1"].(*theirs).ask("groupInfo", nil)
	s.ok("ts1", err)
	o := s.client("go2").(*ours)
	_, _, err = mls.JoinExternal(a.Message, mls.ExternalParams{
		Now: s.now, Credential: o.credential, SignatureKey: *o.key, SupportedExtensions: []mls.ExtensionType{understood},
	})
	var broken *mls.Error
	if !errors.As(err, &broken) || broken.Rule != "groupinfo.external-pub" {
		t.Errorf("package mls joins, or says: %v", err)
	}
}

// Nobody joins by a Welcome that names a resumption secret for a use of the application's own.
// Section 12.4.3.1 has rules for those of ReInit and Branch, and none against this one, for a
// newcomer who has been told the secret.
func TestResumptionSecretInAWelcomeIsRefused(t *testing.T) {
	s := newSession(t, startPeer(t), mls.DefaultSuite, "go1")
	s.commit("go1", manner{}, s.add("ts1"))
	what := s.add("ts2")
	c, err := s.members["go1"].commit([]change{what, s.resume(0)}, manner{treeInside: true})
	s.ok("go1", err)
	for _, n := range s.waiting {
		s.ok(n.name, n.know(s.members["go1"].(*ours).group.View().ResumptionPSK()))
		if err := n.join(slices.Collect(maps.Values(c.welcomes))[0], nil, nil); !errors.Is(err, errPeer) || !strings.Contains(err.Error(), "prior state") {
			t.Errorf("ts-mls joins, or says: %v", err)
		}
	}
}
