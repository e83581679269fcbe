package clientlib

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
)

// The cipher suites that groups of this client have (DESIGN section 4).
const (
	bestSuite    = mls.SuiteMLKEM768X25519AES256Ed25519
	classicSuite = mls.SuiteX25519AES128Ed25519
)

// suites are those that a device can be in groups of, best first. It states them in its
// account's chain, at the beginning and when another version of this program can others.
var suites = []mls.Suite{bestSuite, classicSuite}

// errWithoutSuite: no device of an account states the suite of the group.
var errWithoutSuite = errors.New("clientlib: no device of the account can be in groups of this cipher suite")

// suiteFor is the suite of a new group: the best one that all devices of the accounts state in
// their chains, as far as they are known here (freshen asks before). Chains are signed. What a
// directory has packages of decides nothing, or it would choose the suite (ATTACKS A23). An account
// that states none that this device has decides nothing either: it is left out when it is to be
// added, by name.
func (e *engine) suiteFor(tx *state.Tx, accounts []keyserver.AccountID) (mls.Suite, error) {
	able, without := slices.Clone(e.suites), 0
	for _, id := range accounts {
		known, err := getRecord[knownAccount](tx, bucketAccount, id[:])
		if err != nil {
			return 0, err
		}
		if known == nil {
			continue // its chain is looked up when it is added
		}
		account, err := keyserver.VerifyChain(known.Chain)
		if err != nil {
			return 0, fmt.Errorf("%w: chain of a contact: %w", state.ErrCorrupt, err)
		}
		common := slices.Clone(e.suites)
		for _, d := range account.Devices {
			common = slices.DeleteFunc(common, func(s mls.Suite) bool { return !slices.Contains(account.Suites(d), s) })
		}
		if len(common) == 0 {
			without++
			continue
		}
		able = slices.DeleteFunc(able, func(s mls.Suite) bool { return !slices.Contains(common, s) })
		if len(able) == 0 {
			return 0, fmt.Errorf("%w: none that %s and those before it have", ErrNoSuite, id)
		}
	}
	if without > 0 && without == len(accounts) {
		return 0, ErrNoSuite
	}
	return able[0], nil
}

// canJoin reports whether some device of an account states a suite. Those that do not are left
// out of groups that have it.
func canJoin(account *keyserver.Account, suite mls.Suite) bool {
	return slices.ContainsFunc(account.Devices, func(d keyserver.DeviceID) bool {
		return slices.Contains(account.Suites(d), suite)
	})
}

// stated are the suites that this device has and its account's chain says so, best first: of
// others nobody takes a KeyPackage.
func (e *engine) stated() []mls.Suite {
	account, err := keyserver.VerifyChain(e.id.Chain)
	if err != nil {
		return nil
	}
	says := account.Suites(e.device())
	return slices.DeleteFunc(slices.Clone(e.suites), func(s mls.Suite) bool { return !slices.Contains(says, s) })
}

// stateSuites states in the chain what this device can, where the chain says otherwise, and then
// fills the pools. A directory that does not take the statement leaves the pools of before.
func (e *engine) stateSuites() {
	account, err := keyserver.VerifyChain(e.id.Chain)
	if err != nil {
		e.fail(fmt.Errorf("%w: own chain: %w", state.ErrCorrupt, err))
		return
	}
	if slices.Equal(slices.Sorted(slices.Values(e.suites)), slices.Sorted(slices.Values(account.Suites(e.device())))) {
		e.fillPools(e.stated())
		return
	}
	// Signed anew after a crash or a lost answer, it has the same bytes.
	chain := e.id.Chain
	entry, err := keyserver.StateSuites(chain, e.id.Device.signer(), e.suites...)
	if err != nil {
		e.putOff(err)
		e.fillPools(e.stated())
		return
	}
	e.spawn(func(ctx context.Context) {
		now := append(slices.Clone(chain), entry)
		err := e.keys.AppendEntry(ctx, account.ID, entry)
		if errors.Is(err, keyserver.ErrConflict) {
			now, err = e.ownChain(ctx, account.ID, chain)
		}
		e.post(func() {
			if err != nil {
				e.log.Info("stating the cipher suites failed")
				e.putOff(err)
				e.fillPools(e.stated())
				return
			}
			e.id.Chain = now
			if e.update(e.saveIdentity) == nil {
				e.stateSuites() // behind what another device has added, or done
			}
		})
	})
}

// ownChain asks the directory for this account's chain, which another device has added to.
func (e *engine) ownChain(ctx context.Context, id keyserver.AccountID, known [][]byte) ([][]byte, error) {
	listing, err := e.keys.LookupID(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(listing.Entries) <= len(known) || !extends(known, listing.Entries) {
		return nil, fmt.Errorf("%w: the own chain does not continue the one known here", keyserver.ErrLied)
	}
	return listing.Entries, nil
}

// lastPackage is the current last-resort KeyPackage of a suite.
type lastPackage struct {
	Suite   mls.Suite `cbor:"1,keyasint"`
	Package []byte    `cbor:"2,keyasint"`
	Until   int64     `cbor:"3,keyasint"` // its end, unix seconds
}

// last is the identity's last resort of a suite, empty before there is one.
func (id *identity) last(suite mls.Suite) *lastPackage {
	for i := range id.Last {
		if id.Last[i].Suite == suite {
			return &id.Last[i]
		}
	}
	id.Last = append(id.Last, lastPackage{Suite: suite})
	return &id.Last[len(id.Last)-1]
}
