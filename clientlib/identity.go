package clientlib

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
)

var identityKey = []byte("identity")

// createIdentity makes the account, without the network: keys, chain, inbox name. A handle
// that the directory has not confirmed yet can still be changed.
func (e *engine) createIdentity(handle string) error {
	if err := keyserver.CheckHandle(handle); err != nil {
		return err
	}
	if e.id != nil {
		if e.id.Handle == handle {
			e.upkeep.failure, e.upkeep.again = nil, e.upkeep.busy
			e.keepUp()
			return nil
		}
		if e.id.Registered {
			return fmt.Errorf("%w: its handle is %q", ErrRegistered, e.id.Handle)
		}
		e.id.Handle, e.upkeep.failure = handle, nil
		if err := e.update(e.saveIdentity); err != nil {
			return err
		}
		e.keepUp()
		return nil
	}
	id := &identity{
		Handle: handle, Recovery: newSecret(), Device: newSecret(), Secret: newSecret(), Writer: newSecret(),
		Relay: e.cfg.Relay.String(), KeyServer: e.cfg.KeyServer.String(), CreateID: newIdempotencyID(),
	}
	rand.Read(id.Inbox[:])
	root, err := keyserver.NewAccount(id.Recovery.signer(), id.Device.signer(), e.suites...)
	if err != nil {
		return err
	}
	id.Chain = [][]byte{root}
	account, err := keyserver.VerifyChain(id.Chain)
	if err != nil {
		return err
	}
	id.Account = account.ID
	e.id = id
	if err := e.update(e.saveIdentity); err != nil {
		return err
	}
	e.start()
	return nil
}

func (e *engine) saveIdentity(tx *state.Tx) error {
	return putRecord(tx, bucketMeta, identityKey, e.id)
}

func (e *engine) device() keyserver.DeviceID { return keyserver.DeviceOf(e.id.Device.signer()) }

// awaitRegistered returns when the directory has the account and its KeyPackages, or says no.
func (e *engine) awaitRegistered(ctx context.Context) error {
	for {
		e.mu.Lock()
		changed := e.registered
		e.mu.Unlock()
		var ready bool
		err := e.call(ctx, func() error {
			ready = e.id.Registered && e.id.InboxReady && e.id.PoolUpdated > 0
			return e.upkeep.failure
		})
		if err != nil || ready {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-e.done:
			return e.reason()
		}
	}
}

// announceProgress wakes who waits for the registration.
func (e *engine) announceProgress() {
	e.mu.Lock()
	close(e.registered)
	e.registered = make(chan struct{})
	e.mu.Unlock()
}
