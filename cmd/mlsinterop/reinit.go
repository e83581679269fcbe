package main

import (
	"context"
	"fmt"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
	"github.com/sealpost/sealpost/mls"
)

// reinit is a member whose group is closed, with its KeyPackage for the one that follows.
type reinit struct {
	closed *member
	*joiner
}

func (*reinit) noun() string { return "reinit" }

func (s *server) ReInitProposal(_ context.Context, req *mlsclient.ReInitProposalRequest) (*mlsclient.ProposalResponse, error) {
	return s.propose(req.GetStateId(), &mlsclient.ProposalDescription{
		ProposalType: []byte("reinit"), CipherSuite: req.GetCipherSuite(), GroupId: req.GetGroupId(), Extensions: req.GetExtensions(),
	})
}

func (s *server) ReInitCommit(ctx context.Context, req *mlsclient.CommitRequest) (*mlsclient.CommitResponse, error) {
	return s.Commit(ctx, req)
}

func (s *server) HandlePendingReInitCommit(_ context.Context, req *mlsclient.HandlePendingCommitRequest) (*mlsclient.HandleReInitCommitResponse, error) {
	m, err := find[*member](&s.kept, req.GetStateId())
	if err != nil {
		return nil, err
	}
	if err := m.confirm(); err != nil {
		return nil, err
	}
	return s.close(m)
}

func (s *server) HandleReInitCommit(_ context.Context, req *mlsclient.HandleCommitRequest) (*mlsclient.HandleReInitCommitResponse, error) {
	m, err := find[*member](&s.kept, req.GetStateId())
	if err != nil {
		return nil, err
	}
	if err := m.handle(req); err != nil {
		return nil, err
	}
	return s.close(m)
}

// close prepares a member whose group was closed for the group that follows.
func (s *server) close(m *member) (*mlsclient.HandleReInitCommitResponse, error) {
	next := m.group.ReInit()
	if next == nil {
		return nil, fmt.Errorf("%w: the commit does not reinitialize the group", errRequest)
	}
	j, err := newJoiner(next.Suite, m.identity)
	if err != nil {
		return nil, err
	}
	return &mlsclient.HandleReInitCommitResponse{
		ReinitId: s.kept.put(&reinit{closed: m, joiner: j}), KeyPackage: wrapKeyPackage(j.secrets.KeyPackage()),
		EpochAuthenticator: m.group.EpochAuthenticator(),
	}, nil
}

func (s *server) ReInitWelcome(_ context.Context, req *mlsclient.ReInitWelcomeRequest) (*mlsclient.CreateSubgroupResponse, error) {
	r, err := find[*reinit](&s.kept, req.GetReinitId())
	if err != nil {
		return nil, err
	}
	cfg, err := successorConfig(r.signatureKey, req.GetKeyPackage())
	if err != nil {
		return nil, err
	}
	cfg.Path, cfg.TreeInWelcome = req.GetForcePath(), !req.GetExternalTree()
	g, welcomes, err := r.closed.group.Successor(cfg)
	if err != nil {
		return nil, err
	}
	return s.grown(r.closed, g, welcomes, req.GetExternalTree())
}

func (s *server) HandleReInitWelcome(_ context.Context, req *mlsclient.HandleReInitWelcomeRequest) (*mlsclient.JoinGroupResponse, error) {
	r, err := find[*reinit](&s.kept, req.GetReinitId())
	if err != nil {
		return nil, err
	}
	id, authenticator, err := s.join(r.joiner, req.GetWelcome(), req.GetRatchetTree(), r.closed)
	if err != nil {
		return nil, err
	}
	return &mlsclient.JoinGroupResponse{StateId: id, EpochAuthenticator: authenticator}, nil
}

// successorConfig is what ReInit and branches have in common.
func successorConfig(key mls.SignaturePrivateKey, keyPackages [][]byte) (mls.SuccessorConfig, error) {
	cfg := mls.SuccessorConfig{SignatureKey: key, Now: now()}
	for _, message := range keyPackages {
		kp, err := unwrapKeyPackage(message)
		if err != nil {
			return cfg, err
		}
		cfg.KeyPackages = append(cfg.KeyPackages, kp)
	}
	return cfg, nil
}

// grown begins the state of who made a group that grew out of another.
func (s *server) grown(from *member, g *mls.Group, welcomes []mls.Welcome, externalTree bool) (*mlsclient.CreateSubgroupResponse, error) {
	welcome, err := mls.CombineWelcomes(welcomes)
	if err != nil {
		return nil, err
	}
	resp := &mlsclient.CreateSubgroupResponse{Welcome: welcome}
	if externalTree {
		resp.RatchetTree = g.RatchetTree()
	}
	resp.StateId, resp.EpochAuthenticator = s.enter(&member{group: g, public: from.public, identity: from.identity, keys: from.keys})
	return resp, nil
}
