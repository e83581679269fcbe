package tsmls

import (
	"fmt"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// ours is a member on package mls.
type ours struct {
	name    string
	suite   mls.Suite
	key     mls.SignaturePrivateKey
	now     time.Time
	secrets *mls.KeyPackageSecrets
	group   *mls.Group
	staged  *mls.StagedCommit
}

func newOurs(name string, suite mls.Suite, now time.Time) (*ours, error) {
	key, err := suite.GenerateSignatureKey()
	return &ours{name: name, suite: suite, key: key, now: now}, err
}

func (o *ours) keyPackage() ([]byte, error) {
	notBefore, notAfter := lifetime(o.now)
	kp, secrets, err := mls.NewKeyPackage(mls.KeyPackageConfig{
		Suite: o.suite, Credential: basic(o.name), SignatureKey: o.key, NotBefore: notBefore, NotAfter: notAfter,
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
		Suite: o.suite, GroupID: group, Credential: basic(o.name), SignatureKey: o.key,
		Extensions: extensions, SupportedExtensions: []mls.ExtensionType{understood}, Now: o.now,
	})
	return err
}

func (o *ours) join(welcome, tree []byte) error {
	var err error
	o.group, err = mls.Join(welcome, o.secrets, mls.JoinParams{Tree: tree, Now: o.now})
	return err
}

func (o *ours) propose(what change, how manner) ([]byte, error) {
	p := mls.ProposalParams{Update: what.update, Remove: what.remove, Extensions: what.extensions, AAD: how.aad, Now: o.now}
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
	p := mls.CommitParams{IncludePending: true, Path: how.path, AAD: how.aad, Now: o.now}
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
		}
	}
	staged, err := o.group.Commit(p)
	if err != nil {
		return committed{}, err
	}
	o.staged = staged
	out := committed{message: staged.Message(), welcomes: map[string][]byte{}}
	for _, w := range staged.Welcomes() {
		out.welcomes[string(w.KeyPackageRef)] = w.Message
	}
	return out, nil
}

func (o *ours) merge() error { return o.group.Merge(o.staged) }

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
		return out, o.group.Merge(r)
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
