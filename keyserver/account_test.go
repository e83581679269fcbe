package keyserver

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"

	"github.com/sealpost/sealpost/mls"
)

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// must returns what a constructor made.
func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestChain(t *testing.T) {
	recovery, phone, laptop, tablet := newKey(t), newKey(t), newKey(t), newKey(t)
	chain := [][]byte{must[[]byte](t)(NewAccount(recovery, phone))}
	push := func(entry []byte, err error) {
		t.Helper()
		chain = append(chain, must[[]byte](t)(entry, err))
	}
	push(AddDevice(chain, phone, laptop))
	seen := must[*Account](t)(VerifyChain(chain))
	push(AddDevice(chain, laptop, tablet))
	push(RemoveDevice(chain, tablet, DeviceOf(phone)))
	push(RemoveDevice(chain, recovery, DeviceOf(tablet)))
	push(RemoveDevice(chain, laptop, DeviceOf(laptop)))

	a := must[*Account](t)(VerifyChain(chain))
	if a.ID != AccountID(EntryHash(chain[0])) || a.Head != EntryHash(chain[5]) || a.Len() != 6 {
		t.Fatalf("id, head or length are wrong: %d entries", a.Len())
	}
	if len(a.Devices) != 0 || !slices.Equal(a.Removed, []DeviceID{DeviceOf(phone), DeviceOf(tablet), DeviceOf(laptop)}) {
		t.Fatalf("%d devices and %d removed ones", len(a.Devices), len(a.Removed))
	}
	if !a.Includes(seen.Head) || a.Includes(EntryHash(nil)) {
		t.Fatal("a longer chain does not include the shorter one's head, or includes a stranger")
	}
	if two := must[*Account](t)(VerifyChain(chain[:3])); two.Includes(a.Head) || !two.Has(DeviceOf(tablet)) {
		t.Fatal("an older chain passes for the newer")
	}
	again := must[[]byte](t)(NewAccount(recovery, phone))
	if bytes.Equal(again, chain[0]) {
		t.Fatal("two accounts of the same keys are one account")
	}
}

// TestB01_GhostDevice: the server cannot show a device that no device of the account signed
// for, nor one that did not sign back.
func TestB01_GhostDevice(t *testing.T) {
	recovery, phone, laptop, ghost, stranger := newKey(t), newKey(t), newKey(t), newKey(t), newKey(t)
	root := must[[]byte](t)(NewAccount(recovery, phone))
	added := must[[]byte](t)(AddDevice([][]byte{root}, phone, laptop))
	gone := must[[]byte](t)(RemoveDevice([][]byte{root, added}, phone, DeviceOf(laptop)))
	other := must[[]byte](t)(NewAccount(newKey(t), stranger))
	head := func(chain ...[]byte) [32]byte { return EntryHash(chain[len(chain)-1]) }
	forge := func(kind uint8, prev [32]byte, by, consent ed25519.PrivateKey, claimBy, claimDevice DeviceID) []byte {
		e := entry{kind: kind, prev: prev, by: [32]byte(claimBy), device: claimDevice}
		return must[[]byte](t)(e.sign(by, consent))
	}
	id := DeviceOf
	for name, chain := range map[string][][]byte{
		"signed by a stranger":          {root, forge(kindAddDevice, head(root), stranger, ghost, id(stranger), id(ghost))},
		"signed by itself":              {root, forge(kindAddDevice, head(root), ghost, ghost, id(ghost), id(ghost))},
		"claims the phone's signature":  {root, forge(kindAddDevice, head(root), stranger, ghost, id(phone), id(ghost))},
		"signed by the recovery key":    {root, forge(kindAddDevice, head(root), recovery, ghost, id(recovery), id(ghost))},
		"device did not sign back":      {root, forge(kindAddDevice, head(root), phone, stranger, id(phone), id(ghost))},
		"signed by a removed device":    {root, added, gone, forge(kindAddDevice, head(gone), laptop, ghost, id(laptop), id(ghost))},
		"removed device comes back":     {root, added, gone, forge(kindAddDevice, head(gone), phone, laptop, id(phone), id(laptop))},
		"same device twice":             {root, added, forge(kindAddDevice, head(added), phone, laptop, id(phone), id(laptop))},
		"recovery key becomes a device": {root, forge(kindAddDevice, head(root), phone, recovery, id(phone), id(recovery))},
		"recovery key is the device":    {forge(kindRoot, [32]byte{}, phone, phone, id(phone), id(phone))},
		"made for another head":         {root, forge(kindAddDevice, EntryHash(nil), phone, ghost, id(phone), id(ghost))},
		"entry left out":                {root, gone},
		"entry of another chain":        {root, other},
		"root twice":                    {root, root},
		"no root":                       {added},
		"removal by a stranger":         {root, forge(kindRemoveDevice, head(root), stranger, nil, id(stranger), id(phone))},
		"removal of a stranger":         {root, forge(kindRemoveDevice, head(root), phone, nil, id(phone), id(stranger))},
		"removal claims the phone":      {root, forge(kindRemoveDevice, head(root), stranger, nil, id(phone), id(phone))},
		"nothing":                       {},
		"empty entry":                   {root, {}},
	} {
		if a, err := VerifyChain(chain); !errors.Is(err, ErrChain) || a != nil {
			t.Errorf("%s: %v, want ErrChain", name, err)
		}
	}
	for i := range added {
		bad := bytes.Clone(added)
		bad[i] ^= 1
		if _, err := VerifyChain([][]byte{root, bad}); !errors.Is(err, ErrChain) {
			t.Fatalf("byte %d of an entry flipped: %v, want ErrChain", i, err)
		}
	}
}

// filled is the chain after whoever holds a device has appended all that goes, without removing
// what is not its own.
func filled(t *testing.T, chain [][]byte, stolen ed25519.PrivateKey) (full [][]byte, statements int) {
	for n := 0; ; n++ {
		e, err := StateSuites(chain, stolen, mls.Suite(n%2+1), 7)
		if err == nil {
			statements++
		} else if e, err = AddDevice(chain, stolen, newKey(t)); err != nil {
			devices := must[*Account](t)(VerifyChain(chain)).Devices
			if e, err = RemoveDevice(chain, stolen, devices[len(devices)-1]); err != nil {
				return chain, statements
			}
			if _, err := AddDevice(append(slices.Clone(chain), e), stolen, newKey(t)); err != nil {
				return chain, statements // it would only have made room
			}
		}
		chain = append(chain, e)
	}
}

// TestChainIsBounded: whoever has stolen a device fills the chain in every way there is, and can
// still be removed, with all that came in by it.
func TestChainIsBounded(t *testing.T) {
	recovery, phone, stolen := newKey(t), newKey(t), newKey(t)
	chain := [][]byte{must[[]byte](t)(NewAccount(recovery, phone, 1))}
	chain = append(chain, must[[]byte](t)(AddDevice(chain, phone, stolen, 1)))
	devices := slices.Clone(chain)
	for range MaxDevices - 2 {
		devices = append(devices, must[[]byte](t)(AddDevice(devices, phone, newKey(t))))
	}
	if _, err := AddDevice(devices, phone, newKey(t)); !errors.Is(err, ErrChain) {
		t.Fatalf("device %d: %v, want ErrChain", MaxDevices+1, err)
	}
	full, statements := filled(t, chain, stolen)
	if most := MaxEntries - MaxDevices; len(full) > most || len(full) < most-1 || statements != MaxStatements {
		t.Errorf("%d entries with %d statements of suites go into a chain, want %d with %d", len(full), statements, most, MaxStatements)
	}
	for _, d := range must[*Account](t)(VerifyChain(full)).Devices {
		full = append(full, must[[]byte](t)(RemoveDevice(full, recovery, d)))
	}
	if a := must[*Account](t)(VerifyChain(full)); len(a.Devices) != 0 || len(full) > MaxEntries {
		t.Errorf("%d devices are left after %d entries", len(a.Devices), len(full))
	}
	for len(full) <= MaxEntries {
		full = append(full, chain[1])
	}
	if _, err := VerifyChain(full); !errors.Is(err, ErrChain) {
		t.Fatalf("chain of %d entries: %v, want ErrChain", len(full), err)
	}
}

// TestSuitesStatedTwice: a statement that changes nothing takes no place in the chain.
func TestSuitesStatedTwice(t *testing.T) {
	phone := newKey(t)
	chain := [][]byte{must[[]byte](t)(NewAccount(newKey(t), phone, 1, 2))}
	if _, err := StateSuites(chain, phone, 2, 1); !errors.Is(err, ErrChain) {
		t.Errorf("the same suites again: %v, want ErrChain", err)
	}
	must[[]byte](t)(StateSuites(chain, phone, 2))
}

func TestCheckNext(t *testing.T) {
	recovery, phone := newKey(t), newKey(t)
	chain := [][]byte{must[[]byte](t)(NewAccount(recovery, phone))}
	one := must[[]byte](t)(AddDevice(chain, phone, newKey(t)))
	two := must[[]byte](t)(AddDevice(chain, phone, newKey(t)))
	a := must[*Account](t)(CheckNext(chain, one))
	if a.Head != EntryHash(one) || len(a.Devices) != 2 {
		t.Fatal("account does not hold the new device")
	}
	if _, err := CheckNext(append(chain, one), two); !errors.Is(err, ErrConflict) {
		t.Fatalf("the loser of a race: %v, want ErrConflict", err)
	}
	if _, err := CheckNext(chain, chain[0]); !errors.Is(err, ErrChain) {
		t.Fatalf("a second root: %v, want ErrChain", err)
	}
}

// TestStatedSuites: a device states suites when it comes, and anew as often as it likes; nobody
// does so for it, and the newest statement counts.
func TestStatedSuites(t *testing.T) {
	recovery, phone, laptop := newKey(t), newKey(t), newKey(t)
	chain := [][]byte{must[[]byte](t)(NewAccount(recovery, phone, 7, 1, 7))}
	chain = append(chain, must[[]byte](t)(AddDevice(chain, phone, laptop)))
	states := func(chain [][]byte, device ed25519.PrivateKey, want ...mls.Suite) {
		t.Helper()
		if got := must[*Account](t)(VerifyChain(chain)).Suites(DeviceOf(device)); !slices.Equal(got, want) {
			t.Errorf("states %d, want %d", got, want)
		}
	}
	states(chain, phone, 1, 7)
	states(chain, laptop)
	anew := append(slices.Clone(chain), must[[]byte](t)(StateSuites(chain, laptop, 3, 2)))
	states(anew, laptop, 2, 3)
	states(anew, phone, 1, 7)
	anew = append(anew, must[[]byte](t)(StateSuites(anew, laptop)))
	states(anew, laptop)
	gone := append(slices.Clone(chain), must[[]byte](t)(RemoveDevice(chain, laptop, DeviceOf(phone))))
	states(gone, phone)
	for name, by := range map[string]ed25519.PrivateKey{"the recovery key": recovery, "a stranger": newKey(t), "a removed device": phone} {
		on := chain
		if name == "a removed device" {
			on = gone
		}
		if _, err := StateSuites(on, by, 1); !errors.Is(err, ErrChain) {
			t.Errorf("%s: %v, want ErrChain", name, err)
		}
	}
	var many []mls.Suite
	for i := range mls.Suite(MaxSuites + 1) {
		many = append(many, i)
	}
	if b := must[[]byte](t)(AddDevice(chain, phone, newKey(t), many[:MaxSuites]...)); len(b) > MaxEntry {
		t.Errorf("an entry with %d suites has %d bytes", MaxSuites, len(b))
	}
	if _, err := NewAccount(recovery, phone, many...); !errors.Is(err, ErrChain) {
		t.Errorf("%d suites: %v, want ErrChain", len(many), err)
	}
}
