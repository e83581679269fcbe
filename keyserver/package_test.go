package keyserver_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/internal/fixture"
)

// TestB09_PackageOutsideItsTime: a client takes no stale, future or endless package, whatever
// server or contact card it came from.
func TestB09_PackageOutsideItsTime(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	bob := fixture.NewPerson(t, "bob")
	account := fixture.Must[*keyserver.Account](t)(keyserver.VerifyChain(bob.Chain))
	device := keyserver.DeviceOf(bob.Devices[0])
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		change func(*fixture.Draft)
		want   error
	}{
		"good":               {func(*fixture.Draft) {}, nil},
		"last second":        {func(d *fixture.Draft) { d.NotAfter = now }, nil},
		"expired":            {func(d *fixture.Draft) { d.NotAfter = now.Add(-time.Second) }, keyserver.ErrExpired},
		"not yet valid":      {func(d *fixture.Draft) { d.NotBefore = now.Add(time.Second) }, keyserver.ErrExpired},
		"29 days from now":   {func(d *fixture.Draft) { d.NotBefore, d.NotAfter = now, now.Add(29*day) }, keyserver.ErrExpired},
		"credential expired": {func(d *fixture.Draft) { d.CredentialEnd = now.Add(-time.Second) }, keyserver.ErrExpired},
	} {
		d := bob.Draft(0, now)
		c.change(&d)
		p, err := keyserver.CheckPackage(d.Package(t), account, device, now)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err == nil && !p.Expires.Equal(d.NotAfter) {
			t.Errorf("%s: expires at %v, want %v", name, p.Expires, d.NotAfter)
		}
	}
	d := bob.Draft(0, now)
	d.CredentialEnd = now.Add(day)
	if p, err := keyserver.CheckPackage(d.Package(t), account, device, now); err != nil || !p.Expires.Equal(d.CredentialEnd) {
		t.Errorf("a credential that ends first does not bound the package: %v", err)
	}
}

func TestPackageOfSomebodyElse(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	bob, eve := fixture.NewPerson(t, "bob"), fixture.NewPerson(t, "eve")
	bob.AddDevice(t)
	account := fixture.Must[*keyserver.Account](t)(keyserver.VerifyChain(bob.Chain))
	phone, laptop := keyserver.DeviceOf(bob.Devices[0]), keyserver.DeviceOf(bob.Devices[1])
	good := bob.Draft(0, now)
	claims := eve.Draft(0, now)
	claims.Account = bob.ID()
	otherLeaf, otherSuite := good, good
	otherLeaf.OtherLeafKey, otherSuite.CredentialSuite = true, 2
	tampered := good.Package(t)
	tampered[len(tampered)-1] ^= 1
	for name, c := range map[string]struct {
		b      []byte
		device keyserver.DeviceID
	}{
		"another account's":        {eve.Draft(0, now).Package(t), phone},
		"claims the account":       {claims.Package(t), phone},
		"another device's":         {good.Package(t), laptop},
		"device not in the chain":  {eve.Draft(0, now).Package(t), keyserver.DeviceOf(eve.Devices[0])},
		"credential of other leaf": {otherLeaf.Package(t), phone},
		"credential of suite 2":    {otherSuite.Package(t), phone},
		"tampered":                 {tampered, phone},
		"cut":                      {good.Package(t)[:100], phone},
		"trailing byte":            {append(good.Package(t), 0), phone},
		"nothing":                  {nil, phone},
	} {
		if _, err := keyserver.CheckPackage(c.b, account, c.device, now); !errors.Is(err, keyserver.ErrPackage) {
			t.Errorf("%s: %v, want ErrPackage", name, err)
		}
	}
	if _, err := keyserver.CheckPackage(bytes.Repeat([]byte{0}, keyserver.MaxPackage+1), account, phone, now); !errors.Is(err, keyserver.ErrTooLarge) {
		t.Errorf("over the size: %v, want ErrTooLarge", err)
	}
	if _, err := keyserver.CheckPackage(good.Package(t), account, phone, now); err != nil {
		t.Errorf("a good package: %v", err)
	}
}
