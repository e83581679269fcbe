package clientlib

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/clientlib/history"
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
)

// Conversation describes a conversation of this store.
type Conversation struct {
	ID      ConversationID
	Kind    ConversationKind
	Name    string              // of a group; all members see it
	Peer    keyserver.AccountID // of a conversation of two
	Members []keyserver.AccountID
	// Active is false once this account was removed: the history can still be read.
	Active bool
}

// StartDirect starts, or finds, the conversation with an account that Find or AddCard knows.
// It works offline: the queue is made and the peer invited when there is a network.
func (c *Client) StartDirect(ctx context.Context, peer keyserver.AccountID) (ConversationID, error) {
	id := directID(peer)
	if _, err := c.eng.known(ctx, peer); err != nil {
		return id, err
	}
	if err := c.eng.freshen(ctx, id, []keyserver.AccountID{peer}); err != nil {
		return id, err
	}
	err := c.eng.call(ctx, func() error {
		switch {
		case c.eng.id == nil:
			return ErrNotRegistered
		case peer == c.eng.id.Account:
			return fmt.Errorf("%w: it is this one", ErrUnknownAccount)
		case c.eng.primary(id) != nil:
			return nil
		}
		_, err := c.eng.startGroup(Direct, "", id, peer, []keyserver.AccountID{peer})
		return err
	})
	return id, err
}

// CreateGroup starts a group. name is at most 256 bytes; members are accounts that Find or
// AddCard knows, added when there is a network. This account is the group's admin.
func (c *Client) CreateGroup(ctx context.Context, name string, members ...keyserver.AccountID) (id ConversationID, err error) {
	if !utf8.ValidString(name) {
		return id, fmt.Errorf("%w: the name is not UTF-8", ErrNotAllowed)
	}
	if len(name) > maxName {
		return id, fmt.Errorf("%w: a name of %d bytes, at most %d", ErrTooLarge, len(name), maxName)
	}
	if err := c.eng.freshen(ctx, id, members); err != nil {
		return id, err
	}
	err = c.eng.call(ctx, func() error {
		if c.eng.id == nil {
			return ErrNotRegistered
		}
		id, err = c.eng.startGroup(Group, name, id, keyserver.AccountID{}, members)
		return err
	})
	return id, err
}

// AddMembers adds all devices of the accounts. It returns when the wish is on disk;
// EventMemberAdded tells that it came true, EventFailed that it cannot.
func (c *Client) AddMembers(ctx context.Context, id ConversationID, accounts ...keyserver.AccountID) error {
	return c.changeGroup(ctx, id, func(tx *state.Tx, g *group) error { return c.eng.queueAdds(tx, g, accounts) })
}

// RemoveMember removes all devices of an account. Like AddMembers it returns early.
func (c *Client) RemoveMember(ctx context.Context, id ConversationID, account keyserver.AccountID) error {
	return c.changeGroup(ctx, id, func(tx *state.Tx, g *group) error {
		return c.eng.queueChange(tx, change{Group: g.id, Kind: changeRemove, Accounts: []keyserver.AccountID{account}})
	})
}

// RenewKeys replaces this device's keys in the conversation, for when they may have leaked:
// whoever had them reads nothing sent afterwards. Like AddMembers it returns early.
func (c *Client) RenewKeys(ctx context.Context, id ConversationID) error {
	return c.changeGroup(ctx, id, func(tx *state.Tx, g *group) error {
		return c.eng.queueChange(tx, change{Group: g.id, Kind: changeRenew})
	})
}

func (c *Client) changeGroup(ctx context.Context, id ConversationID, fn func(*state.Tx, *group) error) error {
	return c.eng.call(ctx, func() error {
		g, err := c.eng.writable(id)
		if err != nil {
			return err
		}
		if err := c.eng.update(func(tx *state.Tx) error { return fn(tx, g) }); err != nil {
			return err
		}
		c.eng.advance(g)
		return nil
	})
}

// sendRoom is what payload, MLS framing and signature take of an envelope beside the
// content: about 400 bytes, and padding to spare.
const sendRoom = 4 << 10

// Send queues a message and returns when it is on disk, in the outbox and in the history.
// EventSent tells that the relay has it. Sending the same Message again changes nothing.
// ErrTooLarge: content is for one envelope.
func (c *Client) Send(ctx context.Context, id ConversationID, m *content.Message) (MessageID, error) {
	return c.send(ctx, id, m, nil)
}

func (c *Client) send(ctx context.Context, id ConversationID, m *content.Message, file *outFile) (MessageID, error) {
	body, err := m.Encode()
	if err != nil {
		return MessageID{}, err
	}
	if len(body) > maxEnvelope-sendRoom {
		return MessageID{}, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(body), maxEnvelope-sendRoom)
	}
	var message MessageID
	err = c.eng.call(ctx, func() error {
		g, err := c.eng.writable(id)
		if err != nil {
			return err
		}
		e := c.eng
		if message, err = m.ID(senderURI(e.id.Account), e.roomOf(id)); err != nil {
			return err
		}
		err = e.update(func(tx *state.Tx) error {
			fresh, err := e.remember(tx, g, id, message, body, m.PlainText())
			if err != nil || !fresh {
				return err
			}
			return e.queueRow(tx, outRow{Conversation: id, Kind: payloadContent, ID: message, Body: body, State: rowQueued, File: file})
		})
		if err == nil {
			e.advance(g)
		}
		return err
	})
	return message, err
}

// remember puts an own message into the history, before anybody else has it.
// It reports false if it has it already.
func (e *engine) remember(tx *state.Tx, g *group, id ConversationID, message MessageID, body []byte, text string) (bool, error) {
	device := e.device()
	return history.Insert(tx, history.Entry{
		Conversation: id, MessageID: [32]byte(message), Sender: e.id.Account[:], Device: device[:], Group: g.id,
		SentAt: time.Now(), ReceivedAt: time.Now(), Status: history.Queued, Body: body, Text: text,
	})
}

// Conversations lists the store's conversations.
func (c *Client) Conversations(ctx context.Context) ([]Conversation, error) {
	var out []Conversation
	err := c.eng.call(ctx, func() error {
		for id, rec := range c.eng.convs {
			conv := Conversation{ID: id, Kind: rec.Kind, Name: rec.Name, Peer: rec.Peer}
			if g := c.eng.current(id); g != nil {
				conv.Active, conv.Members = true, g.accounts()
			}
			out = append(out, conv)
		}
		slices.SortFunc(out, func(a, b Conversation) int { return slices.Compare(a.ID[:], b.ID[:]) })
		return nil
	})
	return out, err
}

// Pending counts the messages and changes that still wait for the network.
func (c *Client) Pending(ctx context.Context) (messages, changes int, err error) {
	err = c.eng.call(ctx, func() error {
		messages, changes = len(c.eng.rows), len(c.eng.changes)
		return nil
	})
	return messages, changes, err
}

// History yields the messages of a conversation, oldest first.
//
// The list is as of the call; it holds all of it in memory, so that the store is free for
// other calls while the caller ranges. HistoryPage is for long conversations.
func (c *Client) History(ctx context.Context, id ConversationID) iter.Seq2[history.Entry, error] {
	return func(yield func(history.Entry, error) bool) {
		var all []history.Entry
		err := c.db.View(ctx, func(tx *state.Tx) error {
			for en, err := range history.All(tx, id) {
				if err != nil {
					return err
				}
				all = append(all, en)
			}
			return nil
		})
		if err != nil {
			yield(history.Entry{}, err)
			return
		}
		for _, en := range all {
			if !yield(en, nil) {
				return
			}
		}
	}
}

// HistoryPage returns at most limit messages, newest first, that stand before the given one;
// the zero Cursor begins at the end.
func (c *Client) HistoryPage(ctx context.Context, id ConversationID, before history.Cursor, limit int) (page []history.Entry, err error) {
	err = c.db.View(ctx, func(tx *state.Tx) error {
		page, err = history.List(tx, id, before, limit)
		return err
	})
	return page, err
}

// Search finds messages whose text contains query, newest first, in any script and case.
func (c *Client) Search(ctx context.Context, query string, limit int) (found []history.Entry, err error) {
	err = c.db.View(ctx, func(tx *state.Tx) error {
		found, err = history.Search(tx, query, limit)
		return err
	})
	return found, err
}
