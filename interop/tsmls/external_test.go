package tsmls

import (
	"testing"

	"github.com/sealpost/sealpost/mls"
)

// Somebody on package mls joins without an invitation, and comes back in his own place, and
// members on ts-mls follow. The other direction does not work: see README.md.
func TestExternalCommit(t *testing.T) {
	p := startPeer(t)
	for _, suite := range []mls.Suite{mls.DefaultSuite, mls.SuiteP256AES128P256, mls.SuiteX25519ChaCha20Ed25519} {
		for _, f := range founders {
			t.Run(suite.String()+"/founded by "+f[0][:2], func(t *testing.T) {
				s := newSession(t, p, suite, f[0])
				s.commit(f[0], manner{}, s.add(f[1]), s.add("ts2"))
				s.joinFromOutside("go2", "go1")
				s.say("go2")
				s.say("ts2")
				s.commit("ts2", manner{path: true}, s.remove("go1"))
				s.commit("ts1", manner{path: true})
				s.joinFromOutside("go3", "go2") // at a leaf that is free
				s.commit("ts1", manner{path: true})
				s.joinFromOutside("go3", "go2") // in his own place
				s.say("go3")
				for _, by := range s.names() {
					s.commit(by, manner{path: true})
					s.say(by)
				}
			})
		}
	}
}

// joinFromOutside has a member of that name join by an external commit, with a GroupInfo of
// via. One who is a member already takes his own place.
func (s *session) joinFromOutside(name, via string) {
	s.t.Helper()
	var remove *mls.LeafIndex
	if s.members[name] != nil {
		remove = s.remove(name).remove
	}
	o := s.client(name).(*ours)
	info, err := s.members[via].(*ours).group.View().GroupInfo(mls.GroupInfoParams{Tree: true, ExternalPub: true})
	s.ok(via, err)
	aad := []byte("committed by " + name)
	psk := s.share().psk
	s.ok(name, o.know(*psk, s.shared[string(psk.External)]))
	g, message, err := mls.JoinExternal(info, mls.ExternalParams{
		Application: o.application(), Now: s.now, Credential: o.credential, SignatureKey: *o.key,
		SupportedExtensions: []mls.ExtensionType{understood}, Remove: remove, PSKs: []mls.PSKID{*psk}, AAD: aad,
	})
	s.ok(name, err)
	for other, m := range s.members {
		r, err := m.process(message)
		s.ok(other+" lets "+name+" in", err)
		if r.kind != "commit" || string(r.aad) != string(aad) || r.removed != (other == name) {
			s.t.Fatalf("%s: the external commit of %s came out as %+v", other, name, r)
		}
	}
	o.group = g
	s.members[name] = o
	clear(s.leaving)
	s.agree()
}
