package clientlib

import (
	"context"
	"sync"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
)

// The look-ups before a group is begun: as many at once, and all in this time. A directory that
// does not answer delays a group, and prevents none.
const (
	freshenAtOnce = 8
	freshenTime   = 5 * time.Second
)

// freshen asks the directory for the chains of those who, as far as is known here, lack the best
// suite, before a group with them is begun: they may have learnt it since, and the group keeps its
// suite for ever. It does nothing offline, and for a conversation that there is.
func (e *engine) freshen(ctx context.Context, id ConversationID, accounts []keyserver.AccountID) error {
	var behind []keyserver.AccountID
	err := e.call(ctx, func() error {
		if e.id == nil || e.primary(id) != nil {
			return nil
		}
		if l := e.links[e.id.Relay]; l == nil || l.conn == nil {
			return nil
		}
		return e.db.View(ctx, func(tx *state.Tx) error {
			for _, account := range accounts {
				if s, err := e.suiteFor(tx, []keyserver.AccountID{account}); err != nil || s != e.suites[0] {
					behind = append(behind, account)
				}
			}
			return nil
		})
	})
	if err != nil || len(behind) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, freshenTime)
	defer cancel()
	var wg sync.WaitGroup
	room := make(chan struct{}, freshenAtOnce)
	for _, account := range behind {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			known, err := e.known(ctx, account)
			if err != nil {
				return
			}
			if listing, err := e.lookUp(ctx, account, known); err == nil {
				_ = e.learnNews(ctx, account, known, listing)
			}
		})
	}
	wg.Wait()
	return nil
}

// learnNews keeps a chain that has grown.
func (e *engine) learnNews(ctx context.Context, account keyserver.AccountID, known *knownAccount, listing *keyserver.Listing) error {
	if known != nil && len(known.Chain) == len(listing.Entries) {
		return nil
	}
	return e.call(ctx, func() error {
		return e.update(func(tx *state.Tx) error {
			return e.learn(tx, account, &knownAccount{Handle: listing.Handle, Chain: listing.Entries, CheckedAt: e.now()})
		})
	})
}
