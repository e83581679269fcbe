package keyserver

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// CheckedPackage is a KeyPackage that [CheckPackage] accepted.
type CheckedPackage struct {
	*mls.KeyPackage
	// Expires is the earlier of the package's own end and its credential's.
	Expires time.Time
}

// CheckPackage tells whether b is a KeyPackage by which device of account can be added to a
// group at the time now. The server asks it of uploads, a client of what a server gave it:
// the two must not differ, or a server could be talked into storing what no client takes.
//
// Beside all of RFC 9420 section 10.1 it demands a basic credential that the device signed
// for this leaf, that device is in the account's chain and states the package's suite there
// ([ErrPackage]), and that package and credential are in force now, and end within
// [MaxLifetime] ([ErrExpired]).
func CheckPackage(b []byte, account *Account, device DeviceID, now time.Time) (*CheckedPackage, error) {
	if len(b) > MaxPackage {
		return nil, fmt.Errorf("key package of %d bytes, at most %d: %w", len(b), MaxPackage, ErrTooLarge)
	}
	if !account.Has(device) {
		return nil, fmt.Errorf("device is not in the account's chain: %w", ErrPackage)
	}
	kp, err := mls.ParseKeyPackage(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPackage, err)
	}
	if !slices.Contains(account.Suites(device), kp.Suite()) {
		return nil, fmt.Errorf("device does not state %v in the account's chain: %w", kp.Suite(), ErrPackage)
	}
	owner := &ownerCheck{account: account.ID, device: device}
	switch err := kp.Verify(now, owner); {
	case errors.Is(err, mls.ErrExpired):
		return nil, fmt.Errorf("%w: %w", ErrExpired, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrPackage, err)
	case owner.credential == nil:
		return nil, fmt.Errorf("credential was not checked: %w", ErrPackage)
	case owner.credential.Expired(now):
		return nil, fmt.Errorf("credential: %w", ErrExpired)
	}
	p := &CheckedPackage{KeyPackage: kp, Expires: kp.Lifetime().NotAfter}
	// A longer span would outlive the 28 days by being dated into the future.
	if p.Expires.After(now.Add(MaxLifetime + MaxSkew)) {
		return nil, fmt.Errorf("key package ends more than %s from now: %w", MaxLifetime, ErrExpired)
	}
	if end := owner.credential.NotAfter; end < uint64(p.Expires.Unix()) {
		p.Expires = time.Unix(int64(end), 0).UTC()
	}
	return p, nil
}

// ownerCheck accepts one device of one account, and keeps the credential that it accepted.
type ownerCheck struct {
	account    AccountID
	device     DeviceID
	credential *Credential
}

// ValidateCredential implements [mls.CredentialValidator].
func (o *ownerCheck) ValidateCredential(check mls.CredentialCheck) error {
	if check.Credential.Type != mls.CredentialBasic {
		return fmt.Errorf("credential of type %d: %w", check.Credential.Type, ErrCredential)
	}
	c, err := ParseCredential(check.Credential.Identity)
	if err != nil {
		return err
	}
	if c.Account != o.account || c.Device != o.device {
		return fmt.Errorf("credential of another account or device: %w", ErrCredential)
	}
	if err := c.Verify(check.SignatureKey, uint16(check.Suite)); err != nil {
		return err
	}
	o.credential = c
	return nil
}
