// Package session runs the relay's frames over any ordered, reliable byte stream, sealed
// by a Noise NK handshake (Noise revision 34, Noise_NK_25519_ChaChaPoly_SHA256).
//
// Start with [Client] and [Server]; then one goroutine calls [Session.ReadFrame] and
// another [Session.WriteFrames]. What carries the stream (WebSocket, QUIC, a pipe) and
// what the frames mean are out of scope. The boundaries of the carrier's messages mean
// nothing, and whoever carries the stream can delay or cut it, but neither read, alter,
// repeat nor inject: every such change ends in [ErrHandshake] or [ErrRecord].
//
// Bytes: a record is uint16 length || that many bytes. The first two are the handshake's;
// every later one is a Noise ciphertext whose plaintexts, joined, are a stream of frames.
package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/flynn/noise"

	"github.com/sealpost/sealpost/relay"
)

// Errors that end a session. None can be mended on the same stream: the caller closes it
// and, as a client, connects again. They match with [errors.Is].
var (
	// ErrHandshake: the peer is not the relay of that key, or somebody altered the
	// handshake. For a client this is the answer of an impostor.
	ErrHandshake = errors.New("session: handshake failed")
	// ErrVersion: the two ends have no version in common, or announced unusable limits.
	ErrVersion = errors.New("session: no common version")
	// ErrRecord: a record was altered, repeated, injected, left out or of a bad length.
	ErrRecord = errors.New("session: record does not open")
	// ErrFrameTooLarge: a frame longer than the receiver's max_frame.
	ErrFrameTooLarge = errors.New("session: frame too large")
	// ErrMalformed: a frame that does not decode. It wraps the decoder's error.
	ErrMalformed = errors.New("session: malformed frame")
	// ErrUnexpected: a frame of an unknown type below 0x80, or of the other direction.
	ErrUnexpected = errors.New("session: unexpected frame")
)

// deadliner is what a stream may have besides io.ReadWriteCloser; net.Conn has it.
type deadliner interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Session is one sealed session after its handshake. ReadFrame is for one goroutine at a
// time; WriteFrames and Close are for any number.
type Session struct {
	// Static after the handshake.
	stream      io.ReadWriteCloser
	deadlines   deadliner // nil if the stream has none
	client      bool
	random      io.Reader // of the ephemeral key; test vectors fix it
	binding     relay.Binding
	incarnation relay.Incarnation
	features    []Feature
	maxWrite    int

	// Owned by the reader.
	maxRead     int           // bytes of type and body
	frameWithin time.Duration // from a frame's first byte to its last; 0 is no bound
	frameBy     time.Time     // zero while nothing of the next frame is there
	open        *noise.CipherState
	length      [2]byte
	partial     []byte // what has arrived of frames that are not complete
	readErr     error  // sticky
	readTimeout time.Duration

	mu           sync.Mutex // guards all below: two writers would use one nonce twice
	seal         *noise.CipherState
	writeErr     error // sticky
	writeTimeout time.Duration
}

// Client makes the handshake as the client of the relay whose key is relayKey. When ctx
// ends before the handshake does, or the handshake fails, stream is closed. The features are
// what this client takes.
//
// Errors: [ErrHandshake], [ErrVersion], ctx's, and those of the stream.
func Client(ctx context.Context, stream io.ReadWriteCloser, relayKey relay.RelayKey, features ...Feature) (*Session, error) {
	s := &Session{stream: stream, client: true, random: rand.Reader, features: features}
	s.binding.RelayKey = relayKey
	return s.start(ctx, func() error { return s.clientHandshake(relayKey) })
}

// Server makes the handshake as the relay that holds key. It tells the client the store's
// incarnation. The rest is as for [Client].
func Server(ctx context.Context, stream io.ReadWriteCloser, key PrivateKey, incarnation relay.Incarnation) (*Session, error) {
	return ServerInTurn(ctx, stream, key, incarnation, atOnce, func() {})
}

// atOnce is a turn that nobody waits for.
func atOnce() error { return nil }

// ServerInTurn is [Server] for a relay that paces its newcomers. take is called when the
// client's first record is there, before anything is computed of it, and give when that is
// done; the handshake fails with the error of take.
func ServerInTurn(
	ctx context.Context, stream io.ReadWriteCloser, key PrivateKey, incarnation relay.Incarnation, take func() error, give func(),
) (*Session, error) {
	s := &Session{stream: stream, random: rand.Reader, incarnation: incarnation}
	s.binding.RelayKey = key.Public()
	return s.start(ctx, func() error { return s.serverHandshake(key, take, give) })
}

// start runs the handshake. Closing the stream is what ends it early: a stream need not
// know deadlines.
func (s *Session) start(ctx context.Context, handshake func() error) (*Session, error) {
	s.deadlines, _ = s.stream.(deadliner)
	stop := context.AfterFunc(ctx, func() { _ = s.stream.Close() })
	err := handshake()
	if !stop() {
		err = ctx.Err() // the stream is closed under a handshake that may have just ended
	}
	if err != nil {
		_ = s.stream.Close()
		return nil, fmt.Errorf("session: %w", err)
	}
	return s, nil
}

// Binding returns what this session's signatures are bound to.
func (s *Session) Binding() relay.Binding { return s.binding }

// Incarnation returns the store's, as the relay told it in the handshake.
func (s *Session) Incarnation() relay.Incarnation { return s.incarnation }

// Takes reports whether the client of this session takes f.
func (s *Session) Takes(f Feature) bool { return slices.Contains(s.features, f) }

// SetTimeouts bounds how long one record may take to arrive and one transport write may
// stall; zero is no bound. It is called before the first ReadFrame and WriteFrames, and
// has an effect on streams with deadlines only. Both are per record of at most 64 KiB, so
// a slow line is served and a silent one is not.
func (s *Session) SetTimeouts(read, write time.Duration) {
	s.readTimeout = read
	s.mu.Lock()
	s.writeTimeout = write
	s.mu.Unlock()
}

// LimitFrames bounds the frames that are still to be read: to max bytes of type and body,
// never more than the hellos said, and to within from the first byte to the last, on streams
// with deadlines (0: no bound). For the reader's goroutine, between two calls of ReadFrame.
func (s *Session) LimitFrames(max int, within time.Duration) {
	s.maxRead, s.frameWithin = min(max, s.mostRead()), within
}

func (s *Session) mostRead() int {
	if s.client {
		return relay.MaxServerFrame
	}
	return relay.MaxClientFrame
}

// Close closes the stream; a ReadFrame or WriteFrames under way fails. Safe to call twice.
func (s *Session) Close() error { return s.stream.Close() }
