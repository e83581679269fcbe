package clientlib

import (
	"fmt"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
)

// The KeyPackages of this device, from their making to the end of their secrets. How they get to
// the directory is upkeep's.

// lastResort returns the last-resort KeyPackage of a suite, made now if there is none that
// lasts. It needs no network: a card can be handed over before the first connection.
func (e *engine) lastResort(suite mls.Suite) ([]byte, error) {
	now, last := time.Now(), e.id.last(suite)
	if !last.ends(now) {
		return last.Package, nil
	}
	err := e.update(func(tx *state.Tx) error { return e.newLastResort(tx, suite, now) })
	return last.Package, err
}

// ends reports whether a last resort is to be replaced, or there is none.
func (p *lastPackage) ends(now time.Time) bool {
	return len(p.Package) == 0 || time.Unix(p.Until, 0).Sub(now) < lastRenewal
}

func (e *engine) newLastResort(tx *state.Tx, suite mls.Suite, now time.Time) error {
	kp, err := e.newPackage(tx, suite, now)
	if err != nil {
		return err
	}
	last := e.id.last(suite)
	last.Package, last.Until = kp.Bytes(), now.Add(packageLife).Unix()
	if err := tx.Put(bucketLast, kp.Ref(), []byte{1}); err != nil {
		return err
	}
	return e.saveIdentity(tx)
}

// sweepPackages deletes what has expired, now and every hour, whatever the directory does.
func (e *engine) sweepPackages() {
	if e.update(func(tx *state.Tx) error { return dropExpired(tx, time.Now()) }) == nil {
		e.after(poolEvery, e.sweepPackages)
	}
}

// dropExpired deletes the secrets of KeyPackages that no honest member can use any more. A
// day's grace covers an invitation that is on its way.
func dropExpired(tx *state.Tx, now time.Time) error {
	for kv, err := range tx.Scan(bucketPackage, nil) {
		if err != nil {
			return err
		}
		keys, err := mls.UnmarshalKeyPackageSecrets(kv.Value)
		if err != nil {
			return fmt.Errorf("%w: KeyPackage secrets: %w", state.ErrCorrupt, err)
		}
		if keys.KeyPackage().Lifetime().NotAfter.Add(24 * time.Hour).Before(now) {
			for _, bucket := range []string{bucketPackage, bucketLast} {
				if err := tx.Delete(bucket, kv.Key); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// newPackage makes a KeyPackage with a signature key and credential of its own, and keeps
// its secrets before anybody can use it. leaf is what its leaf says besides.
func (e *engine) newPackage(tx *state.Tx, suite mls.Suite, now time.Time, leaf ...mls.Extension) (*mls.KeyPackage, error) {
	contactKey, err := contactPublicKey(e.id.contactSeed())
	if err != nil {
		return nil, err
	}
	ct := contact{Key: contactKey, Relay: e.id.Relay, Inbox: e.id.Inbox, RequestWriter: e.id.Writer}
	extension, err := wire.Marshal(&ct)
	if err != nil {
		return nil, err
	}
	key, cred, err := e.newLeafKey(suite, now)
	if err != nil {
		return nil, err
	}
	kp, secrets, err := mls.NewKeyPackage(mls.KeyPackageConfig{
		Suite: suite, Credential: cred, SignatureKey: key,
		NotBefore: now.Add(-packageSkew), NotAfter: now.Add(packageLife),
		Extensions:          []mls.Extension{{Type: extensionContact, Data: extension}},
		LeafExtensions:      leaf,
		SupportedExtensions: supportedExtensions,
	})
	if err != nil {
		return nil, err
	}
	b, err := secrets.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return kp, tx.Put(bucketPackage, kp.Ref(), b)
}

var supportedExtensions = []mls.ExtensionType{extensionContact, extensionPolicy, extensionSuccessor}

// newLeafKey makes a signature key for one leaf, and the credential by which the device
// vouches for it.
func (e *engine) newLeafKey(suite mls.Suite, now time.Time) (key mls.SignaturePrivateKey, cred mls.Credential, err error) {
	if key, err = suite.GenerateSignatureKey(); err != nil {
		return key, cred, err
	}
	identity, err := keyserver.SignCredential(e.id.Device.signer(), e.id.Account, key.Public(), uint16(suite), now.Add(credentialOf))
	return key, mls.Credential{Type: mls.CredentialBasic, Identity: identity}, err
}
