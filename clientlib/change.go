package clientlib

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
)

// pendingChange is a change in memory; owned by run.
type pendingChange struct {
	id  uint64
	rec change
}

// maxAdd is how many members one commit adds (DESIGN section 4): more make further commits.
const maxAdd = 100

// addition is a device about to be added.
type addition struct {
	pkg        *keyserver.CheckedPackage
	contact    *contact
	extension  []byte // contact as it stood in the package
	account    keyserver.AccountID
	device     keyserver.DeviceID
	lastResort bool
}

func (e *engine) queueChange(tx *state.Tx, c change) error {
	id, err := tx.NextID(bucketChange)
	if err != nil {
		return err
	}
	if err := putRecord(tx, bucketChange, counterKey(id), c); err != nil {
		return err
	}
	e.changes = append(e.changes, &pendingChange{id: id, rec: c})
	return nil
}

// finishChange ends a change.
func (e *engine) finishChange(tx *state.Tx, id uint64) error {
	e.changes = slices.DeleteFunc(e.changes, func(c *pendingChange) bool { return c.id == id })
	return tx.Delete(bucketChange, counterKey(id))
}

// failChange gives a change up and tells the app why.
func (e *engine) failChange(g *group, c *pendingChange, why error) {
	_ = e.update(func(tx *state.Tx) error {
		if err := e.finishChange(tx, c.id); err != nil {
			return err
		}
		ev := Event{Kind: EventFailed, Conversation: g.rec.Conversation, Detail: why.Error()}
		if len(c.rec.Accounts) > 0 {
			ev.Account = c.rec.Accounts[0]
		}
		return e.emit(tx, ev)
	})
}

func (e *engine) nextChange(g *group) *pendingChange {
	for _, c := range e.changes {
		if c.rec.Group == g.id {
			return c
		}
	}
	return nil
}

// demandRenewal makes sure that this device commits soon, whatever else it has to do.
func (e *engine) demandRenewal(g *group) {
	if e.nextChange(g) != nil || g.pend != nil {
		return
	}
	if e.update(func(tx *state.Tx) error { return e.queueChange(tx, change{Group: g.id, Kind: changeRenew}) }) == nil {
		e.startChange(g)
	}
}

func (g *group) holdCommits(d time.Duration) {
	if at := time.Now().Add(d); at.After(g.quiet) {
		g.quiet = at
	}
}

// wakeGroup calls advance when the group may commit again.
func (e *engine) wakeGroup(g *group) {
	e.after(max(0, time.Until(g.quiet)), func() { e.advance(g) })
}

// startChange begins the next change of a group: with the KeyPackages of whom it adds, or at once.
func (e *engine) startChange(g *group) {
	c := e.nextChange(g)
	if c == nil || g.preparing || g.pend != nil || time.Now().Before(g.quiet) {
		return
	}
	if c.rec.Kind != changeAdd {
		e.buildCommit(g, c, nil)
		return
	}
	g.preparing = true
	wanted := c.rec.Accounts
	known := make([]*knownAccount, len(wanted))
	err := e.db.View(e.ctx, func(tx *state.Tx) (err error) {
		for i, a := range wanted {
			if known[i], err = getRecord[knownAccount](tx, bucketAccount, a[:]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		e.fail(err)
		return
	}
	e.spawn(func(ctx context.Context) {
		var adds []addition
		err := untilDone(ctx, func() (bool, error) {
			adds = adds[:0]
			for i, account := range wanted {
				got, err := e.takePackages(ctx, c.rec.Request, account, known[i])
				if err != nil {
					return !permanent(err), fmt.Errorf("adding a member: %w", err)
				}
				adds = append(adds, got...)
			}
			return false, nil
		})
		e.post(func() {
			g.preparing = false
			if err != nil {
				e.failChange(g, c, err)
				e.advance(g)
				return
			}
			e.buildCommit(g, c, adds)
		})
	})
}

// permanent reports whether asking the key server again cannot help.
func permanent(err error) bool {
	for _, final := range []error{
		keyserver.ErrNotFound, keyserver.ErrLied, keyserver.ErrChain, keyserver.ErrPackage, keyserver.ErrExpired,
		keyserver.ErrTooLarge, ErrBadCard, ErrUnknownAccount, context.Canceled,
	} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

// takePackages gets a verified KeyPackage of each device of an account: from the directory,
// or the one of a contact card where the directory has never heard of the account.
func (e *engine) takePackages(ctx context.Context, request [32]byte, account keyserver.AccountID, known *knownAccount) ([]addition, error) {
	listing, err := e.keys.LookupID(ctx, account)
	if errors.Is(err, keyserver.ErrNotFound) && known != nil && len(known.KeyPackage) > 0 {
		return cardPackage(known)
	}
	if err != nil {
		return nil, err
	}
	packages, err := e.keys.Take(ctx, perAccount(request, account), account)
	if err != nil {
		return nil, err
	}
	if len(packages) == 0 {
		return nil, errNoPackage
	}
	var out []addition
	for _, p := range packages {
		a, err := checkAddition(p.KeyPackage, listing.Account, p.Device, p.LastResort)
		if err != nil {
			return nil, err
		}
		out = append(out, *a)
	}
	return out, nil
}

// errNoPackage passes: the device uploads when it is online.
var errNoPackage = errors.New("clientlib: account has no KeyPackage at the moment")

// perAccount makes one request id for each account of a change, the same at every try.
func perAccount(request [32]byte, account keyserver.AccountID) [32]byte {
	return [32]byte(secret(request[:]).derive("sealpost take 1", account[:]))
}

func cardPackage(known *knownAccount) ([]addition, error) {
	account, err := keyserver.VerifyChain(known.Chain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCard, err)
	}
	kp, err := mls.ParseKeyPackage(known.KeyPackage)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCard, err)
	}
	cred, err := parseCredential(kp.Credential())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCard, err)
	}
	a, err := checkAddition(known.KeyPackage, account, cred.Device, true)
	if err != nil {
		return nil, err
	}
	return []addition{*a}, nil
}

// checkAddition is the account check before one proposes (RFC 9420 section 5.3.1): the
// package verifies, and its device is in the account's chain.
func checkAddition(b []byte, account *keyserver.Account, device keyserver.DeviceID, lastResort bool) (*addition, error) {
	pkg, err := keyserver.CheckPackage(b, account, device, time.Now())
	if err != nil {
		return nil, err
	}
	ct, err := contactOf(pkg.KeyPackage)
	if err != nil {
		return nil, err
	}
	extension, _ := pkg.Extension(extensionContact)
	return &addition{
		pkg: pkg, contact: ct, extension: extension, account: account.ID, device: device, lastResort: lastResort,
	}, nil
}
