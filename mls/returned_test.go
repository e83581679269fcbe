package mls

import (
	"bytes"
	"testing"
)

// TestReturnedExternalSender: who changes what Process tells of an external sender changes
// neither the group context, which would fork this member from the others, nor the extension.
func TestReturnedExternalSender(t *testing.T) {
	key := signatureKey(t)
	data := EncodeExternalSenders([]ExternalSender{{SignatureKey: key.Public(), Credential: basic("delivery service")}})
	groups := trio(t)
	extensions := append(groups[0].Extensions(), Extension{Type: ExtensionExternalSenders, Data: data})
	commitTo(t, groups, CommitParams{Extensions: &extensions})
	pub := must(NewPublicGroup(groupInfoFor(t, groups[0]), nil, Application{}))(t)
	before := groups[0].at.ctx.bytes()
	spoil := func(s *ExternalSender) {
		t.Helper()
		if s == nil || string(s.Credential.Identity) != "delivery service" || !bytes.Equal(s.SignatureKey, key.Public()) {
			t.Fatalf("proposed by %+v", s)
		}
		clear(s.Credential.Identity)
		clear(s.SignatureKey)
	}
	for l := range LeafIndex(2) {
		p := must(pub.Propose(key, ProposalParams{Remove: new(l + 1)}))(t)
		spoil(must(pub.Process(p))(t).(*QueuedProposal).External)
		for _, g := range groups {
			spoil(must(g.Process(p))(t).(*QueuedProposal).External)
		}
	}
	in := bytes.Clone(data)
	spoil(&must(ParseExternalSenders(in))(t)[0])
	for _, after := range [][]byte{groups[0].at.ctx.bytes(), pub.at.ctx.bytes()} {
		if !bytes.Equal(before, after) {
			t.Error("the group context has changed")
		}
	}
	if !bytes.Equal(in, data) {
		t.Error("the extension has changed")
	}
	for _, g := range groups {
		g.DropProposals()
	}
	commitTo(t, groups, CommitParams{})
}
