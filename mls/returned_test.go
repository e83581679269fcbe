package mls

import (
	"bytes"
	"testing"
	"time"
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

// TestReturnedSummary: a staged commit never changes, whatever is done to what it tells: its
// stored form is the same, and so is what it says the next time.
func TestReturnedSummary(t *testing.T) {
	groups := extendedPair(t)
	groups = append(groups, addWith(t, groups[0], groups[1:], extendedConfig(t, "c")))
	kp, _, err := NewKeyPackage(extendedConfig(t, "d"))
	if err != nil {
		t.Fatal(err)
	}
	update := must(groups[1].Propose(ProposalParams{Update: true}))(t)
	for _, g := range groups {
		must(g.Process(update))(t)
	}
	extensions := groups[0].Extensions()
	own := must(groups[0].Commit(CommitParams{
		Add: []*KeyPackage{kp}, Remove: []LeafIndex{2}, Extensions: &extensions, IncludePending: true, Now: testNow, AAD: []byte("aad"),
		Ephemeral: []ComponentData{{Component: testComponent, Data: []byte("ephemeral")}},
		Custom:    []CustomProposal{{Type: testProposal, Data: []byte("custom")}},
	}))(t)
	theirs := must(groups[1].Process(own.Message()))(t).(*StagedCommit)
	loaded := must(groups[0].LoadCommit(must(own.MarshalBinary())(t)))(t)
	for name, c := range map[string]*StagedCommit{"own": own, "received": theirs, "loaded": loaded} {
		tell := func() [][]byte {
			lists := [][]byte{c.Message(), c.AAD()}
			for _, ms := range [][]Member{c.Adds(), c.Removes(), c.Updates()} {
				if len(ms) == 0 {
					t.Fatalf("%s: the commit adds, removes or updates nobody", name)
				}
				for _, m := range ms {
					lists = append(lists, m.Credential.Identity, m.SignatureKey, m.EncryptionKey)
					for _, e := range m.Extensions {
						lists = append(lists, e.Data)
					}
					if m.Lifetime != nil {
						lists = append(lists, []byte(m.Lifetime.NotAfter.String()))
						m.Lifetime.NotAfter = testNow.Add(-time.Hour)
					}
				}
			}
			for _, d := range c.Ephemeral() {
				lists = append(lists, d.Data)
			}
			for _, p := range c.Custom() {
				lists = append(lists, p.Data)
			}
			for _, w := range c.Welcomes() {
				lists = append(lists, w.KeyPackageRef, w.Message)
			}
			return lists
		}
		form := must(c.MarshalBinary())(t)
		first := tell()
		want := bytes.Join(first, []byte{0})
		for _, part := range first {
			clear(part)
		}
		if got := bytes.Join(tell(), []byte{0}); !bytes.Equal(got, want) {
			t.Errorf("%s: who changes what the commit tells changes what it tells next", name)
		}
		if !bytes.Equal(must(c.MarshalBinary())(t), form) {
			t.Errorf("%s: the stored form has changed", name)
		}
	}
}
