package main

import (
	"context"
	"fmt"
	"math"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
	"github.com/sealpost/sealpost/mls"
)

func (s *server) GroupInfo(_ context.Context, req *mlsclient.GroupInfoRequest) (*mlsclient.GroupInfoResponse, error) {
	m, err := find[*member](&s.kept, req.GetStateId())
	if err != nil {
		return nil, err
	}
	view := m.group.View()
	resp := new(mlsclient.GroupInfoResponse)
	if req.GetExternalTree() {
		resp.RatchetTree = view.RatchetTree()
	}
	resp.GroupInfo, err = view.GroupInfo(mls.GroupInfoParams{Tree: !req.GetExternalTree(), ExternalPub: true})
	return resp, err
}

func (s *server) StateAuth(_ context.Context, req *mlsclient.StateAuthRequest) (*mlsclient.StateAuthResponse, error) {
	m, err := find[*member](&s.kept, req.GetStateId())
	if err != nil {
		return nil, err
	}
	return &mlsclient.StateAuthResponse{StateAuthSecret: m.group.EpochAuthenticator()}, nil
}

func (s *server) Export(_ context.Context, req *mlsclient.ExportRequest) (*mlsclient.ExportResponse, error) {
	m, err := find[*member](&s.kept, req.GetStateId())
	if err != nil {
		return nil, err
	}
	if req.GetKeyLength() > math.MaxUint16 {
		return nil, fmt.Errorf("%w: a secret of %d bytes", errRequest, req.GetKeyLength())
	}
	exported, err := m.group.Export(req.GetLabel(), req.GetContext(), int(req.GetKeyLength()))
	if err != nil {
		return nil, err
	}
	return &mlsclient.ExportResponse{ExportedSecret: exported}, nil
}

func (s *server) Protect(_ context.Context, req *mlsclient.ProtectRequest) (*mlsclient.ProtectResponse, error) {
	m, err := find[*member](&s.kept, req.GetStateId())
	if err != nil {
		return nil, err
	}
	message, err := m.group.Encrypt(req.GetPlaintext(), req.GetAuthenticatedData())
	if err != nil {
		return nil, err
	}
	return &mlsclient.ProtectResponse{Ciphertext: message}, nil
}

func (s *server) Unprotect(_ context.Context, req *mlsclient.UnprotectRequest) (*mlsclient.UnprotectResponse, error) {
	m, err := find[*member](&s.kept, req.GetStateId())
	if err != nil {
		return nil, err
	}
	received, err := m.group.Process(req.GetCiphertext())
	if err != nil {
		return nil, err
	}
	message, ok := received.(*mls.ApplicationMessage)
	if !ok {
		return nil, fmt.Errorf("%w: %T where an application message is due", errRequest, received)
	}
	return &mlsclient.UnprotectResponse{AuthenticatedData: message.AAD, Plaintext: message.Data}, nil
}
