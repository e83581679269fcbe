package mls

import (
	"bytes"
	"testing"
)

// FuzzPublicGroup: who follows survives any message, and an error leaves no trace.
func FuzzPublicGroup(f *testing.F) {
	groups, first, _ := overseen(f, DefaultSuite)
	service := publicOf(f, groups[0])
	kp, _ := keyPackage(f, "d")
	f.Add(publicCommit(f, groups[0]))
	f.Add(must(groups[0].Clone().Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow, Public: true}))(f).Message())
	f.Add(must(groups[1].Clone().Propose(ProposalParams{Update: true, Public: true}))(f))
	f.Add(must(service.Propose(first, ProposalParams{Remove: new(LeafIndex(1))}))(f))
	f.Add(publicBytes(hackExternal(f, groupInfoFor(f, groups[0]), outsider(f, DefaultSuite, "x"), func(*externalBuilder) {})))
	before := must(service.MarshalBinary())(f)
	f.Fuzz(func(t *testing.T, msg []byte) {
		g := service.Clone()
		_, err := g.Process(msg)
		if after := must(g.MarshalBinary())(t); err != nil && !bytes.Equal(after, before) {
			t.Fatalf("%v left a trace", err)
		} else if _, err := UnmarshalPublicGroup(after, Application{}); err != nil {
			t.Fatalf("what was accepted is not stored: %v", err)
		}
	})
}

// FuzzGroupInfo: any GroupInfo and tree end in a view that they agree on, or in an error.
func FuzzGroupInfo(f *testing.F) {
	g := trio(f)[0]
	f.Add(groupInfoFor(f, g), []byte(nil))
	f.Add(must(g.View().GroupInfo(GroupInfoParams{ExternalPub: true}))(f), g.RatchetTree())
	f.Fuzz(func(t *testing.T, info, tree []byte) {
		public, err := NewPublicGroup(info, tree, Application{})
		if err != nil {
			return
		}
		if err := public.View().CheckGroupInfo(info); err != nil {
			t.Fatalf("a GroupInfo that was accepted is of another epoch: %v", err)
		}
	})
}
