package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
	"github.com/sealpost/sealpost/mls"
)

func (s *server) CreateGroup(_ context.Context, req *mlsclient.CreateGroupRequest) (*mlsclient.CreateGroupResponse, error) {
	suite, err := suiteOf(req.GetCipherSuite())
	if err != nil {
		return nil, err
	}
	key, err := suite.GenerateSignatureKey()
	if err != nil {
		return nil, err
	}
	keys := new(keyring)
	g, err := mls.NewGroup(mls.GroupConfig{
		Suite: suite, GroupID: req.GetGroupId(), Credential: basic(req.GetIdentity()), SignatureKey: key,
		Application: application(keys), Now: now(),
	})
	if err != nil {
		return nil, err
	}
	id, _ := s.enter(&member{group: g, public: !req.GetEncryptHandshake(), identity: req.GetIdentity(), keys: keys})
	return &mlsclient.CreateGroupResponse{StateId: id}, nil
}

func (s *server) CreateKeyPackage(_ context.Context, req *mlsclient.CreateKeyPackageRequest) (*mlsclient.CreateKeyPackageResponse, error) {
	suite, err := suiteOf(req.GetCipherSuite())
	if err != nil {
		return nil, err
	}
	j, err := newJoiner(suite, req.GetIdentity())
	if err != nil {
		return nil, err
	}
	initPriv, encryptionPriv, signaturePriv, err := j.secrets.PrivateKeys()
	if err != nil {
		return nil, err
	}
	return &mlsclient.CreateKeyPackageResponse{
		TransactionId: s.kept.put(j), KeyPackage: wrapKeyPackage(j.secrets.KeyPackage()),
		InitPriv: initPriv, EncryptionPriv: encryptionPriv, SignaturePriv: signaturePriv,
	}, nil
}

// newJoiner makes a KeyPackage for a suite and an identity.
func newJoiner(suite mls.Suite, identity []byte) (*joiner, error) {
	key, err := suite.GenerateSignatureKey()
	if err != nil {
		return nil, err
	}
	_, secrets, err := mls.NewKeyPackage(mls.KeyPackageConfig{
		Suite: suite, Credential: basic(identity), SignatureKey: key,
		NotBefore: now().Add(-time.Hour), NotAfter: now().Add(24 * time.Hour),
	})
	return &joiner{secrets: secrets, signatureKey: key, identity: identity, keys: new(keyring)}, err
}

func (s *server) JoinGroup(_ context.Context, req *mlsclient.JoinGroupRequest) (*mlsclient.JoinGroupResponse, error) {
	j, err := find[*joiner](&s.kept, req.GetTransactionId())
	if err != nil {
		return nil, err
	}
	id, authenticator, err := s.join(j, req.GetWelcome(), req.GetRatchetTree(), &member{public: !req.GetEncryptHandshake()})
	if err != nil {
		return nil, err
	}
	s.kept.drop(req.GetTransactionId()) // the KeyPackage is used up
	return &mlsclient.JoinGroupResponse{StateId: id, EpochAuthenticator: authenticator}, nil
}

// join begins a state with a Welcome. The group of the member that the new one grows out of
// may be nil.
func (s *server) join(j *joiner, welcome, tree []byte, from *member) (id uint32, authenticator []byte, err error) {
	g, err := mls.Join(welcome, j.secrets, mls.JoinParams{
		Tree: treeOf(tree), Application: application(j.keys), Parent: from.group, Now: now(),
	})
	if err != nil {
		return 0, nil, err
	}
	id, authenticator = s.enter(&member{group: g, public: from.public, identity: j.identity, keys: j.keys})
	return id, authenticator, nil
}

// treeOf is a tree that travels apart, nil if none does.
func treeOf(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// keyPackageHeader is the beginning of an MLSMessage with a KeyPackage (RFC 9420 section 6):
// protocol version mls10, wire format mls_key_package.
var keyPackageHeader = []byte{0, 1, 0, 5}

func wrapKeyPackage(kp *mls.KeyPackage) []byte {
	return append(bytes.Clone(keyPackageHeader), kp.Bytes()...)
}

func unwrapKeyPackage(message []byte) (*mls.KeyPackage, error) {
	b, ok := bytes.CutPrefix(message, keyPackageHeader)
	if !ok {
		return nil, fmt.Errorf("%w: no MLSMessage with a KeyPackage", errRequest)
	}
	return mls.ParseKeyPackage(b)
}
