package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
	"github.com/sealpost/sealpost/mls"
)

var errNoCommit = errors.New("no commit of this member waits")

func (s *server) Commit(_ context.Context, req *mlsclient.CommitRequest) (*mlsclient.CommitResponse, error) {
	m, err := find[*member](&s.kept, req.GetStateId())
	if err != nil {
		return nil, err
	}
	staged, err := m.commit(req)
	if err != nil {
		return nil, err
	}
	resp := &mlsclient.CommitResponse{Commit: staged.Message()}
	if req.GetExternalTree() {
		resp.RatchetTree = staged.Next().RatchetTree()
	}
	resp.Welcome, err = mls.CombineWelcomes(staged.Welcomes())
	return resp, err
}

// commit makes a commit of what the runner asks for, which then waits to be confirmed.
func (m *member) commit(req *mlsclient.CommitRequest) (*mls.StagedCommit, error) {
	// A copy, so that a call that fails leaves nothing behind; it replaces the group.
	g := m.group.Clone()
	var want tally
	for _, message := range req.GetByReference() {
		q, err := queue(g, message)
		if err != nil {
			return nil, err
		}
		if q.PSK != nil {
			if _, err := m.keys.PSK(*q.PSK); err != nil {
				return nil, err // the commit would leave it out
			}
		}
		want.addQueued(q)
	}
	p := mls.CommitParams{
		IncludePending: len(req.GetByReference()) > 0, Path: req.GetForcePath(), Now: now(),
		Public: m.public, TreeInWelcome: !req.GetExternalTree(),
	}
	for _, d := range req.GetByValue() {
		one, err := describe(d, g.View().PublicView)
		if err != nil {
			return nil, err
		}
		want.add(one)
		addTo(&p, one)
	}
	staged, err := g.Commit(p)
	if err != nil {
		return nil, err
	}
	if err := want.check(staged); err != nil {
		return nil, err
	}
	m.group, m.pending = g, staged
	return staged, nil
}

// addTo adds a proposal by value to a commit.
func addTo(p *mls.CommitParams, one mls.ProposalParams) {
	switch {
	case one.Add != nil:
		p.Add = append(p.Add, one.Add)
	case one.Remove != nil:
		p.Remove = append(p.Remove, *one.Remove)
	case one.Extensions != nil:
		p.Extensions = one.Extensions
	case one.ReInit != nil:
		p.ReInit = one.ReInit
	case one.PSK != nil:
		p.PSKs = append(p.PSKs, *one.PSK)
	}
}

// queue has a group take a proposal, if it has not taken it before.
func queue(g *mls.Group, message []byte) (*mls.QueuedProposal, error) {
	received, err := g.Process(message)
	if err != nil {
		return nil, fmt.Errorf("proposal: %w", err)
	}
	q, ok := received.(*mls.QueuedProposal)
	if !ok {
		return nil, fmt.Errorf("%w: %T where a proposal is due", errRequest, received)
	}
	return q, nil
}

func (s *server) HandlePendingCommit(_ context.Context, req *mlsclient.HandlePendingCommitRequest) (*mlsclient.HandleCommitResponse, error) {
	m, err := find[*member](&s.kept, req.GetStateId())
	if err != nil {
		return nil, err
	}
	if err := m.confirm(); err != nil {
		return nil, err
	}
	return &mlsclient.HandleCommitResponse{StateId: req.GetStateId(), EpochAuthenticator: m.group.EpochAuthenticator()}, nil
}

// confirm moves the member into the epoch that its own commit begins.
func (m *member) confirm() error {
	if m.pending == nil {
		return errNoCommit
	}
	if err := m.group.Merge(m.pending); err != nil {
		return err
	}
	m.begin(m.group)
	return nil
}

// begin is the first step of a new epoch.
func (m *member) begin(g *mls.Group) {
	m.group, m.pending = g, nil
	if !g.Removed() {
		m.keys.remember(g.View())
	}
}

func (s *server) HandleCommit(_ context.Context, req *mlsclient.HandleCommitRequest) (*mlsclient.HandleCommitResponse, error) {
	m, err := find[*member](&s.kept, req.GetStateId())
	if err != nil {
		return nil, err
	}
	if err := m.handle(req); err != nil {
		return nil, err
	}
	return &mlsclient.HandleCommitResponse{StateId: req.GetStateId(), EpochAuthenticator: m.group.EpochAuthenticator()}, nil
}

// handle follows a commit. An own one that comes back is the one that waits.
func (m *member) handle(req *mlsclient.HandleCommitRequest) error {
	g := m.group.Clone()
	for _, message := range req.GetProposal() {
		if _, err := queue(g, message); err != nil && !errors.Is(err, mls.ErrConsumed) {
			return err // a proposal that an own commit took is here already
		}
	}
	received, err := g.Process(req.GetCommit())
	if err != nil {
		return err
	}
	switch c := received.(type) {
	case *mls.OwnCommit:
		return m.confirm()
	case *mls.StagedCommit:
		if err := g.Merge(c); err != nil {
			return err
		}
		m.begin(g)
		return nil
	}
	return fmt.Errorf("%w: %T where a commit is due", errRequest, received)
}
