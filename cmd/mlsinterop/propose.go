package main

import (
	"context"
	"fmt"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
	"github.com/sealpost/sealpost/mls"
)

// describe turns the runner's description of a proposal into ours.
func describe(d *mlsclient.ProposalDescription, e *mls.PublicView) (mls.ProposalParams, error) {
	p := mls.ProposalParams{Now: now()}
	var err error
	switch kind := string(d.GetProposalType()); kind {
	case "add":
		p.Add, err = unwrapKeyPackage(d.GetKeyPackage())
	case "remove":
		var leaf mls.LeafIndex
		leaf, err = leafOf(e.Members(), d.GetRemovedId())
		p.Remove = &leaf
	case "externalPSK":
		id := externalID(d.GetPskId())
		p.PSK = &id
	case "resumptionPSK":
		p.PSK = &mls.PSKID{Resumption: &mls.ResumptionID{GroupID: e.ID(), Epoch: d.GetEpochId()}}
	case "groupContextExtensions":
		var extensions []mls.Extension
		extensions, err = extensionsOf(d.GetExtensions())
		p.Extensions = &extensions
	case "reinit":
		p.ReInit = &mls.ReInit{GroupID: d.GetGroupId()}
		if p.ReInit.Suite, err = suiteOf(d.GetCipherSuite()); err == nil {
			p.ReInit.Extensions, err = extensionsOf(d.GetExtensions())
		}
	default:
		err = fmt.Errorf("%w: proposal type %q", errRequest, kind)
	}
	return p, err
}

// propose makes a member's proposal message. It counts for the member too only once the runner
// brings it back with a commit.
func (s *server) propose(id uint32, d *mlsclient.ProposalDescription) (*mlsclient.ProposalResponse, error) {
	m, err := find[*member](&s.kept, id)
	if err != nil {
		return nil, err
	}
	p, err := describe(d, m.group.View().PublicView)
	if err != nil {
		return nil, err
	}
	return m.propose(p)
}

func (m *member) propose(p mls.ProposalParams) (*mlsclient.ProposalResponse, error) {
	p.Public = m.public
	message, err := m.group.Propose(p)
	if err != nil {
		return nil, err
	}
	return &mlsclient.ProposalResponse{Proposal: message}, nil
}

func (s *server) AddProposal(_ context.Context, req *mlsclient.AddProposalRequest) (*mlsclient.ProposalResponse, error) {
	return s.propose(req.GetStateId(), &mlsclient.ProposalDescription{
		ProposalType: []byte("add"), KeyPackage: req.GetKeyPackage(),
	})
}

func (s *server) UpdateProposal(_ context.Context, req *mlsclient.UpdateProposalRequest) (*mlsclient.ProposalResponse, error) {
	m, err := find[*member](&s.kept, req.GetStateId())
	if err != nil {
		return nil, err
	}
	return m.propose(mls.ProposalParams{Update: true})
}

func (s *server) RemoveProposal(_ context.Context, req *mlsclient.RemoveProposalRequest) (*mlsclient.ProposalResponse, error) {
	return s.propose(req.GetStateId(), &mlsclient.ProposalDescription{
		ProposalType: []byte("remove"), RemovedId: req.GetRemovedId(),
	})
}

func (s *server) ExternalPSKProposal(_ context.Context, req *mlsclient.ExternalPSKProposalRequest) (*mlsclient.ProposalResponse, error) {
	return s.propose(req.GetStateId(), &mlsclient.ProposalDescription{
		ProposalType: []byte("externalPSK"), PskId: req.GetPskId(),
	})
}

func (s *server) ResumptionPSKProposal(_ context.Context, req *mlsclient.ResumptionPSKProposalRequest) (*mlsclient.ProposalResponse, error) {
	return s.propose(req.GetStateId(), &mlsclient.ProposalDescription{
		ProposalType: []byte("resumptionPSK"), EpochId: req.GetEpochId(),
	})
}

func (s *server) GroupContextExtensionsProposal(_ context.Context, req *mlsclient.GroupContextExtensionsProposalRequest) (*mlsclient.ProposalResponse, error) {
	return s.propose(req.GetStateId(), &mlsclient.ProposalDescription{
		ProposalType: []byte("groupContextExtensions"), Extensions: req.GetExtensions(),
	})
}
