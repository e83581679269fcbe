// Package relayclient is a client's session with one relay.
//
// Start with [Dial] and [Conn.Attach]. A Conn carries any number of requests
// at once: every mutation returns a [Call] that resolves exactly once, and
// every attachment is a [Stream] of verified events. A Conn never reconnects:
// when it ends, every open Call resolves to an error that is [ErrDisconnected],
// every Stream is closed, and the caller dials again after [Backoff.Next] and
// repeats what has no outcome under the same idempotency ids, which is safe
// whether or not the relay took it the first time.
//
// What the relay says is not believed: a Stream checks that seqs are contiguous
// and computes the running hash itself, from the caller's own position, and a
// violation ends it with [ChainBroken].
//
// Out of scope: keys (clientlib derives them), what is inside envelopes, and
// when to retry. All methods are safe for concurrent use. Version 1 of the
// protocol is not frozen before release 1.0.
package relayclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// Our own limits.
const (
	// dialTimeout bounds TCP, TLS, HTTP and Noise together, when the caller's
	// context does not end sooner: a proxy that swallows one of them costs ten
	// seconds (ATTACKS R10, from the client's side).
	dialTimeout = 10 * time.Second
	// pingEvery is how often the client proves that it lives. Three of them fit
	// into the relay's IdleTimeout.
	pingEvery = 30 * time.Second
	// deadAfter without a byte means that the path is gone: two PONGs and their
	// round trips are missing.
	deadAfter = 75 * time.Second
	// writeTimeout bounds one transport write, at most writeChunk bytes: a peer
	// that accepts less than 2 KiB a second holds nobody's memory for longer.
	writeTimeout = 30 * time.Second
	writeChunk   = 64 << 10 // bytes
	// closeTimeout bounds what Close still tries to send.
	closeTimeout = time.Second
	// maxInFlight is how many requests are sent and not answered. The server
	// stops reading at relay.MaxInFlight, which would hold up ACKs and PINGs.
	maxInFlight = relay.MaxInFlight - 64
	// maxWaiting is how many requests wait behind those. A caller that is faster
	// than the relay blocks instead of filling memory.
	maxWaiting = 1024
	// maxFlightBytes bounds the requests in flight: a thousand of the largest
	// envelopes would be half a gigabyte. The server stops reading at a bound of
	// its own, 4 MiB in ours, which would hold up ACKs and PINGs.
	maxFlightBytes = 3 << 20
	// maxWaitingBytes bounds the requests that wait behind those.
	maxWaitingBytes = 8 << 20
	// writeBatch is how many bytes of frames the writer seals at a time.
	writeBatch = 256 << 10
)

// Errors that end a Conn or a Call, by what the caller does next.
var (
	// ErrDisconnected: the Conn ended before the answer came. Whether the relay
	// took the request is unknown; repeat it with the same idempotency id on
	// another Conn.
	ErrDisconnected = errors.New("relayclient: the session ended before the answer")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("relayclient: closed")
	// ErrTimeout: nothing was heard, or nothing could be sent, for too long.
	// Dial again.
	ErrTimeout = errors.New("relayclient: the relay does not respond")
	// ErrProtocol: the relay sent what the protocol forbids, or this is no relay
	// of this protocol. Dialling again is for an operator's repair to help.
	ErrProtocol = errors.New("relayclient: protocol violation by the relay")
	// ErrSessionFull: this session has used up its proofs. The request was
	// not sent; send it over a new Conn.
	ErrSessionFull = errors.New("relayclient: the session has no room for more proofs")
)

// UpgradeError: an HTTP server answered, but would not open a session. A
// Status of 429 or 503 means later, others that the address is not a relay's.
type UpgradeError struct{ Status int }

// Error names the HTTP status.
func (e *UpgradeError) Error() string {
	return fmt.Sprintf("relayclient: the server answered the upgrade with HTTP status %d", e.Status)
}

// CloseError: the relay ended the session and said why.
type CloseError struct{ Code relay.CloseCode }

// Error names the code in words.
func (e *CloseError) Error() string {
	return "relayclient: the relay closed the session: " + e.Code.String()
}

// Options of a Dial. The zero value is the normal one.
type Options struct {
	// FrameTap, if set, gets every frame of the session, uint32 length, type and
	// body, before it is sealed by Noise or after it was opened. It is a
	// debugging and auditing aid: it sees what the relay may see, and no more.
	// It is called from the Conn's two goroutines, one for each direction, must
	// not block, and must not keep or change frame.
	FrameTap func(sent bool, frame []byte)
	// DialNet opens the connection under TLS; nil means net.Dialer. Set it to
	// go through a proxy. No proxy is taken from the environment. Browsers
	// ignore it.
	DialNet func(ctx context.Context, network, addr string) (net.Conn, error)
	// Logger gets what is worth a developer's attention, without ids and
	// addresses; nil means none.
	Logger *slog.Logger
}

// Dial opens a session with the relay at addr: TLS 1.3, WebSocket and the Noise
// handshake, all within ten seconds or until ctx ends. After Dial has returned,
// ctx has no more effect; the caller closes the Conn.
//
// Errors: certpin.ErrMismatch and its siblings, [*UpgradeError], [ErrProtocol],
// session.ErrHandshake when whoever answers does not hold the relay's key,
// session.ErrVersion, and those of net and crypto/tls.
func Dial(ctx context.Context, addr relay.Address, opt Options) (*Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, ErrTimeout)
	defer cancel()
	c, err := dial(ctx, addr, opt)
	if err != nil && ctx.Err() != nil {
		// What the layer below reports for a cancelled handshake differs.
		return nil, fmt.Errorf("relayclient: dial: %w", context.Cause(ctx))
	}
	return c, err
}

func dial(ctx context.Context, addr relay.Address, opt Options) (*Conn, error) {
	ws, err := dialTransport(ctx, addr, opt)
	if err != nil {
		return nil, err
	}
	t := newTransport(ws)
	s, err := session.Client(ctx, t, addr.Key)
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("relayclient: %w", err)
	}
	return newConn(t, s, opt), nil
}
