package clientlib

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// Extension types of Sealpost, from the private range of RFC 9420 section 17.
const (
	extensionContact mls.ExtensionType = 0xf5e1 // in a KeyPackage: how to reach the device
	extensionPolicy  mls.ExtensionType = 0xf5e2 // in the GroupContext: where the group lives, who may do what
	extensionMark    mls.ExtensionType = 0xf5e3 // in a leaf: for which knock its KeyPackage was made

	extensionSuccessor mls.ExtensionType = 0xf5e4 // in the GroupContext: which group this one succeeds
)

// Limits of a policy.
const (
	maxName   = 256  // bytes of a conversation's name: it is in every joiner's GroupContext
	maxAdmins = 16   // as many admin keys as a queue takes
	maxURI    = 1024 // bytes of an address
)

var errBadPolicy = errors.New("clientlib: group carries no usable policy")

// ConversationKind tells a conversation of two from a group. The numbers are the wire's.
type ConversationKind uint8

// Kinds of conversation.
const (
	Direct ConversationKind = 1
	Group  ConversationKind = 2
)

const policyVersion = 1

// policy is the GroupContext extension that every member agrees on (DESIGN section 4).
// In a conversation of two both are admins, whatever the list says.
type policy struct {
	Kind      ConversationKind
	Relay     string
	Queue     relay.QueueID
	KeyServer string
	Name      string
	AnyoneAdd bool
	Retention uint16 // days
	Admins    []keyserver.AccountID
	Keeper    *keeper // of a group's queue; nil in a conversation of two, where both have admin keys
}

func (p *policy) MarshalWire(w *wire.Writer) {
	w.Uint8(policyVersion)
	w.Uint8(uint8(p.Kind))
	w.Bytes([]byte(p.Relay))
	w.Raw(p.Queue[:])
	w.Bytes([]byte(p.KeyServer))
	w.Bytes([]byte(p.Name))
	w.Bool(p.AnyoneAdd)
	w.Uint16(p.Retention)
	wire.WriteVector(w, p.Admins, func(w *wire.Writer, a keyserver.AccountID) { w.Raw(a[:]) })
	wire.WriteOptional(w, p.Keeper, func(w *wire.Writer, k keeper) { k.MarshalWire(w) })
}

func (p *policy) UnmarshalWire(r *wire.Reader) {
	if r.Uint8() != policyVersion {
		r.Fail(errBadPolicy)
	}
	p.Kind = ConversationKind(r.Uint8())
	p.Relay = string(r.Bytes())
	r.Copy(p.Queue[:])
	p.KeyServer = string(r.Bytes())
	p.Name = string(r.Bytes())
	p.AnyoneAdd = r.Bool()
	p.Retention = r.Uint16()
	p.Admins = wire.Vector(r, func(r *wire.Reader) (a keyserver.AccountID) {
		r.Copy(a[:])
		return a
	})
	p.Keeper = wire.Optional(r, func(r *wire.Reader) (k keeper) { k.UnmarshalWire(r); return k })
	if p.Kind != Direct && p.Kind != Group || len(p.Name) > maxName || len(p.Admins) > maxAdmins ||
		len(p.Relay) > maxURI || len(p.KeyServer) > maxURI || !utf8.ValidString(p.Name+p.Relay+p.KeyServer) {
		r.Fail(errBadPolicy)
	}
}

// policyOf reads the policy of a group, or of the epoch that a commit leads to.
func policyOf(g interface {
	GroupContextExtension(mls.ExtensionType) ([]byte, bool)
}) (*policy, error) {
	data, ok := g.GroupContextExtension(extensionPolicy)
	if !ok {
		return nil, errBadPolicy
	}
	p := new(policy)
	if err := wire.Unmarshal(data, p); err != nil {
		return nil, errBadPolicy
	}
	return p, nil
}

// isAdmin reports whether an account may do what only admins may.
func (p *policy) isAdmin(a keyserver.AccountID) bool {
	return p.Kind == Direct || slices.Contains(p.Admins, a)
}

// judge asks whether a commit of by, in a group of members, may do what it does. It is one of
// the public checks: the same for all members, from nothing but the group and the commit.
func (p *policy) judge(by *keyserver.Credential, members, adds, removes []*keyserver.Credential, moves bool) error {
	if moves {
		// The GroupContext names relay and queue: a commit that changes it would lead members
		// apart, so no version of the policy allows it yet.
		return fmt.Errorf("%w: changing the policy", ErrNotAllowed)
	}
	for _, c := range removes {
		if c.Account != by.Account && !p.isAdmin(by.Account) {
			return fmt.Errorf("%w: removing a member", ErrNotAllowed)
		}
	}
	alone := !slices.ContainsFunc(members, func(c *keyserver.Credential) bool { return c.Account != by.Account })
	present := map[keyserver.AccountID]bool{}
	gone := map[keyserver.DeviceID]bool{}
	for _, c := range removes {
		gone[c.Device] = true
	}
	for _, c := range members {
		if !gone[c.Device] {
			present[c.Account] = true
		}
	}
	for _, c := range adds {
		if alone {
			break
		}
		if err := p.judgeAdd(by, c, present); err != nil {
			return err
		}
	}
	return p.judgeCompany(by, members, adds)
}

// judgeAdd asks about one added device. A device of an account that is a member, or an admin,
// would act with that account's rights, and who adds it chooses its keys: so nobody but the
// account itself adds to a member, and only admins add an admin. It is not asked of who is alone in
// the group: so begins a successor who is no admin, and a device that it made up would be found by
// everybody who looks up the others before it joins.
func (p *policy) judgeAdd(by, c *keyserver.Credential, present map[keyserver.AccountID]bool) error {
	switch {
	case c.Account == by.Account:
		return nil
	case present[c.Account]:
		return fmt.Errorf("%w: adding a device to another member", ErrNotAllowed)
	case !p.isAdmin(by.Account) && p.isAdmin(c.Account), !p.AnyoneAdd && !p.isAdmin(by.Account):
		return fmt.Errorf("%w: adding a member", ErrNotAllowed)
	}
	return nil
}

// judgeCompany keeps a conversation of two one of two.
func (p *policy) judgeCompany(by *keyserver.Credential, members, adds []*keyserver.Credential) error {
	if p.Kind != Direct {
		return nil
	}
	accounts := map[keyserver.AccountID]bool{by.Account: true}
	for _, c := range slices.Concat(members, adds) {
		accounts[c.Account] = true
	}
	if len(accounts) > 2 {
		return fmt.Errorf("%w: a third in a conversation of two", ErrNotAllowed)
	}
	return nil
}
