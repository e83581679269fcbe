package main

import (
	"bytes"
	"fmt"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
	"github.com/sealpost/sealpost/mls"
)

// member is a state: one member of one group. Its id stays the same from epoch to epoch.
type member struct {
	group    *mls.Group
	pending  *mls.StagedCommit // own commit that the runner has not confirmed
	public   bool              // handshake messages as PublicMessage
	identity []byte
	keys     *keyring
}

// joiner is a transaction: a KeyPackage that waits for a Welcome.
type joiner struct {
	secrets      *mls.KeyPackageSecrets
	signatureKey mls.SignaturePrivateKey // of the KeyPackage
	identity     []byte
	keys         *keyring
}

func (*member) noun() string { return "state" }
func (*joiner) noun() string { return "transaction" }

func basic(identity []byte) mls.Credential {
	return mls.Credential{Type: mls.CredentialBasic, Identity: identity}
}

// application is what every group here is given. Packages of other implementations may live
// longer than ours do.
func application(keys *keyring) mls.Application {
	return mls.Application{PSKs: keys, KeepEpochs: keepEpochs, MaxLifetime: -1}
}

// enter begins a state in the group's present epoch.
func (s *server) enter(m *member) (id uint32, authenticator []byte) {
	m.keys.remember(m.group.View())
	return s.kept.put(m), m.group.EpochAuthenticator()
}

// leafOf finds the member of an identity.
func leafOf(members []mls.Member, identity []byte) (mls.LeafIndex, error) {
	for _, m := range members {
		if m.Credential.Type == mls.CredentialBasic && bytes.Equal(m.Credential.Identity, identity) {
			return m.Leaf, nil
		}
	}
	return 0, fmt.Errorf("%w: no member of that identity", errRequest)
}

func extensionsOf(list []*mlsclient.Extension) ([]mls.Extension, error) {
	out := []mls.Extension{}
	for _, e := range list {
		if e.GetExtensionType() > 0xffff {
			return nil, fmt.Errorf("%w: extension type %d", errRequest, e.GetExtensionType())
		}
		out = append(out, mls.Extension{Type: mls.ExtensionType(e.GetExtensionType()), Data: e.GetExtensionData()})
	}
	return out, nil
}
