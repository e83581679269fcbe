package mls

import (
	"bytes"
	"fmt"
	"slices"
)

// queuedProposal is a proposal that arrived in the current epoch and may be committed by
// reference. It was checked by itself when it arrived.
type queuedProposal struct {
	ref     []byte
	content *authenticatedContent // of a member
	said    contentDigest
	// own proposals: the keys that an Update brings into force and, in stored groups that wait
	// since they held such, the message's digest.
	digest       [32]byte
	leafKey      *hpkePrivate
	signatureKey SignaturePrivateKey
}

func (q *queuedProposal) proposal() *proposal { return q.content.content.proposal }
func (q *queuedProposal) from() sender        { return q.content.content.sender }

// listed is the proposal as a commit by reference lists it.
func (q *queuedProposal) listed() listed {
	return listed{proposal: q.proposal(), from: q.from(), queued: q}
}

// listed is a proposal of a commit's list, resolved.
type listed struct {
	proposal *proposal
	from     sender
	queued   *queuedProposal // nil for a proposal by value
	checked  bool            // by itself, in this epoch, although it is by value
	sound    bool            // KeyPackage.check found no fault with what it adds
}

// proposalQueue holds the proposals of an epoch in the order of their arrival. Its methods
// leave the queue as it is, so that copies of a group can share it.
type proposalQueue []*queuedProposal

// with is the queue with one more proposal, within its bounds. What was dropped in this epoch
// does not come back.
func (queue proposalQueue) with(q *queuedProposal, dropped signedLog) (proposalQueue, error) {
	if dropped.contains(q.said.short()) {
		return queue, fmt.Errorf("%w: proposal was dropped", ErrConsumed)
	}
	fromSender := 0
	for _, other := range queue {
		if other.said == q.said {
			return queue, fmt.Errorf("%w: proposal is queued already", ErrConsumed)
		}
		if other.from() == q.from() {
			fromSender++
		}
	}
	if len(queue) >= maxPending || fromSender >= maxPendingPerSender {
		return queue, fmt.Errorf("%w: too many proposals wait", ErrLimit)
	}
	if dropped.len()+len(queue) >= maxDropped {
		return queue, fmt.Errorf("%w: too many proposals were dropped", ErrLimit)
	}
	return append(slices.Clip(queue), q), nil
}

// drop is what was dropped, with all of the queue.
func (queue proposalQueue) drop(dropped signedLog) signedLog {
	for _, q := range queue {
		dropped = dropped.with(q.said.short())
	}
	return dropped
}

// resolve turns a commit's list into proposals. Those by value are the committer's, those by
// reference must have arrived in this epoch.
func (queue proposalQueue) resolve(a *authenticatedContent) ([]listed, error) {
	var list []listed
	seen := map[string]bool{}
	for _, p := range a.content.commit.proposals {
		if p.proposal != nil {
			list = append(list, listed{proposal: p.proposal, from: a.content.sender})
			continue
		}
		if seen[string(p.ref)] {
			return nil, broken("commit.reference", "a proposal is referred to twice")
		}
		seen[string(p.ref)] = true
		var found *queuedProposal
		for _, q := range queue {
			if bytes.Equal(q.ref, p.ref) {
				found = q
			}
		}
		if found == nil {
			return nil, broken("commit.reference", "a proposal is referred to that never came")
		}
		list = append(list, found.listed())
	}
	return list, nil
}
