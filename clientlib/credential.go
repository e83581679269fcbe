package clientlib

import (
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
)

// ErrBadCredential is the reason why a leaf, a KeyPackage or a commit is refused whose
// credential its device never signed.
var ErrBadCredential = errors.New("clientlib: credential is not signed by its device")

var (
	_ mls.CommitValidator   = validator{}
	_ mls.ProposalValidator = validator{}
)

// validator checks a leaf's credential at the seven events of RFC 9420 section 5.3.1, in
// the sense of which commit counts: the device's signature only. It comes out alike for all
// members, because clock, account chain and directory have no part in it; those are checked
// before one proposes, commits or joins.
type validator struct{}

// application is what every group of a client is given.
var application = mls.Application{Credentials: validator{}}

func (validator) ValidateCredential(c mls.CredentialCheck) error {
	cred, err := parseCredential(c.Credential)
	if err != nil {
		return err
	}
	if err := cred.Verify(c.SignatureKey, uint16(c.Suite)); err != nil {
		return fmt.Errorf("%w: %w", ErrBadCredential, err)
	}
	if c.Predecessor == nil {
		return nil
	}
	// An update keeps the leaf's owner: another device would be a new member that nobody added.
	old, err := parseCredential(*c.Predecessor)
	if err != nil {
		return err
	}
	if old.Account != cred.Account || old.Device != cred.Device {
		return fmt.Errorf("%w: update changes the device of a leaf", ErrBadCredential)
	}
	return nil
}

// ValidateProposal refuses what somebody outside proposes: nobody outside has a say in a group.
func (validator) ValidateProposal(_ *mls.PublicView, p *mls.QueuedProposal) error {
	if p.External != nil {
		return fmt.Errorf("%w: proposing from outside", ErrNotAllowed)
	}
	return nil
}

// ValidateCommit asks the group's policy, as it stands before the commit. No policy allows
// pre-shared keys: a member could name one that nobody has, and so lock others out with a
// commit that counts. Nor does any allow what closes the group, or let somebody in who was not
// added: whoever has got hold of a GroupInfo could come in, or push a member out in whose name
// it signs.
func (validator) ValidateCommit(c mls.CommitCheck) error {
	if c.External {
		return fmt.Errorf("%w: joining without having been added", ErrNotAllowed)
	}
	if len(c.PSKs) > 0 {
		return fmt.Errorf("%w: pre-shared keys", ErrNotAllowed)
	}
	if c.ReInit != nil {
		return fmt.Errorf("%w: closing the group", ErrNotAllowed)
	}
	p, err := policyOf(c.Before)
	if err != nil {
		return err
	}
	by, err := parseCredential(c.Sender.Credential)
	if err != nil {
		return err
	}
	// Whoever answers a knock changes nobody's company: the rest of the commit is judged without it.
	_, adds, removes := replacements(p.Queue, c.Adds, c.Removes)
	var lists [3][]*keyserver.Credential
	for i, members := range [][]mls.Member{c.Before.Members(), adds, removes} {
		for _, m := range members {
			cred, err := parseCredential(m.Credential)
			if err != nil {
				return err
			}
			lists[i] = append(lists[i], cred)
		}
	}
	return p.judge(by, lists[0], lists[1], lists[2], c.ExtensionsChanged)
}

func parseCredential(c mls.Credential) (*keyserver.Credential, error) {
	if c.Type != mls.CredentialBasic {
		return nil, fmt.Errorf("%w: not a basic credential", ErrBadCredential)
	}
	cred, err := keyserver.ParseCredential(c.Identity)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCredential, err)
	}
	return cred, nil
}
