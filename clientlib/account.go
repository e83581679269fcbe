package clientlib

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
)

// Card returns the contact card of this account, to hand over in person.
func (c *Client) Card(ctx context.Context) (ContactCard, error) {
	var card ContactCard
	err := c.eng.call(ctx, func() error {
		if c.eng.id == nil {
			return ErrNotRegistered
		}
		var last []byte
		if stated := c.eng.stated(); len(stated) > 0 {
			var err error
			if last, err = c.eng.lastResort(stated[0]); err != nil {
				return err
			}
		}
		card = ContactCard{Handle: c.eng.id.Handle, Chain: c.eng.id.Chain, KeyPackage: last}
		return nil
	})
	return card, err
}

// Find asks the directory for a handle, verifies the account's chain, and keeps the account
// as a contact. ErrUnknownAccount: nobody has that handle (yet). Which account a handle
// belongs to is the directory's word; a contact card does without it.
func (c *Client) Find(ctx context.Context, handle string) (keyserver.AccountID, error) {
	listing, err := c.eng.anonymous.Lookup(ctx, handle)
	if errors.Is(err, keyserver.ErrNotFound) {
		return keyserver.AccountID{}, fmt.Errorf("%w: %q", ErrUnknownAccount, handle)
	}
	if err != nil {
		return keyserver.AccountID{}, fmt.Errorf("asking the directory: %w", err)
	}
	id := listing.Account.ID
	err = c.eng.call(ctx, func() error {
		return c.eng.update(func(tx *state.Tx) error {
			return c.eng.learn(tx, id, &knownAccount{Handle: listing.Handle, Chain: listing.Entries, CheckedAt: c.eng.now()})
		})
	})
	return id, err
}

// AddCard verifies a contact card and keeps its account as a contact. It needs no network.
func (c *Client) AddCard(ctx context.Context, card ContactCard) (keyserver.AccountID, error) {
	account, err := card.account()
	if err != nil {
		return keyserver.AccountID{}, err
	}
	k := &knownAccount{Handle: card.Handle, Chain: card.Chain, KeyPackage: card.KeyPackage}
	if len(card.KeyPackage) > 0 {
		if _, err := cardPackage(k, suites...); err != nil {
			return keyserver.AccountID{}, fmt.Errorf("%w: %w", ErrBadCard, err)
		}
	}
	err = c.eng.call(ctx, func() error {
		return c.eng.update(func(tx *state.Tx) error { return c.eng.learn(tx, account.ID, k) })
	})
	return account.ID, err
}

// Handle is what an account is called, as far as this store knows; empty if it does not.
func (c *Client) Handle(ctx context.Context, account keyserver.AccountID) (string, error) {
	if id, handle, err := c.Account(ctx); err == nil && id == account {
		return handle, nil
	}
	k, err := c.eng.known(ctx, account)
	if errors.Is(err, ErrUnknownAccount) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return k.Handle, nil
}

// known reads a verified account; ErrUnknownAccount if there is none.
func (e *engine) known(ctx context.Context, account keyserver.AccountID) (k *knownAccount, err error) {
	err = e.db.View(ctx, func(tx *state.Tx) error {
		k, err = getRecord[knownAccount](tx, bucketAccount, account[:])
		return err
	})
	if err == nil && k == nil {
		err = ErrUnknownAccount
	}
	return k, err
}

// learn keeps what a look-up or a card says of an account. A chain only ever grows: a shorter
// one, or one that takes another way, is not believed over what is known.
func (e *engine) learn(tx *state.Tx, id keyserver.AccountID, k *knownAccount) error {
	if keyserver.CheckHandle(k.Handle) != nil {
		k.Handle = ""
	}
	old, err := getRecord[knownAccount](tx, bucketAccount, id[:])
	if err != nil {
		return err
	}
	if old != nil {
		if !extends(old.Chain, k.Chain) {
			k.Chain = old.Chain
		}
		if len(k.KeyPackage) == 0 {
			k.KeyPackage = old.KeyPackage
		}
		if old.Handle != "" {
			k.Handle = old.Handle // a directory does not rename whom the user knows
		}
	}
	return putRecord(tx, bucketAccount, id[:], k)
}

func extends(old, now [][]byte) bool {
	if len(now) < len(old) {
		return false
	}
	for i := range old {
		if string(old[i]) != string(now[i]) {
			return false
		}
	}
	return true
}
