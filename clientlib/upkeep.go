package clientlib

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// How a device keeps itself reachable.
const (
	poolSize     = 24                  // one-time KeyPackages of the best suite to have at the directory
	poolRest     = 6                   // and of each other one, for groups with those who lack it
	poolEvery    = time.Hour           // how often the stock is asked for
	packageLife  = 27 * 24 * time.Hour // DESIGN section 5: at most 28 days, less a day of skewed clocks
	packageSkew  = time.Hour           // how far another clock may be behind
	lastRenewal  = 7 * 24 * time.Hour  // a last resort with less time left is replaced
	credentialOf = 90 * 24 * time.Hour // a leaf that is not updated in that time is evicted
)

// upkeepState is what keeps a device reachable; owned by run.
type upkeepState struct {
	busy    bool
	failure error // why the directory refused the account for good
	batches map[mls.Suite]*packageBatch
	backoff relayclient.Backoff
}

// packageBatch is an upload whose outcome is not known: the same bytes are offered again.
type packageBatch struct {
	incarnation [16]byte
	packages    [][]byte
	last        []byte
}

// start resumes what a store holds after Open.
func (e *engine) start() {
	if e.id == nil {
		return
	}
	for text := range e.relays() {
		e.linkTo(text)
	}
	err := e.db.View(e.ctx, func(tx *state.Tx) error {
		for kv, err := range tx.Scan(bucketArrived, nil) {
			if err != nil {
				return err
			}
			v := new(invitation)
			if err := wire.Unmarshal(kv.Value, v); err != nil {
				return fmt.Errorf("%w: %w", state.ErrCorrupt, err)
			}
			hash := [32]byte(kv.Key)
			e.after(0, func() { e.join(hash, v) })
		}
		for kv, err := range tx.Scan(bucketVerify, nil) {
			if err != nil {
				return err
			}
			if len(kv.Key) != 3*32 {
				return fmt.Errorf("%w: member to look up", state.ErrCorrupt)
			}
			g, account, device := e.groups[groupID(kv.Key[:32])], keyserver.AccountID(kv.Key[32:64]), keyserver.DeviceID(kv.Key[64:])
			if g != nil && g.live() {
				e.after(0, func() { e.verifyMember(g, account, device) })
			}
		}
		return nil
	})
	if err == nil {
		err = e.sweepFiles()
	}
	if err != nil {
		e.fail(err)
		return
	}
	e.keepUp()
	e.tick()
}

// tickEvery is how often everything looks whether there is something to do: what waits for a
// time, and what a lost wake-up would leave lying.
const tickEvery = 20 * time.Second

func (e *engine) tick() {
	e.flushInvites()
	e.flushConfigure()
	for _, g := range e.groups {
		e.advance(g)
	}
	e.after(tickEvery, e.tick)
}

// relays lists the relays that this device reads from.
func (e *engine) relays() map[string]bool {
	out := map[string]bool{e.id.Relay: true}
	for _, g := range e.groups {
		if g.live() {
			out[g.rec.Relay] = true
		}
	}
	return out
}

// keepUp registers the account once its inbox exists, then keeps the pool of KeyPackages full.
func (e *engine) keepUp() {
	if e.id == nil {
		return
	}
	e.linkTo(e.id.Relay)
	if l := e.links[e.id.Relay]; l != nil {
		e.inboxUp(l)
	}
	if e.upkeep.busy || !e.id.InboxReady || e.upkeep.failure != nil {
		return
	}
	e.upkeep.busy = true
	if !e.id.Registered {
		e.register()
		return
	}
	e.fillPools(e.suites)
}

func (e *engine) register() {
	handle, device, root := e.id.Handle, e.id.Device.signer(), e.id.Chain[0]
	e.spawn(func(ctx context.Context) {
		err := untilDone(ctx, func() (bool, error) {
			_, err := e.keys.Register(ctx, device, handle, root)
			return !permanent(err) && !errors.Is(err, keyserver.ErrHandleTaken) && !errors.Is(err, keyserver.ErrInvalid), err
		})
		e.post(func() {
			e.upkeep.busy = false
			if e.id.Handle != handle {
				e.keepUp() // renamed meanwhile
				return
			}
			if err != nil {
				e.upkeep.failure = err
				e.announceProgress()
				return
			}
			e.id.Registered = true
			if e.update(e.saveIdentity) == nil {
				e.keepUp()
			}
		})
	})
}

// fillPools asks for the stock of each suite in turn and uploads what is missing. It comes
// back every hour.
func (e *engine) fillPools(todo []mls.Suite) {
	if len(todo) == 0 {
		e.pooled()
		return
	}
	device, account := e.id.Device.signer(), e.id.Account
	e.spawn(func(ctx context.Context) {
		var stock *keyserver.StockReply
		err := untilDone(ctx, func() (bool, error) {
			var err error
			stock, err = e.keys.Stock(ctx, device, account, todo[0])
			return !permanent(err), err
		})
		e.post(func() {
			if err != nil {
				e.upkeep.busy = false
				e.after(poolEvery, e.keepUp)
				return
			}
			e.uploadPackages(stock, todo)
		})
	})
}

// uploadPackages fills the pool of the first suite to do: one that is half empty, or has no
// last resort that lasts.
func (e *engine) uploadPackages(stock *keyserver.StockReply, todo []mls.Suite) {
	now, suite, size := time.Now(), todo[0], poolSize
	if suite != e.suites[0] {
		size = poolRest
	}
	last := e.id.last(suite)
	renewLast := !stock.LastResort || last.ends(now)
	if int(stock.OneTime) >= size/2 && !renewLast {
		e.fillPools(todo[1:])
		return
	}
	if b := e.upkeep.batches[suite]; b != nil && b.incarnation == stock.Incarnation {
		e.upload(b, todo)
		return
	}
	b := &packageBatch{incarnation: stock.Incarnation}
	err := e.update(func(tx *state.Tx) error {
		for range max(0, size-int(stock.OneTime)) {
			kp, err := e.newPackage(tx, suite, now)
			if err != nil {
				return err
			}
			b.packages = append(b.packages, kp.Bytes())
		}
		if !renewLast {
			return nil
		}
		// The one of a card that was handed out before is as good.
		if last.ends(now) {
			if err := e.newLastResort(tx, suite, now); err != nil {
				return err
			}
		}
		b.last = last.Package
		return nil
	})
	if err == nil {
		if e.upkeep.batches == nil {
			e.upkeep.batches = map[mls.Suite]*packageBatch{}
		}
		e.upkeep.batches[suite] = b
		e.upload(b, todo)
	}
}

func (e *engine) upload(b *packageBatch, todo []mls.Suite) {
	device, account := e.id.Device.signer(), e.id.Account
	e.spawn(func(ctx context.Context) {
		_, err := e.keys.Upload(ctx, device, account, todo[0], b.incarnation, b.packages, b.last)
		e.post(func() {
			if err == nil {
				delete(e.upkeep.batches, todo[0])
				e.upkeep.backoff = relayclient.Backoff{}
				e.fillPools(todo[1:])
				return
			}
			e.log.Info("uploading KeyPackages failed")
			if permanent(err) || errors.Is(err, keyserver.ErrIncarnation) || errors.Is(err, keyserver.ErrQuota) {
				delete(e.upkeep.batches, todo[0]) // these are never taken; the next ones are made afresh
			}
			e.upkeep.busy = false
			e.after(retryRefused+e.upkeep.backoff.Next(0, 0), e.keepUp)
		})
	})
}

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

// pooled notes that the directory has enough KeyPackages.
func (e *engine) pooled() {
	e.upkeep.busy = false
	e.id.PoolUpdated = e.now()
	err := e.update(func(tx *state.Tx) error {
		if err := dropExpired(tx, time.Now()); err != nil {
			return err
		}
		return e.saveIdentity(tx)
	})
	if err == nil {
		e.announceProgress()
		e.after(poolEvery, e.keepUp)
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
// its secrets before anybody can use it.
func (e *engine) newPackage(tx *state.Tx, suite mls.Suite, now time.Time) (*mls.KeyPackage, error) {
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

var supportedExtensions = []mls.ExtensionType{extensionContact, extensionPolicy}

// newLeafKey makes a signature key for one leaf, and the credential by which the device
// vouches for it.
func (e *engine) newLeafKey(suite mls.Suite, now time.Time) (key mls.SignaturePrivateKey, cred mls.Credential, err error) {
	if key, err = suite.GenerateSignatureKey(); err != nil {
		return key, cred, err
	}
	identity, err := keyserver.SignCredential(e.id.Device.signer(), e.id.Account, key.Public(), uint16(suite), now.Add(credentialOf))
	return key, mls.Credential{Type: mls.CredentialBasic, Identity: identity}, err
}
