package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
	"github.com/sealpost/sealpost/mls"
)

// signer makes external proposals.
type signer struct{ key mls.SignaturePrivateKey }

func (*signer) noun() string { return "signer" }

func (s *server) ExternalJoin(_ context.Context, req *mlsclient.ExternalJoinRequest) (*mlsclient.ExternalJoinResponse, error) {
	keys := new(keyring)
	p := mls.ExternalParams{
		Tree: treeOf(req.GetRatchetTree()), Application: application(keys), Now: now(), Credential: basic(req.GetIdentity()),
	}
	group, err := mls.NewPublicGroup(req.GetGroupInfo(), p.Tree, p.Application)
	if err != nil {
		return nil, err
	}
	if p.SignatureKey, err = group.View().Suite().GenerateSignatureKey(); err != nil {
		return nil, err
	}
	if req.GetRemovePrior() {
		prior, err := leafOf(group.View().Members(), req.GetIdentity())
		if err != nil {
			return nil, err
		}
		p.Remove = &prior
	}
	for _, psk := range req.GetPsks() {
		if err := keys.add(psk.GetPskId(), psk.GetPskSecret()); err != nil {
			return nil, err
		}
		p.PSKs = append(p.PSKs, externalID(psk.GetPskId()))
	}
	g, commit, err := mls.JoinExternal(req.GetGroupInfo(), p)
	if err != nil {
		return nil, err
	}
	id, authenticator := s.enter(&member{group: g, public: !req.GetEncryptHandshake(), identity: req.GetIdentity(), keys: keys})
	return &mlsclient.ExternalJoinResponse{StateId: id, Commit: commit, EpochAuthenticator: authenticator}, nil
}

func (s *server) NewMemberAddProposal(_ context.Context, req *mlsclient.NewMemberAddProposalRequest) (*mlsclient.NewMemberAddProposalResponse, error) {
	group, err := mls.NewPublicGroup(req.GetGroupInfo(), nil, application(new(keyring)))
	if err != nil {
		return nil, err
	}
	j, err := newJoiner(group.View().Suite(), req.GetIdentity())
	if err != nil {
		return nil, err
	}
	proposal, err := group.Propose(j.signatureKey, mls.ProposalParams{Add: j.secrets.KeyPackage(), Now: now()})
	if err != nil {
		return nil, err
	}
	initPriv, encryptionPriv, signaturePriv, err := j.secrets.PrivateKeys()
	if err != nil {
		return nil, err
	}
	return &mlsclient.NewMemberAddProposalResponse{
		TransactionId: s.kept.put(j), Proposal: proposal,
		InitPriv: initPriv, EncryptionPriv: encryptionPriv, SignaturePriv: signaturePriv,
	}, nil
}

func (s *server) CreateExternalSigner(_ context.Context, req *mlsclient.CreateExternalSignerRequest) (*mlsclient.CreateExternalSignerResponse, error) {
	suite, err := suiteOf(req.GetCipherSuite())
	if err != nil {
		return nil, err
	}
	key, err := suite.GenerateSignatureKey()
	if err != nil {
		return nil, err
	}
	list := mls.EncodeExternalSenders([]mls.ExternalSender{{SignatureKey: key.Public(), Credential: basic(req.GetIdentity())}})
	sender, err := vectorContent(list)
	if err != nil {
		return nil, err
	}
	return &mlsclient.CreateExternalSignerResponse{SignerId: s.kept.put(&signer{key}), ExternalSender: sender}, nil
}

// AddExternalSigner proposes to let one more signer propose.
func (s *server) AddExternalSigner(_ context.Context, req *mlsclient.AddExternalSignerRequest) (*mlsclient.ProposalResponse, error) {
	m, err := find[*member](&s.kept, req.GetStateId())
	if err != nil {
		return nil, err
	}
	var senders []byte
	extensions := []mls.Extension{}
	for _, e := range m.group.Extensions() {
		if e.Type != mls.ExtensionExternalSenders {
			extensions = append(extensions, e)
		} else if senders, err = vectorContent(e.Data); err != nil {
			return nil, err
		}
	}
	extensions = append(extensions, mls.Extension{
		Type: mls.ExtensionExternalSenders, Data: vector(append(senders, req.GetExternalSender()...)),
	})
	return m.propose(mls.ProposalParams{Extensions: &extensions})
}

func (s *server) ExternalSignerProposal(_ context.Context, req *mlsclient.ExternalSignerProposalRequest) (*mlsclient.ProposalResponse, error) {
	found, err := find[*signer](&s.kept, req.GetSignerId())
	if err != nil {
		return nil, err
	}
	group, err := mls.NewPublicGroup(req.GetGroupInfo(), treeOf(req.GetRatchetTree()), application(new(keyring)))
	if err != nil {
		return nil, err
	}
	p, err := describe(req.GetDescription(), group.View())
	if err != nil {
		return nil, err
	}
	proposal, err := group.Propose(found.key, p)
	if err != nil {
		return nil, err
	}
	return &mlsclient.ProposalResponse{Proposal: proposal}, nil
}

// vector puts the length of a vector before its content (RFC 9420 section 2.1.2).
func vector(content []byte) []byte {
	switch n := len(content); {
	case n < 1<<6:
		return append([]byte{byte(n)}, content...)
	case n < 1<<14:
		return append([]byte{1<<6 | byte(n>>8), byte(n)}, content...)
	default: // no call brings more than maxCall
		return append([]byte{2<<6 | byte(n>>24), byte(n >> 16), byte(n >> 8), byte(n)}, content...)
	}
}

var errVector = errors.New("no vector")

// vectorContent is the inverse of vector.
func vectorContent(b []byte) ([]byte, error) {
	for _, header := range []int{1, 2, 4} {
		if len(b) >= header && string(vector(b[header:])) == string(b) {
			return b[header:], nil
		}
	}
	return nil, fmt.Errorf("%w: %d bytes", errVector, len(b))
}
