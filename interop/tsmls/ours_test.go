package tsmls

import (
	"errors"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// ours is a member on package mls.
type ours struct {
	identity
	suite   mls.Suite
	now     time.Time
	judge   mls.CredentialValidator
	psks    map[string][]byte
	secrets *mls.KeyPackageSecrets
	group   *mls.Group
	staged  *mls.StagedCommit
}

func newOurs(id identity, suite mls.Suite, now time.Time, judge mls.CredentialValidator) (*ours, error) {
	if id.key == nil {
		key, err := suite.GenerateSignatureKey()
		if err != nil {
			return nil, err
		}
		id.key = &key
	}
	return &ours{identity: id, suite: suite, now: now, judge: judge, psks: map[string][]byte{}}, nil
}

// PSK makes a member the source of his external keys, and of the resumption secrets of epochs
// that are over.
func (o *ours) PSK(id mls.PSKID) ([]byte, error) {
	secret, ok := o.psks[pskName(id)]
	if !ok {
		return nil, errors.New("no such pre-shared key")
	}
	return secret, nil
}

func pskName(id mls.PSKID) string {
	if r := id.Resumption; r != nil {
		return fmt.Sprintf("epoch %d of %x", r.Epoch, r.GroupID)
	}
	return fmt.Sprintf("external %x", id.External)
}

func (o *ours) know(id mls.PSKID, secret []byte) error {
	o.psks[pskName(id)] = secret
	return nil
}

// advance merges a commit and keeps the resumption secret of the epoch that it ends.
func (o *ours) advance(c *mls.StagedCommit) error {
	id, secret := o.group.View().ResumptionPSK()
	o.psks[pskName(id)] = secret
	return o.group.Merge(c)
}

func (o *ours) application() mls.Application {
	return mls.Application{Credentials: o.judge, PSKs: o, KeepEpochs: pastEpochs}
}

func (o *ours) keyPackage() ([]byte, error) {
	notBefore, notAfter := lifetime(o.now)
	kp, secrets, err := mls.NewKeyPackage(mls.KeyPackageConfig{
		Suite: o.suite, Credential: o.credential, SignatureKey: *o.key, NotBefore: notBefore, NotAfter: notAfter,
		SupportedExtensions: []mls.ExtensionType{understood},
	})
	if err != nil {
		return nil, err
	}
	o.secrets = secrets
	return kp.Bytes(), nil
}

func (o *ours) found(group []byte, extensions []mls.Extension) error {
	var err error
	o.group, err = mls.NewGroup(mls.GroupConfig{
		Suite: o.suite, GroupID: group, Credential: o.credential, SignatureKey: *o.key, Application: o.application(),
		Extensions: extensions, SupportedExtensions: []mls.ExtensionType{understood}, Now: o.now,
	})
	return err
}

func (o *ours) join(welcome, tree []byte, parent member) error {
	p := mls.JoinParams{Tree: tree, Application: o.application(), Now: o.now}
	if parent != nil {
		p.Parent = parent.(*ours).group
	}
	var err error
	o.group, err = mls.Join(welcome, o.secrets, p)
	return err
}

func (o *ours) grow(parent member, usage string, begin mls.ReInit, packages [][]byte) (committed, error) {
	cfg := mls.SuccessorConfig{SignatureKey: *o.key, SupportedExtensions: []mls.ExtensionType{understood}, Now: o.now}
	for _, b := range packages {
		kp, err := mls.ParseKeyPackage(b)
		if err != nil {
			return committed{}, err
		}
		cfg.KeyPackages = append(cfg.KeyPackages, kp)
	}
	old := parent.(*ours).group
	var welcomes []mls.Welcome
	var err error
	if usage == successor {
		o.group, welcomes, err = old.Successor(cfg)
	} else {
		o.group, welcomes, err = old.Branch(begin.GroupID, begin.Extensions, cfg)
	}
	return committed{welcomes: byReference(welcomes)}, err
}

func byReference(welcomes []mls.Welcome) map[string][]byte {
	out := map[string][]byte{}
	for _, w := range welcomes {
		out[string(w.KeyPackageRef)] = w.Message
	}
	return out
}

func (o *ours) propose(what change, how manner) ([]byte, error) {
	p := mls.ProposalParams{
		Update: what.update, Remove: what.remove, Extensions: what.extensions, PSK: what.psk, ReInit: what.reInit,
		Public: how.public, AAD: how.aad, Now: o.now,
	}
	if what.add != nil {
		kp, err := mls.ParseKeyPackage(what.add)
		if err != nil {
			return nil, err
		}
		p.Add = kp
	}
	msg, err := o.group.Propose(p)
	if err != nil {
		return nil, err
	}
	_, err = o.group.Process(msg) // an own proposal counts once it has come back
	return msg, err
}

func (o *ours) commit(what []change, how manner) (committed, error) {
	p := mls.CommitParams{
		IncludePending: true, Path: how.path, Public: how.public, TreeInWelcome: how.treeInside, AAD: how.aad, Now: o.now,
	}
	for _, c := range what {
		switch {
		case c.add != nil:
			kp, err := mls.ParseKeyPackage(c.add)
			if err != nil {
				return committed{}, err
			}
			p.Add = append(p.Add, kp)
		case c.remove != nil:
			p.Remove = append(p.Remove, *c.remove)
		case c.extensions != nil:
			p.Extensions = c.extensions
		case c.psk != nil:
			p.PSKs = append(p.PSKs, *c.psk)
		case c.reInit != nil:
			p.ReInit = c.reInit
		}
	}
	staged, err := o.group.Commit(p)
	if err != nil {
		return committed{}, err
	}
	o.staged = staged
	return committed{message: staged.Message(), welcomes: byReference(staged.Welcomes())}, nil
}

func (o *ours) merge() error { return o.advance(o.staged) }

func (o *ours) process(message []byte) (received, error) {
	r, err := o.group.Process(message)
	if err != nil {
		return received{}, err
	}
	switch r := r.(type) {
	case *mls.ApplicationMessage:
		return received{kind: "application", data: r.Data, aad: r.AAD}, nil
	case *mls.QueuedProposal:
		return received{kind: "proposal", aad: r.AAD}, nil
	case *mls.StagedCommit:
		out := received{kind: "commit", aad: r.AAD(), removed: r.SelfRemoved()}
		return out, o.advance(r)
	}
	return received{}, fmt.Errorf("a message of another kind: %T", r)
}

func (o *ours) encrypt(data, aad []byte) ([]byte, error) { return o.group.Encrypt(data, aad) }

func (o *ours) view() (view, error) {
	exported, err := o.group.Export(exportLabel, exportContext, exportLength)
	return view{
		Epoch: o.group.Epoch(), Leaf: o.group.OwnLeaf(), Authenticator: o.group.EpochAuthenticator(), Exported: exported,
		TreeHash: o.group.TreeHash(), Tree: o.group.RatchetTree(), Extensions: extensions(o.group.Extensions()),
	}, err
}
