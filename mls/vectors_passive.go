package mls

import (
	"bytes"
	"errors"
	"fmt"
)

// passiveVector is a recorded group of another implementation, which a client joins and
// follows.
type passiveVector struct {
	ExternalPSKs []struct {
		ID  hexBytes `json:"psk_id"`
		PSK hexBytes
	} `json:"external_psks"`
	KeyPackage     hexBytes `json:"key_package"`
	SignaturePriv  hexBytes `json:"signature_priv"`
	EncryptionPriv hexBytes `json:"encryption_priv"`
	InitPriv       hexBytes `json:"init_priv"`
	Welcome        hexBytes
	RatchetTree    *hexBytes `json:"ratchet_tree"`
	Authenticator  hexBytes  `json:"initial_epoch_authenticator"`
	Epochs         []struct {
		Proposals     []hexBytes
		Commit        hexBytes
		Authenticator hexBytes `json:"epoch_authenticator"`
	}
}

func checkPassive(s *suite, v *passiveVector) error {
	secrets, err := v.secrets(s)
	if err != nil {
		return err
	}
	// An empty, non-nil tree would be one; nil means that the Welcome holds it.
	var tree []byte
	if v.RatchetTree != nil {
		tree = *v.RatchetTree
	}
	g, err := Join(v.Welcome, secrets, JoinParams{Tree: tree, Application: Application{PSKs: v, KeepEpochs: len(v.Epochs)}})
	if err != nil {
		return err
	}
	if err := expect("initial epoch authenticator", g.EpochAuthenticator(), v.Authenticator); err != nil {
		return err
	}
	for i := range v.Epochs {
		if err := v.followEpoch(g, i); err != nil {
			return fmt.Errorf("epoch %d: %w", i, err)
		}
	}
	return nil
}

func (v *passiveVector) secrets(s *suite) (*KeyPackageSecrets, error) {
	m, err := parse(v.KeyPackage, readMessage)
	if err != nil {
		return nil, err
	}
	if m.keyPackage == nil {
		return nil, errors.New("key_package is none")
	}
	secrets := &KeyPackageSecrets{kp: m.keyPackage}
	if secrets.initKey, err = s.parseHPKE(s.vectorKey(v.InitPriv)); err != nil {
		return nil, err
	}
	if secrets.leafKey, err = s.parseHPKE(s.vectorKey(v.EncryptionPriv)); err != nil {
		return nil, err
	}
	if secrets.signatureKey, err = s.id.ParseSignatureKey(s.vectorKey(v.SignaturePriv)); err != nil {
		return nil, err
	}
	return secrets, firstError(
		expect("init key", secrets.initKey.pub, m.keyPackage.initKey),
		expect("encryption key", secrets.leafKey.pub, m.keyPackage.leaf.encryptionKey),
		expect("signature key", secrets.signatureKey.pub, m.keyPackage.leaf.signatureKey),
	)
}

// PSK makes the vector a [PSKSource] of external keys: the group finds those of its own epochs.
func (v *passiveVector) PSK(id PSKID) ([]byte, error) {
	for _, p := range v.ExternalPSKs {
		if bytes.Equal(p.ID, id.External) {
			return p.PSK, nil
		}
	}
	return nil, errors.New("no such pre-shared key in the vector")
}

// followEpoch takes the epoch's proposals and its commit. The recorded groups hold more
// proposals than our own bound on the queue allows, so it is emptied in between.
func (v *passiveVector) followEpoch(g *Group, i int) error {
	e := v.Epochs[i]
	var queue []*queuedProposal
	for _, p := range e.Proposals {
		if _, err := g.Process(p); err != nil {
			return err
		}
		queue, g.queue = append(queue, g.queue...), nil
	}
	g.queue = queue
	received, err := g.Process(e.Commit)
	if err != nil {
		return err
	}
	c, ok := received.(*StagedCommit)
	if !ok || c.SelfRemoved() {
		return fmt.Errorf("commit came out as %T", received)
	}
	if err := g.Merge(c); err != nil {
		return err
	}
	return expect("epoch authenticator", g.EpochAuthenticator(), e.Authenticator)
}
