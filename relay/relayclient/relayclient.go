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
)

// Our own limits.
const (
	// dialTimeout bounds the whole race, from the sockets to Noise, when the caller's
	// context does not end sooner: a network that swallows a part of each costs ten
	// seconds (ATTACKS R10, from the client's side).
	dialTimeout = 10 * time.Second
	// pingEvery is how often the client proves that it lives. Three of them fit
	// into the relay's IdleTimeout.
	pingEvery = 30 * time.Second
	// udpPingEvery is the same over UDP, whose bindings many NATs forget after 30 seconds:
	// behind a forgotten one nothing is heard until the relay is told the new address.
	udpPingEvery = 20 * time.Second
	// probeAfter without a byte, while a request waits, is when the client asks over UDP
	// whether the relay still knows the session. TCP tells of a relay that was restarted by
	// itself; QUIC tells whoever sends (RFC 9000 section 10.3).
	probeAfter = time.Second
	// probeFor is how long it asks. A network that has begun to swallow UDP costs this much,
	// and then a race, that of a relay that was switched off.
	probeFor = 15 * time.Second
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
	// ErrNoTransport: of the transports asked for, none can be used here.
	ErrNoTransport = errors.New("relayclient: no transport to dial with")
	// ErrSessionFull: this session has used up its proofs. The request was
	// not sent; send it over a new Conn.
	ErrSessionFull = errors.New("relayclient: the session has no room for more proofs")
)

// UpgradeError: an HTTP server answered, but would not open a session, or go on with one. A
// Status of 429 or 503 means later, others that the address is not a relay's.
type UpgradeError struct {
	Status int
	// RetryAfter is when to come again, as whoever answered would have it; zero if it did not say.
	RetryAfter time.Duration
}

// Error names the HTTP status.
func (e *UpgradeError) Error() string {
	return fmt.Sprintf("relayclient: the server answered with HTTP status %d", e.Status)
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
	// It is called from the Conn's goroutines, by one at a time for each direction, must
	// not block, and must not keep or change frame.
	FrameTap func(sent bool, frame []byte)
	// Transports are those to race, best first; nil means all three. Browsers have
	// WebSocket alone.
	Transports []Transport
	// DialNet opens the connections under TLS; nil means net.Dialer. Set it to
	// go through a proxy. No proxy is taken from the environment. Browsers
	// ignore it.
	DialNet func(ctx context.Context, network, addr string) (net.Conn, error)
	// ListenPacket opens the UDP socket under QUIC, one for each session; nil means
	// net.ListenConfig. The relay's name is looked up by the system. If DialNet is set and
	// ListenPacket is not, WebTransport is not tried: it would go past the proxy.
	ListenPacket func(ctx context.Context, network, addr string) (net.PacketConn, error)
	// Remember, if set, is told which transport won, and has it tried first the next time.
	Remember *Memory
	// Logger gets what is worth a developer's attention, without ids and
	// addresses; nil means none.
	Logger *slog.Logger
}
