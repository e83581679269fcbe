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
	"github.com/sealpost/sealpost/relay/relayclient"
)

// pendingChange is a change in memory; owned by run.
type pendingChange struct {
	id        uint64
	rec       change
	notBefore time.Time // until when nobody of it can be added
	backoff   relayclient.Backoff
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
		if len(c.rec.Accounts) == 1 { // of several nobody knows whose fault it is
			ev.Account = c.rec.Accounts[0]
		}
		return e.emit(tx, ev)
	})
}

// nextChange is what the group commits next. What takes keys away from somebody goes first,
// and never waits for KeyPackages of somebody else.
func (e *engine) nextChange(g *group) *pendingChange {
	var later *pendingChange
	now := time.Now()
	for _, c := range e.changes {
		switch {
		case c.rec.Group != g.id || now.Before(c.notBefore):
		case c.rec.Kind != changeAdd && c.rec.Kind != changeReplace:
			return c
		case later == nil || later.rec.Kind == changeAdd && c.rec.Kind == changeReplace:
			later = c
		}
	}
	return later
}

func (e *engine) changeByID(id uint64) *pendingChange {
	for _, c := range e.changes {
		if c.id == id {
			return c
		}
	}
	return nil
}

// Renewals that a stale writer key asks for. An insider can take the key again, and a relay
// can lie that it was taken: the pauses between them double.
const (
	renewPause   = 250 * time.Millisecond
	renewDoubles = 8
)

// demandRenewal makes sure that this device commits soon, whatever else it has to do.
func (e *engine) demandRenewal(g *group) {
	if g.pend != nil || g.renewDemanded {
		return
	}
	for _, c := range e.changes {
		if c.rec.Group == g.id && c.rec.Kind == changeRenew {
			return
		}
	}
	demand := func() {
		g.renewDemanded = false
		if !g.live() || g.pend != nil {
			return
		}
		if e.update(func(tx *state.Tx) error { return e.queueChange(tx, change{Group: g.id, Kind: changeRenew}) }) == nil {
			e.advance(g)
		}
	}
	g.renewDemanded = true
	g.renewals++
	if g.renewals == 1 {
		e.after(0, demand)
		return
	}
	e.after(renewPause<<min(g.renewals-2, renewDoubles), demand)
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
	if c == nil || g.pend != nil || time.Now().Before(g.quiet) {
		return
	}
	switch {
	case c.rec.Kind != changeAdd && c.rec.Kind != changeReplace:
		e.buildCommit(g, c, nil)
	case g.preparing:
	case c.rec.Kind == changeReplace:
		e.prepareReplace(g, c)
	case e.stillLate(g, c):
		g.preparing = true
		e.prepareAdds(g, c)
	}
}

// prepared is what became of the accounts of a change.
type prepared struct {
	adds    []addition
	ready   []keyserver.AccountID
	waiting []keyserver.AccountID // asked for again later
	failed  map[keyserver.AccountID]error
}

// prepareAdds fetches the KeyPackages of everybody whom a change adds. An account that has
// none at the moment does not hold up the others.
func (e *engine) prepareAdds(g *group, c *pendingChange) {
	wanted, suite := c.rec.Accounts, g.mls.Suite()
	e.spawn(func(ctx context.Context) {
		p := prepared{failed: map[keyserver.AccountID]error{}}
		for _, account := range wanted {
			got, err := e.takePackages(ctx, c.rec.Request, account, suite)
			switch {
			case err == nil:
				p.adds, p.ready = append(p.adds, got...), append(p.ready, account)
			case permanent(err):
				p.failed[account] = fmt.Errorf("adding a member: %w", err)
			default:
				p.waiting = append(p.waiting, account)
			}
		}
		e.post(func() {
			g.preparing = false
			if ctx.Err() == nil && e.splitChange(g, c, &p) {
				e.buildCommit(g, c, p.adds)
			}
		})
	})
}

// splitChange leaves in a change whom it can add now, and reports whether there is anybody.
func (e *engine) splitChange(g *group, c *pendingChange, p *prepared) bool {
	if !slices.Contains(e.changes, c) || !g.live() {
		return false
	}
	pause := c.backoff.Next(0, 0)
	err := e.update(func(tx *state.Tx) error {
		for account, why := range p.failed {
			ev := Event{Kind: EventFailed, Conversation: g.rec.Conversation, Account: account, Detail: why.Error()}
			if err := e.emit(tx, ev); err != nil {
				return err
			}
		}
		if len(p.waiting) > 0 && len(p.ready) > 0 {
			rest := change{Group: g.id, Kind: changeAdd, Accounts: p.waiting, Request: c.rec.Request, Late: c.rec.Late}
			if err := e.queueChange(tx, rest); err != nil {
				return err
			}
			e.changes[len(e.changes)-1].notBefore = time.Now().Add(pause)
		}
		c.rec.Accounts = p.ready
		if len(p.ready) == 0 {
			c.rec.Accounts = p.waiting
			c.notBefore = time.Now().Add(pause)
		}
		if len(c.rec.Accounts) == 0 {
			return e.finishChange(tx, c.id)
		}
		return putRecord(tx, bucketChange, counterKey(c.id), c.rec)
	})
	if err != nil {
		return false
	}
	if len(p.waiting) > 0 {
		e.after(pause, func() { e.advance(g) })
	}
	if len(p.ready) == 0 {
		e.advance(g) // there may be something else to do
	}
	return len(p.ready) > 0
}

// permanent reports whether asking the key server again cannot help.
func permanent(err error) bool {
	for _, final := range []error{
		keyserver.ErrNotFound, keyserver.ErrLied, keyserver.ErrChain, keyserver.ErrPackage, keyserver.ErrExpired,
		keyserver.ErrTooLarge, keyserver.ErrInvalid, keyserver.ErrDenied, ErrBadCard, ErrUnknownAccount, errWithoutSuite, context.Canceled,
	} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

// takePackages gets a verified KeyPackage of a suite of each device of an account: from the
// directory, or the one of a contact card where the directory has never heard of the account.
func (e *engine) takePackages(ctx context.Context, request [32]byte, account keyserver.AccountID, suite mls.Suite) ([]addition, error) {
	known, err := e.known(ctx, account)
	if err != nil && !errors.Is(err, ErrUnknownAccount) {
		return nil, err
	}
	listing, err := e.lookUp(ctx, account, known)
	if errors.Is(err, keyserver.ErrNotFound) && known != nil && len(known.KeyPackage) > 0 {
		return cardPackage(known, suite)
	}
	if err != nil {
		return nil, err
	}
	if err := e.learnNews(ctx, account, known, listing); err != nil {
		return nil, err
	}
	if !canJoin(listing.Account, suite) {
		return nil, errWithoutSuite
	}
	packages, err := e.anonymous.Take(ctx, perAccount(request, account), account, suite)
	if err != nil {
		return nil, err
	}
	if len(packages) == 0 {
		return nil, errNoPackage
	}
	var out []addition
	for _, p := range packages {
		a, err := checkAddition(p.KeyPackage, listing.Account, p.Device, suite, p.LastResort)
		if err != nil {
			return nil, err
		}
		out = append(out, *a)
	}
	return out, nil
}

// lookUp asks the directory for an account. A chain that does not continue the one that is
// known is an older one, in which a device that was removed still stands, or another: either
// way the directory lies.
func (e *engine) lookUp(ctx context.Context, account keyserver.AccountID, known *knownAccount) (*keyserver.Listing, error) {
	listing, err := e.anonymous.LookupID(ctx, account)
	if err != nil {
		return nil, err
	}
	if known != nil && !extends(known.Chain, listing.Entries) {
		return nil, fmt.Errorf("%w: its chain does not continue the one known here", keyserver.ErrLied)
	}
	return listing, nil
}

// errNoPackage passes: the device uploads when it is online.
var errNoPackage = errors.New("clientlib: account has no KeyPackage at the moment")

// perAccount makes one request id for each account of a change, the same at every try.
func perAccount(request [32]byte, account keyserver.AccountID) [32]byte {
	return [32]byte(secret(request[:]).derive("sealpost take 1", account[:]))
}

// cardPackage gets the KeyPackage of a contact card. One of another suite than those asked for
// passes like none: the directory may come to know the account.
func cardPackage(known *knownAccount, among ...mls.Suite) ([]addition, error) {
	account, err := keyserver.VerifyChain(known.Chain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCard, err)
	}
	kp, err := mls.ParseKeyPackage(known.KeyPackage)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCard, err)
	}
	if !slices.Contains(among, kp.Suite()) {
		return nil, fmt.Errorf("%w: that of its card is of %v", errNoPackage, kp.Suite())
	}
	cred, err := parseCredential(kp.Credential())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCard, err)
	}
	a, err := checkAddition(known.KeyPackage, account, cred.Device, kp.Suite(), true)
	if err != nil {
		return nil, err
	}
	return []addition{*a}, nil
}

// checkAddition is the account check before one proposes (RFC 9420 section 5.3.1): the
// package verifies, and its device is in the account's chain and states the group's suite there.
func checkAddition(b []byte, account *keyserver.Account, device keyserver.DeviceID, suite mls.Suite, lastResort bool) (*addition, error) {
	pkg, err := keyserver.CheckPackage(b, account, device, time.Now())
	if err != nil {
		return nil, err
	}
	if s := pkg.Suite(); s != suite {
		// It could not be in the group, and the commit that adds it would fail for everybody else.
		return nil, fmt.Errorf("%w: of %v, asked for as of %v", keyserver.ErrPackage, s, suite)
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
