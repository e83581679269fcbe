package mls

import (
	"bytes"
	"errors"
	"testing"
)

// dropping has everybody drop, at the same place of the log, and half of them go on from what is
// stored.
func dropping(t *testing.T, groups []*Group) {
	t.Helper()
	for i, g := range groups {
		g.DropProposals()
		if i%2 == 0 {
			groups[i] = reload(t, g)
		}
	}
}

// TestA07_DroppedProposalsStayDropped: who sends a dropped proposal's bytes again, or encrypts it
// again, does not have it wait at all members but its maker.
func TestA07_DroppedProposalsStayDropped(t *testing.T) {
	groups := trio(t)
	service := publicOf(t, groups[0])
	for _, p := range []ProposalParams{
		{Update: true}, {Remove: new(LeafIndex(1)), Public: true}, {Update: true, Public: true}, {Remove: new(LeafIndex(1))},
	} {
		msg := must(groups[0].Propose(p))(t)
		again := [][]byte{msg}
		if !p.Public {
			again = append(again, groups[1].Clone().inNameOf(t, 0, 20, groups[1].opened(t, msg)))
		}
		for _, g := range groups {
			must(g.Process(msg))(t)
		}
		if p.Public {
			must(service.Process(msg))(t)
		}
		dropping(t, groups)
		service.DropProposals()
		service = must(UnmarshalPublicGroup(must(service.MarshalBinary())(t), Application{}))(t)
		for _, msg := range again {
			for _, g := range groups {
				if err := untouched(t, "dropped", g, msg); !errors.Is(err, ErrConsumed) {
					t.Errorf("a dropped proposal once more at leaf %d: %v, want ErrConsumed", g.OwnLeaf(), err)
				}
			}
			if _, err := service.Process(msg); p.Public && !errors.Is(err, ErrConsumed) {
				t.Errorf("a dropped proposal once more outside: %v, want ErrConsumed", err)
			}
		}
	}
	// The same once more would be taken for a repetition by everybody.
	if _, err := groups[0].Propose(ProposalParams{Remove: new(LeafIndex(1))}); !errors.Is(err, ErrConsumed) {
		t.Errorf("proposing what was dropped: %v, want ErrConsumed", err)
	}
	// It ends with the epoch.
	advance(t, groups[1], groups, CommitParams{Public: true})
	must(groups[0].Propose(ProposalParams{Remove: new(LeafIndex(1))}))(t)
	if groups[0].dropped.len() != 0 {
		t.Errorf("%d dropped proposals are remembered in a new epoch", groups[0].dropped.len())
	}
}

// TestDroppedProposalsAreBounded: what is remembered of them, at the same place for everybody.
func TestDroppedProposalsAreBounded(t *testing.T) {
	groups := trio(t)
	service := publicOf(t, groups[0])
	for range maxDropped - 1 {
		service.dropped = service.dropped.with(signedDigest{})
	}
	groups[1].dropped = service.dropped
	for i, want := range []error{nil, ErrLimit} {
		msg := must(groups[0].Propose(ProposalParams{Remove: new(LeafIndex(2)), Public: true, AAD: []byte{byte(i)}}))(t)
		_, member := groups[1].Process(msg)
		_, outside := service.Process(msg)
		if !errors.Is(member, want) || !errors.Is(outside, want) {
			t.Errorf("proposal %d near the bound: %v and %v, want %v", i, member, outside, want)
		}
		groups[1].DropProposals()
		service.DropProposals()
	}
}

// TestOwnCommitBehindADrop: a commit of proposals that were dropped before it came counts for its
// maker no more than for the others; one that refers to nothing counts.
func TestOwnCommitBehindADrop(t *testing.T) {
	for _, public := range []bool{false, true} {
		groups := trio(t)
		update := must(groups[2].Propose(ProposalParams{Update: true}))(t)
		for _, g := range groups {
			must(g.Process(update))(t)
		}
		byReference := must(groups[0].Commit(CommitParams{IncludePending: true, Now: testNow, Public: public}))(t)
		alone := must(groups[0].Commit(CommitParams{Public: public}))(t)
		dropping(t, groups)
		for _, g := range groups {
			if err := untouched(t, "by reference", g, byReference.Message()); !errors.Is(err, ErrInvalidCommit) {
				t.Errorf("a commit of what was dropped at leaf %d: %v, want ErrInvalidCommit", g.OwnLeaf(), err)
			}
		}
		if own, ok := must(groups[0].Process(alone.Message()))(t).(*OwnCommit); !ok || !own.Is(alone) || own.Is(byReference) {
			t.Errorf("the own commit that refers to nothing is %+v", own)
		}
		deliver(t, alone.Message(), groups[1:])
		if err := groups[0].Merge(alone); err != nil {
			t.Fatal(err)
		}
		agree(t, groups)
	}
}

// TestProposalThatPassesADrop: what was on its way when all dropped comes after it, to its maker
// as to the others; the commit that takes it can be followed.
func TestProposalThatPassesADrop(t *testing.T) {
	groups := trio(t)
	update := must(groups[0].Propose(ProposalParams{Update: true}))(t)
	dropping(t, groups)
	for i, g := range groups {
		if q, ok := must(g.Process(update))(t).(*QueuedProposal); !ok || q.Own != (i == 0) {
			t.Errorf("leaf %d gets %+v", i, q)
		}
	}
	advance(t, groups[1], groups, CommitParams{IncludePending: true, Now: testNow})
	say(t, groups[0], groups, "on we go")
}

// TestPublicGroupDrops: who follows a group whose members drop follows it further.
func TestPublicGroupDrops(t *testing.T) {
	groups := trio(t)
	service := publicOf(t, groups[0])
	for i := range maxPendingPerSender + 1 {
		p := must(groups[1].Propose(ProposalParams{PSK: new(external("one")), AAD: []byte{byte(i)}, Public: true}))(t)
		for _, g := range groups {
			must(g.Process(p))(t)
		}
		must(service.Process(p))(t)
		if i == maxPendingPerSender-1 {
			dropping(t, groups)
			copied := service.Clone()
			service.DropProposals()
			if len(copied.queue) != maxPendingPerSender || copied.dropped.len() != 0 {
				t.Error("a copy drops with what it was copied from")
			}
		}
	}
	p := must(groups[1].Propose(ProposalParams{Remove: new(LeafIndex(2)), Public: true}))(t)
	for _, g := range groups {
		must(g.Process(p))(t)
	}
	must(service.Process(p))(t)
	c := must(groups[0].Commit(CommitParams{IncludePending: true, Public: true, Now: testNow}))(t)
	deliver(t, c.Message(), groups[1:])
	if err := service.Merge(must(service.Process(c.Message()))(t).(*PublicCommit)); err != nil {
		t.Fatal(err)
	}
	if err := groups[0].Merge(c); err != nil || !bytes.Equal(service.View().TreeHash(), groups[0].TreeHash()) {
		t.Errorf("who follows is elsewhere (%v)", err)
	}
}
