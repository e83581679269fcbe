// Package relayserver serves the relay's protocol (relay/PROTOCOL.md) over WebSocket,
// WebTransport and long polling.
//
// Start with [Open]; the [Server] is an http.Handler for relay.Path and what is below it, and
// [Server.ServeWebTransport] returns the one for HTTP/3. Whatever carries it, a session is an
// ordered stream of bytes with deadlines, and from there on nothing differs. It has two
// goroutines: the reader verifies proofs and signatures and submits mutations without
// waiting for them; the writer sends answers and deliveries, many to a write. Whether a key
// may do what it signed is decided by the queue at the moment of applying, not here. Blobs
// are files, which a third goroutine reads and writes while the session has something to do
// with them.
//
// Newcomers wait for their turn with what they make the server compute, their handshake and
// their proofs, so that many at once do not take those who are in the processors ([Config].Turns).
//
// What a peer can make the server hold is bounded: requests in flight by number and bytes
// (then its session is not read from), deliveries by its window, blobs by what it takes, silence by deadlines,
// sessions and CREATEs by address prefix. Logs name no id, key or address.
//
// The WebSocket is gobwas/ws: least memory for each idle connection of those measured, and
// its frame headers can be read without its readers, so payloads stream through with no
// buffer at all. Out of scope: TLS and listening; [QUICConfig] says what a listener for QUIC
// needs.
package relayserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/internal/turns"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/internal/blob"
	"github.com/sealpost/sealpost/relay/internal/queue"
	"github.com/sealpost/sealpost/relay/session"
)

// Config is what a Server is made of.
type Config struct {
	Dir        string             // the queues' store; made if it does not exist
	BlobDir    string             // the blobs' files, in a folder of their own; Dir + "-blobs" if empty
	StorageKey [32]byte           // seals what is in Dir
	Key        session.PrivateKey // the relay's identity, part of its address
	Limits     Limits
	Queues     QueueLimits
	Turns      *turns.Turns // that handshakes and proofs wait for; nil: for nothing
	Origins    []string     // allowed values of Origin, exactly; programs send none
	Logger     *slog.Logger // nil: nothing is logged
	Metrics    *metrics.Set // what the relay does is counted in; nil: nowhere
	Restored   bool         // Dir was restored from a backup: the store begins a new incarnation
	Waker      Waker        // calls devices that are not attached; nil: nobody does
}

// QueueLimits bound what one queue, reader or writer may use, and blobs. Zero fields take defaults.
type QueueLimits = queue.Limits

// A Waker is what a push bridge offers the relay: see [queue.Waker].
type Waker = queue.Waker

// A Sleeper is a reader that a Waker has called.
type Sleeper = queue.Sleeper

// A WakeName is a reader as a Waker knows it.
type WakeName = queue.WakeName

// Server answers sessions from one store. It is safe for concurrent use.
type Server struct {
	// Static after Open.
	store   *queue.Store
	blobs   *blob.Store
	disk    chan struct{} // holds a token for each session that is at the disk for a blob
	key     session.PrivateKey
	limits  Limits
	turns   *turns.Turns
	origins []string
	log     *slog.Logger
	metrics *metrics.Relay
	creates *buckets
	adds    *buckets        // bytes of new blobs
	ctx     context.Context // ends when draining begins: handshakes under way are given up
	cancel  context.CancelFunc
	kept    budget // of what clients are slow to take

	sessions sync.WaitGroup // one for each admitted connection

	mu       sync.Mutex // guards all below
	draining bool
	open     int // sessions, from admission on
	byPrefix map[netip.Prefix]int
	bySite   map[netip.Prefix]int // see siteOf
	peers    map[*peer]struct{}
	polls    map[string]*pollStream // by token
}

var (
	errFull       = errors.New("too many sessions")
	errPrefixFull = errors.New("too many sessions from this network")
	errDraining   = errors.New("going away")
)

// Open opens the store in cfg.Dir and returns a Server of it, which the caller ends with
// [Server.Shutdown]. The errors are the store's.
func Open(cfg Config) (*Server, error) {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	blobs, err := blob.Open(blob.Config{Dir: cmp.Or(cfg.BlobDir, cfg.Dir+"-blobs")})
	if err != nil {
		return nil, fmt.Errorf("relayserver: %w", err)
	}
	counted := cfg.Metrics
	if counted == nil {
		counted = metrics.New()
	}
	store, err := queue.Open(queue.Config{
		Dir: cfg.Dir, StorageKey: cfg.StorageKey, RelayKey: cfg.Key.Public(),
		Limits: cfg.Queues, Logger: log, Restored: cfg.Restored, Blobs: blobs, Waker: cfg.Waker,
		Metrics: counted.Store(metrics.RelayStore),
	})
	if err != nil {
		_ = blobs.Close()
		return nil, fmt.Errorf("relayserver: %w", err)
	}
	s := &Server{
		store: store, blobs: blobs, disk: make(chan struct{}, maxDisk), key: cfg.Key, limits: cfg.Limits.withDefaults(),
		turns: cfg.Turns, origins: slices.Clone(cfg.Origins), log: log, metrics: counted.Relay(),
		byPrefix: make(map[netip.Prefix]int), bySite: make(map[netip.Prefix]int), peers: make(map[*peer]struct{}), polls: make(map[string]*pollStream),
	}
	s.kept.most, s.kept.share = s.limits.Backlog, fairShare
	s.creates = newBuckets(s.limits.CreateBurst, s.limits.CreateEvery)
	added := int(max(store.RelayBlobs()/blobShare, store.MaxBlob()))
	s.adds = newBuckets(added, 24*time.Hour/time.Duration(added))
	s.measure()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Syncs returns how often the store has waited for the disk since Open: twice for each
// batch of mutations.
func (s *Server) Syncs() uint64 { return s.store.Syncs() }

// Erased returns how many entries the store has erased since Open.
func (s *Server) Erased() uint64 { return s.store.Erased() }

// Failed is closed when the store has failed: nothing is accepted any more until it is opened
// again. Sessions go on, for reading what is there.
func (s *Server) Failed() <-chan struct{} { return s.store.Failed() }

// Short reports whether the disk has no room for anything new: reads and acks go on.
func (s *Server) Short() bool { return s.store.Short() }

// admit counts a connection from prefix, or says why not.
func (s *Server) admit(prefix netip.Prefix) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.draining:
		return errDraining
	case s.open >= s.limits.Sessions:
		return errFull
	case s.byPrefix[prefix] >= s.limits.SessionsPerPrefix, s.bySite[siteOf(prefix)] >= prefixesPerSite*s.limits.SessionsPerPrefix:
		return errPrefixFull
	}
	s.open++
	s.byPrefix[prefix]++
	s.bySite[siteOf(prefix)]++
	s.sessions.Add(1)
	return nil
}

// release undoes admit, after everything of the connection is over.
func (s *Server) release(prefix netip.Prefix) {
	s.mu.Lock()
	s.open--
	if s.byPrefix[prefix]--; s.byPrefix[prefix] == 0 {
		delete(s.byPrefix, prefix) // else the map grows with every address ever seen
	}
	site := siteOf(prefix)
	if s.bySite[site]--; s.bySite[site] == 0 {
		delete(s.bySite, site)
	}
	s.mu.Unlock()
	s.sessions.Done()
}

// enter registers a session for draining; false if that has begun.
func (s *Server) enter(p *peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.peers[p] = struct{}{}
	return true
}

func (s *Server) leave(p *peer) {
	s.mu.Lock()
	delete(s.peers, p)
	s.mu.Unlock()
}

// carrier is what a session runs over. Each bounds its writes by the deadline or in another
// way; Close ends everything of the connection, and gives the last frame a moment to arrive.
type carrier interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// serve runs one admitted connection, from its handshake, for which it has until ctx ends. It
// returns when the session has begun, or is over; after, if there is one, is called when
// nothing of it is left. The session lives on a goroutine of its own: the stack of one that
// has made handshakes is several times what waiting for a frame needs.
func (s *Server) serve(ctx context.Context, t carrier, prefix netip.Prefix, after func()) {
	end := func() {
		s.release(prefix)
		if after != nil {
			after()
		}
	}
	p := s.begin(ctx, t, prefix)
	if p == nil {
		end()
		return
	}
	go func() {
		defer end()
		defer s.metrics.SessionEnds(transportOf(t))
		defer s.leave(p)
		p.run()
	}()
}

// begin makes the handshake, and returns a session that has entered, or nil.
func (s *Server) begin(ctx context.Context, t carrier, prefix netip.Prefix) *peer {
	take := func() error { return s.turns.Take(prefix, turns.Begun, ctx.Done()) }
	sess, err := session.ServerInTurn(ctx, t, s.key, s.store.Incarnation(), take, s.turns.Give)
	if err != nil {
		s.log.Debug("handshake failed", "err", err)
		s.metrics.HandshakeFailed()
		return nil
	}
	s.metrics.SessionBegins(transportOf(t))
	sess.SetTimeouts(recordWithin, writeWithin)
	sess.LimitFrames(relay.MaxFirstFrame, relay.FrameWithin)
	p := newPeer(s, sess, prefix)
	if b, ok := t.(brancher); ok && sess.Takes(session.FeatureStreams) {
		p.brancher = b
	}
	if !s.enter(p) {
		sess.SetTimeouts(recordWithin, closeWithin) // whoever does not read cannot hold up the drain
		_ = sess.WriteFrames(&relay.GoAway{Reconnect: s.advice(1)[0]}, &relay.Close{Code: relay.CloseDraining})
		_ = sess.Close()
		s.metrics.SessionEnds(transportOf(t))
		return nil
	}
	return p
}
