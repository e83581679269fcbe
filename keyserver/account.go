package keyserver

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/mls"
)

// Account is what a verified chain says. It is a value of its own: nothing in it aliases the
// entries it came from. Do not change it.
type Account struct {
	ID       AccountID
	Recovery ed25519.PublicKey
	Devices  []DeviceID // in the order in which they were added; may be empty
	Removed  []DeviceID // in the order of their removal; none of them comes back
	Head     [32]byte   // the hash of the newest entry

	hashes [][32]byte
	suites map[DeviceID][]mls.Suite
	stated map[DeviceID]int // statements of suites
}

// Len returns the number of entries in the chain.
func (a *Account) Len() int { return len(a.hashes) }

// Has tells whether d is one of the account's devices now.
func (a *Account) Has(d DeviceID) bool { return slices.Contains(a.Devices, d) }

// Suites lists the cipher suites that a device of the account states in the chain, in
// ascending order: those that it has KeyPackages of and can be in groups of. A server that
// hands out a KeyPackage of another suite, or of none, does not make it otherwise.
func (a *Account) Suites(d DeviceID) []mls.Suite { return slices.Clone(a.suites[d]) }

// Includes tells whether head is one of the chain's entries. A client that has seen a chain
// end in head refuses any later one that does not include it: the server went back, or shows
// it another branch.
func (a *Account) Includes(head [32]byte) bool { return slices.Contains(a.hashes, head) }

// VerifyChain checks a chain from its first entry on (PROTOCOL.md section 2) and returns the
// account. Whoever relies on a device list calls it: a device without the signature of an
// earlier one ends in [ErrChain], whatever the server says. It costs at most 2 signature
// checks an entry and [MaxEntries] entries.
func VerifyChain(entries [][]byte) (*Account, error) {
	if len(entries) == 0 || len(entries) > MaxEntries {
		return nil, fmt.Errorf("chain of %d entries, not 1 to %d: %w", len(entries), MaxEntries, ErrChain)
	}
	var a Account
	for i, b := range entries {
		if err := a.extend(b); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return &a, nil
}

// extend appends one entry to the account, which is unchanged after an error.
func (a *Account) extend(b []byte) error {
	e, err := parseEntry(b)
	if err != nil {
		return err
	}
	if err := a.permits(e); err != nil {
		return err
	}
	if err := e.verify(); err != nil {
		return err
	}
	a.Head = EntryHash(b)
	a.hashes = append(a.hashes, a.Head)
	if e.kind != kindRemoveDevice {
		if a.suites == nil {
			a.suites, a.stated = map[DeviceID][]mls.Suite{}, map[DeviceID]int{}
		}
		a.suites[e.device] = e.suites
	}
	switch e.kind {
	case kindRoot:
		a.ID, a.Recovery = a.Head, slices.Clone(e.by[:])
		a.Devices = []DeviceID{e.device}
	case kindAddDevice:
		a.Devices = append(a.Devices, e.device)
	case kindRemoveDevice:
		a.Devices = slices.DeleteFunc(a.Devices, func(d DeviceID) bool { return d == e.device })
		a.Removed = append(a.Removed, e.device)
		delete(a.suites, e.device)
	case kindSuites:
		a.stated[e.device]++
	}
	return nil
}

// permits checks whether e may come next, all but its signatures.
func (a *Account) permits(e *entry) error {
	first := len(a.hashes) == 0
	switch {
	case first != (e.kind == kindRoot):
		return fmt.Errorf("a root stands first and nowhere else: %w", ErrChain)
	case first && e.by == e.device:
		return fmt.Errorf("recovery key and device are the same key: %w", ErrChain)
	case first:
		return nil
	case e.prev != a.Head:
		return fmt.Errorf("entry does not follow the one before: %w", ErrChain)
	}
	device, recovery := a.Has(DeviceID(e.by)), slices.Equal(e.by[:], a.Recovery)
	if e.kind == kindRemoveDevice {
		if !device && !recovery {
			return fmt.Errorf("removal is signed by no device of the account: %w", ErrChain)
		}
		if !a.Has(e.device) {
			return fmt.Errorf("removed device is none of the account: %w", ErrChain)
		}
		return nil
	}
	if len(a.hashes) >= MaxEntries-MaxDevices {
		// Whoever has stolen a device can fill a chain, and must not keep others from removing it.
		return fmt.Errorf("the last %d entries are for removals: %w", MaxDevices, ErrChain)
	}
	if e.kind == kindSuites {
		switch {
		case !device:
			return fmt.Errorf("suites are stated by no device of the account: %w", ErrChain)
		case slices.Equal(e.suites, a.suites[e.device]):
			return fmt.Errorf("suites are stated already: %w", ErrChain)
		case a.stated[e.device] >= MaxStatements:
			return fmt.Errorf("suites are stated more than %d times: %w", MaxStatements, ErrChain)
		}
		return nil
	}
	switch {
	case !device:
		return fmt.Errorf("new device is signed by no device of the account: %w", ErrChain)
	case a.Has(e.device) || slices.Contains(a.Removed, e.device):
		return fmt.Errorf("device was in the account before: %w", ErrChain)
	case slices.Equal(e.device[:], a.Recovery):
		return fmt.Errorf("recovery key cannot be a device: %w", ErrChain)
	case len(a.Devices) >= MaxDevices:
		return fmt.Errorf("more than %d devices: %w", MaxDevices, ErrChain)
	}
	return nil
}

// NewAccount makes a chain's first entry. The recovery key is kept offline: it can remove
// every device when all are lost. Both keys sign. The device states the cipher suites that it
// can be in groups of, at most [MaxSuites].
func NewAccount(recovery, device ed25519.PrivateKey, suites ...mls.Suite) (root []byte, err error) {
	e := entry{kind: kindRoot, by: [32]byte(DeviceOf(recovery)), device: DeviceOf(device), suites: inOrder(suites)}
	rand.Read(e.nonce[:])
	if root, err = e.sign(recovery, device); err != nil {
		return nil, err
	}
	_, err = VerifyChain([][]byte{root})
	return root, err
}

// AddDevice makes the entry that adds device to the chain, signed by one of its devices and
// by the new one, which states its cipher suites. It fails with [ErrChain] where
// [VerifyChain] would.
func AddDevice(chain [][]byte, by, device ed25519.PrivateKey, suites ...mls.Suite) ([]byte, error) {
	e := entry{kind: kindAddDevice, by: [32]byte(DeviceOf(by)), device: DeviceOf(device), suites: inOrder(suites)}
	return next(chain, e, by, device)
}

// StateSuites makes the entry by which a device states anew what cipher suites it can be in
// groups of, at most [MaxSuites].
func StateSuites(chain [][]byte, device ed25519.PrivateKey, suites ...mls.Suite) ([]byte, error) {
	id := DeviceOf(device)
	return next(chain, entry{kind: kindSuites, by: id, device: id, suites: inOrder(suites)}, device, nil)
}

// inOrder lists suites as an entry states them.
func inOrder(suites []mls.Suite) []mls.Suite {
	return slices.Compact(slices.Sorted(slices.Values(suites)))
}

// RemoveDevice makes the entry that removes device from the chain, signed by one of the
// chain's devices (also itself) or by the recovery key.
func RemoveDevice(chain [][]byte, by ed25519.PrivateKey, device DeviceID) ([]byte, error) {
	return next(chain, entry{kind: kindRemoveDevice, by: [32]byte(DeviceOf(by)), device: device}, by, nil)
}

func next(chain [][]byte, e entry, by, consent ed25519.PrivateKey) ([]byte, error) {
	a, err := VerifyChain(chain)
	if err != nil {
		return nil, err
	}
	if a.Len() >= MaxEntries {
		return nil, fmt.Errorf("chain has %d entries already: %w", MaxEntries, ErrChain)
	}
	e.prev = a.Head
	b, err := e.sign(by, consent)
	if err != nil {
		return nil, err
	}
	return b, a.extend(b)
}

// CheckNext tells whether entry may follow the chain whose entries are given: nil if so,
// [ErrConflict] if it was made for another head of this chain, [ErrChain] if never.
func CheckNext(chain [][]byte, entry []byte) (*Account, error) {
	a, err := VerifyChain(chain)
	if err != nil {
		return nil, err
	}
	e, err := parseEntry(entry)
	if err != nil {
		return nil, err
	}
	if e.kind != kindRoot && e.prev != a.Head {
		return nil, ErrConflict
	}
	if a.Len() >= MaxEntries {
		return nil, errors.Join(ErrTooLarge, ErrChain)
	}
	if err := a.extend(entry); err != nil {
		return nil, err
	}
	return a, nil
}
