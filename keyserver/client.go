package keyserver

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/sealpost/sealpost/mls"
)

// Options tune a [Client]; the zero value is good.
type Options struct {
	// DialContext opens the connections under TLS; nil is a plain dialer. Browsers ignore it.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// ListenPacket opens the UDP sockets under QUIC; nil is a plain one. If DialContext is set
	// and ListenPacket is not, there is no HTTP/3: it would go past a proxy.
	ListenPacket func(ctx context.Context, network, addr string) (net.PacketConn, error)
	// Timeout bounds each request as a whole, beside its context; 0 is 30 seconds.
	Timeout time.Duration
	// Clock gives the time that uploads and stock requests carry; nil is time.Now.
	Clock func() time.Time
}

// Client talks to one key server. It believes nothing that it can check: chains are
// verified, answers are compared with their requests, chunks with their hash. It retries
// nothing: every operation may be repeated by the caller, with the same arguments, until it
// is answered. An [*Error] is the server's refusal; any other error means that the outcome
// is unknown. A Client is safe for concurrent use.
//
// It connects by QUIC (HTTP/3), and after 200 ms also by TCP; the first connection is used,
// and no request is sent twice. After TCP has won it is dialled alone for ten minutes.
type Client struct {
	base  string
	http  *http.Client
	clock func() time.Time
}

// NewClient returns a client of the server at addr. It connects when it is first used.
func NewClient(addr Address, opts Options) *Client {
	if opts.Timeout == 0 {
		opts.Timeout = 30 * time.Second
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	return &Client{
		base:  addr.base(),
		clock: opts.Clock,
		http: &http.Client{
			Timeout: opts.Timeout,
			// A redirect would carry requests to a server that no address and no pin names.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport:     newTransport(addr, opts),
		},
	}
}

// Close drops idle connections. Requests that are under way end by their contexts.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Register registers the account that root begins (see [NewAccount]) under a handle; device
// is root's device. Repeating it with the same arguments is no error. [ErrHandleTaken] means
// that another account has the handle, [ErrConflict] that this account has another handle.
func (c *Client) Register(ctx context.Context, device ed25519.PrivateKey, handle string, root []byte) (AccountID, error) {
	q, err := SignRegister(device, handle, root)
	if err != nil {
		return AccountID{}, err
	}
	var p RegisterReply
	if err := c.do(ctx, EndpointRegister, q, &p); err != nil {
		return AccountID{}, err
	}
	if id := AccountID(EntryHash(root)); p.Account != id {
		return AccountID{}, fmt.Errorf("registered another account: %w", ErrLied)
	}
	return p.Account, nil
}

// AppendEntry adds an entry (see [AddDevice], [RemoveDevice]) to the account's chain.
// [ErrConflict] means that the chain has moved on; repeating an entry that is in the chain
// is no error.
func (c *Client) AppendEntry(ctx context.Context, account AccountID, entry []byte) error {
	var p AppendReply
	return c.do(ctx, EndpointAppend, &AppendRequest{Account: account, Entry: entry}, &p)
}

// Listing is a directory entry whose chain has been verified.
type Listing struct {
	Account *Account
	Handle  string // the directory's word
	Entries [][]byte
}

// Lookup finds an account by its handle. Which account has a handle is the server's word
// alone: a client keeps the account id of whoever it knows and uses [Client.LookupID].
func (c *Client) Lookup(ctx context.Context, handle string) (*Listing, error) {
	if err := CheckHandle(handle); err != nil {
		return nil, err
	}
	l, err := c.lookup(ctx, &LookupRequest{Handle: handle})
	if err == nil && l.Handle != handle {
		return nil, fmt.Errorf("look-up of another handle: %w", ErrLied)
	}
	return l, err
}

// LookupID finds an account by its id and checks that the chain is that account's.
func (c *Client) LookupID(ctx context.Context, account AccountID) (*Listing, error) {
	l, err := c.lookup(ctx, &LookupRequest{Account: account})
	if err == nil && l.Account.ID != account {
		return nil, fmt.Errorf("look-up of another account: %w", ErrLied)
	}
	return l, err
}

func (c *Client) lookup(ctx context.Context, q *LookupRequest) (*Listing, error) {
	var p LookupReply
	if err := c.do(ctx, EndpointLookup, q, &p); err != nil {
		return nil, err
	}
	a, err := p.Verify()
	if err != nil {
		return nil, err
	}
	return &Listing{Account: a, Handle: p.Handle, Entries: p.Entries}, nil
}

// Upload puts one-time packages and, unless it is nil, a last-resort package into the
// device's pool of a suite: all or none. incarnation comes from [Client.Stock]; on [ErrIncarnation] ask
// for the stock again and make fresh packages, never upload the old ones.
func (c *Client) Upload(ctx context.Context, device ed25519.PrivateKey, account AccountID, suite mls.Suite, incarnation [16]byte, packages [][]byte, lastResort []byte) (*StockReply, error) {
	q := &UploadRequest{Account: account, Suite: suite, Incarnation: incarnation, Packages: packages, LastResort: lastResort}
	q.Sign(device, c.clock())
	p := new(StockReply)
	if err := c.do(ctx, EndpointUpload, q, p); err != nil {
		return nil, err
	}
	return p, nil
}

// Stock tells how many packages the device's pool of a suite has.
func (c *Client) Stock(ctx context.Context, device ed25519.PrivateKey, account AccountID, suite mls.Suite) (*StockReply, error) {
	q := &StockRequest{Account: account, Suite: suite}
	q.Sign(device, c.clock())
	p := new(StockReply)
	if err := c.do(ctx, EndpointStock, q, p); err != nil {
		return nil, err
	}
	return p, nil
}

// Take takes one package of a suite of each of the account's devices. The caller keeps requestID, 32
// random bytes, until it has the answer: asking again with the same id gets the same
// packages. Each package must pass [CheckPackage] before it is used.
func (c *Client) Take(ctx context.Context, requestID [32]byte, account AccountID, suite mls.Suite) ([]Package, error) {
	var p TakeReply
	if err := c.do(ctx, EndpointTake, &TakeRequest{RequestID: requestID, Account: account, Suite: suite}, &p); err != nil {
		return nil, err
	}
	return p.Packages, nil
}

// PutChunk stores a sealed chunk of group state, 1 to [MaxChunk] bytes, and returns its
// name. The server keeps it for 90 days from the last time it was put.
func (c *Client) PutChunk(ctx context.Context, chunk []byte) (ChunkHash, error) {
	var p ChunkName
	if err := c.do(ctx, EndpointPutChunk, &Chunk{Data: chunk}, &p); err != nil {
		return ChunkHash{}, err
	}
	if p.Hash != HashChunk(chunk) {
		return ChunkHash{}, fmt.Errorf("stored another chunk: %w", ErrLied)
	}
	return p.Hash, nil
}

// GetChunk fetches a chunk and compares it with its name: a chunk that was changed, cut or
// exchanged ends in [ErrLied] (ATTACKS B14).
func (c *Client) GetChunk(ctx context.Context, hash ChunkHash) ([]byte, error) {
	var p Chunk
	if err := c.do(ctx, EndpointGetChunk, &ChunkName{Hash: hash}, &p); err != nil {
		return nil, err
	}
	if HashChunk(p.Data) != hash {
		return nil, fmt.Errorf("chunk of another hash: %w", ErrLied)
	}
	return slices.Clip(p.Data), nil
}
