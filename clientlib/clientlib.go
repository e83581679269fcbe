// Package clientlib is what a messenger links to speak Sealpost: accounts, conversations,
// end-to-end encrypted messages, history and search, on one encrypted file per device.
//
// Start with [Open], then [Client.Register], [Client.StartDirect] or [Client.CreateGroup],
// [Client.Send], and range over [Client.Events]. Every call that changes something returns
// when the change is on disk; the network is dealt with in the background, now or at the
// next start. Offline is not an error: a message sent before the first connection leaves
// when there is one.
//
// Exactly once: an incoming entry's MLS state, history row, event and cursor change in one
// transaction, and only then is the entry acked. Events carry durable ids and come again
// until confirmed, so an app that crashes while handling one sees it once more.
//
// All methods are safe for concurrent use. One process may open a store at a time.
//
// What members do at the moment (Client.Signal) is told now or never; files (Client.SendFile)
// go beside the messages, sealed, and resume where a connection broke.
//
// A device that cannot follow a conversation any more, by an insider's bad commit or since a
// commit is lost, says so and asks the other members for new keys; what is sent meanwhile waits
// ([EventCannotFollow], [EventReplaced]).
//
// If nobody can give them, the members who are shut out found a successor group, and the
// conversation goes on there ([EventSucceeded]).
//
// Out of scope so far, with their fields in place: linked devices.
package clientlib

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/clientlib/internal/transfer"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// MessageID names a message: stable when it is encrypted again, the same for all members
// (draft-ietf-mimi-content).
type MessageID = content.MessageID

// ConversationID names a conversation in this store. It is local and means nothing to others.
type ConversationID [32]byte

func (c ConversationID) String() string { return hex.EncodeToString(c[:8]) }

// Transport is a way to a relay.
type Transport = relayclient.Transport

// The transports, best first where the network lets all of them through.
const (
	WebTransport = relayclient.WebTransport
	WebSocket    = relayclient.WebSocket
	LongPolling  = relayclient.LongPolling
)

// groupID is the MLS group id: 32 random bytes.
type groupID [32]byte

// Config says where the store lies and which servers its account uses.
type Config struct {
	// Path of the store's file; its folder must exist.
	Path string
	// Files is the folder in which files lie, sealed, while they are on their way: made if it
	// does not exist, Path with ".files" behind it if empty.
	Files string
	// Key encrypts the store. Keep it in the system's key store; without it nothing opens.
	Key [32]byte
	// Relay keeps the inbox and the queues of groups created here.
	Relay relay.Address
	// KeyServer is the directory that the account registers at.
	KeyServer keyserver.Address
	// Logger gets what an operator may see: no ids, keys or content. Nil logs nothing.
	Logger *slog.Logger
	// Tap, if set, gets each frame to and from a relay as the relay may see it, before the
	// session seals it: for audits of what a server learns. It must not block.
	Tap func(sent bool, frame []byte)
	// Transports are the ways to a relay that are raced, best first; nil means all.
	Transports []Transport
	// DialContext, if set, replaces the net.Dialer for relays and key servers: for a proxy. A
	// relay is then reached over QUIC only if ListenPacket is set too.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// ListenPacket, if set, opens the UDP sockets under QUIC.
	ListenPacket func(ctx context.Context, network, addr string) (net.PacketConn, error)

	// What tests set: healGrace, votePatience and rules of groups if not zero.
	grace, votes time.Duration
	rules        *mls.Application
}

// A Client is one device of one account. Close it before the program ends; a program that
// is killed instead loses nothing either.
type Client struct {
	db  *state.DB
	eng *engine
}

// Open opens the store, creating it if there is none, and starts the connection in the
// background. Errors: a wrong key, a damaged store, or another process that holds it
// (state.ErrWrongKey, ErrCorrupt and ErrLocked of this package's store).
func Open(cfg Config) (*Client, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	db, err := state.Open(cfg.Path, cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	if cfg.Files == "" {
		cfg.Files = cfg.Path + ".files"
	}
	files, err := transfer.Open(cfg.Files, transfer.Options{})
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("opening the folder of sealed files: %w", err)
	}
	eng, err := newEngine(cfg, db, files)
	if err != nil {
		files.Close()
		db.Close()
		return nil, fmt.Errorf("reading the store: %w", err)
	}
	return &Client{db: db, eng: eng}, nil
}

// Close ends the connections and closes the store. What is queued stays queued.
func (c *Client) Close() error {
	c.eng.close()
	return errors.Join(c.eng.files.Close(), c.db.Close())
}

// Account returns this device's account; ErrNotRegistered before Register.
func (c *Client) Account(ctx context.Context) (id keyserver.AccountID, handle string, err error) {
	err = c.eng.call(ctx, func() error {
		if c.eng.id == nil {
			return ErrNotRegistered
		}
		id, handle = c.eng.id.Account, c.eng.id.Handle
		return nil
	})
	return id, handle, err
}

// Connected reports whether this device is connected to its relay now, and over what.
func (c *Client) Connected(ctx context.Context) (over Transport, ok bool, err error) {
	err = c.eng.call(ctx, func() error {
		if c.eng.id == nil {
			return ErrNotRegistered
		}
		if l := c.eng.links[c.eng.id.Relay]; l != nil && l.conn != nil {
			over, ok = l.conn.Transport(), true
		}
		return nil
	})
	return over, ok, err
}

// Register gives the store an account with a handle (keyserver's alphabet: a-z 0-9 . _ -)
// and waits until the directory has it. The account itself is on disk when Register
// starts to wait: if ctx ends first, registration goes on in the background, and
// conversations can be started at once. Calling it again with the same handle waits again.
func (c *Client) Register(ctx context.Context, handle string) error {
	if err := c.eng.call(ctx, func() error { return c.eng.createIdentity(handle) }); err != nil {
		return err
	}
	return c.eng.awaitRegistered(ctx)
}

// now is the wall clock as stored: whole seconds.
func (e *engine) now() int64 { return time.Now().Unix() }
