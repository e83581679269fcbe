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
	again   bool  // Register was called since the round began, and waits for one that succeeds
	failure error // why the directory refused the account for good
	batches map[mls.Suite]*packageBatch
	backoff relayclient.Backoff
	turn    int           // of coming back: a later one takes the place of what is under way
	wait    time.Duration // until what failed in this round is tried again; 0: nothing did
}

// packageBatch is an upload whose outcome is not known: the same bytes are offered again.
type packageBatch struct {
	incarnation [16]byte
	packages    [][]byte
	refs        [][]byte // of packages, for their secrets
	last        []byte
}

// start resumes what a store holds after Open.
func (e *engine) start() {
	if e.id == nil {
		return
	}
	for text := range inOrder(e.relays()) {
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
	if e.resumeKnocks() != nil {
		return
	}
	e.sweepPackages()
	e.keepUp()
	e.tick()
}

// tickEvery is how often everything looks whether there is something to do: what waits for a
// time, and what a lost wake-up would leave lying.
const tickEvery = 20 * time.Second

func (e *engine) tick() {
	e.flushInvites()
	e.flushConfigure()
	e.flushKnocks()
	for _, g := range inOrderOfIDs(e.groups) {
		e.stay(g)
		e.watchLeaves(g)
		e.advance(g)
	}
	e.after(tickEvery, e.tick)
}

// relays lists the relays that this device reads from.
func (e *engine) relays() map[string]bool {
	out := map[string]bool{e.id.Relay: true}
	for _, g := range e.groups {
		if g.reads() || e.knocking[g.id] != nil {
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
	e.upkeep.busy, e.upkeep.wait = true, 0
	if !e.id.Registered {
		e.register()
		return
	}
	e.stateSuites()
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

// fillPools asks for the stock of each suite in turn and uploads what is missing; a suite whose
// packages are refused keeps none from the next. It comes back every hour.
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
				e.putOff(err)
				e.fillPools(todo[1:])
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
	if suite != e.stated()[0] {
		size = poolRest
	}
	last := e.id.last(suite)
	renewLast := !stock.LastResort || last.ends(now)
	if int(stock.OneTime) >= size/2 && !renewLast {
		e.fillPools(todo[1:])
		return
	}
	old := e.upkeep.batches[suite]
	if old != nil && old.incarnation == stock.Incarnation {
		e.upload(old, todo)
		return
	}
	b := &packageBatch{incarnation: stock.Incarnation}
	err := e.update(func(tx *state.Tx) error {
		if err := old.dropSecrets(tx); err != nil {
			return err
		}
		for range max(0, size-int(stock.OneTime)) {
			kp, err := e.newPackage(tx, suite, now)
			if err != nil {
				return err
			}
			b.packages, b.refs = append(b.packages, kp.Bytes()), append(b.refs, kp.Ref())
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
				e.fillPools(todo[1:])
				return
			}
			e.log.Info("uploading KeyPackages failed")
			e.uploadFailed(b, todo, err)
		})
	})
}

// uploadFailed comes back with the same packages, unless the directory has said that it will
// never take them. Then their secrets are of no use either: kept, they would grow in number with
// every refusal.
func (e *engine) uploadFailed(b *packageBatch, todo []mls.Suite, err error) {
	_, refused := errors.AsType[*keyserver.Error](err)
	if refused && (permanent(err) || errors.Is(err, keyserver.ErrIncarnation) || errors.Is(err, keyserver.ErrQuota)) {
		if e.update(b.dropSecrets) != nil {
			return
		}
		delete(e.upkeep.batches, todo[0]) // the next ones are made afresh
	}
	e.putOff(err)
	e.fillPools(todo[1:])
}

// putOff leaves for another round what failed in this one.
func (e *engine) putOff(err error) {
	wait := poolEvery
	if !permanent(err) {
		wait = retryRefused + e.upkeep.backoff.Next(0, 0)
	}
	if e.upkeep.wait == 0 || wait < e.upkeep.wait {
		e.upkeep.wait = wait
	}
}

// dropSecrets deletes the secrets of packages that nobody gets. A last resort stays: it may be on
// a contact card.
func (b *packageBatch) dropSecrets(tx *state.Tx) error {
	if b == nil {
		return nil
	}
	for _, ref := range b.refs {
		if err := tx.Delete(bucketPackage, ref); err != nil {
			return err
		}
	}
	return nil
}

// comeBack sees to the stock again after a while.
func (e *engine) comeBack(d time.Duration) {
	e.upkeep.turn++
	turn := e.upkeep.turn
	e.after(d, func() {
		if e.upkeep.turn == turn {
			e.keepUp()
		}
	})
}

// pooled ends a round. If nothing failed, the directory has enough KeyPackages.
func (e *engine) pooled() {
	again := e.upkeep.again
	e.upkeep.busy, e.upkeep.again = false, false
	if e.upkeep.wait > 0 && again {
		e.keepUp()
		return
	}
	if e.upkeep.wait > 0 {
		e.comeBack(e.upkeep.wait)
		return
	}
	e.upkeep.backoff = relayclient.Backoff{}
	e.id.PoolUpdated = e.now()
	if e.update(e.saveIdentity) == nil {
		e.announceProgress()
		e.comeBack(poolEvery)
	}
}
