package main

import (
	"context"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
)

func (s *server) CreateBranch(_ context.Context, req *mlsclient.CreateBranchRequest) (*mlsclient.CreateSubgroupResponse, error) {
	m, err := find[*member](&s.kept, req.GetStateId())
	if err != nil {
		return nil, err
	}
	extensions, err := extensionsOf(req.GetExtensions())
	if err != nil {
		return nil, err
	}
	key, err := m.group.Suite().GenerateSignatureKey()
	if err != nil {
		return nil, err
	}
	cfg, err := successorConfig(key, req.GetKeyPackages())
	if err != nil {
		return nil, err
	}
	cfg.Path, cfg.TreeInWelcome = req.GetForcePath(), !req.GetExternalTree()
	g, welcomes, err := m.group.Branch(req.GetGroupId(), extensions, cfg)
	if err != nil {
		return nil, err
	}
	return s.grown(m, g, welcomes, req.GetExternalTree())
}

func (s *server) HandleBranch(_ context.Context, req *mlsclient.HandleBranchRequest) (*mlsclient.HandleBranchResponse, error) {
	m, err := find[*member](&s.kept, req.GetStateId())
	if err != nil {
		return nil, err
	}
	j, err := find[*joiner](&s.kept, req.GetTransactionId())
	if err != nil {
		return nil, err
	}
	id, authenticator, err := s.join(j, req.GetWelcome(), req.GetRatchetTree(), m)
	if err != nil {
		return nil, err
	}
	s.kept.drop(req.GetTransactionId())
	return &mlsclient.HandleBranchResponse{StateId: id, EpochAuthenticator: authenticator}, nil
}
