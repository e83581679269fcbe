// Package httpserver puts the key server's directory and group state behind HTTP
// (../PROTOCOL.md sections 4 and 5).
//
// Start with [Open], then [Server.HTTP] for a server with our deadlines, or [Server.Handler]
// for one of your own. Handlers may be called concurrently. Nothing is logged about a
// request: no address, no id, no path.
package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/directory"
	"github.com/sealpost/sealpost/keyserver/groupstate"
)

// Our own limits, each with its reason.
const (
	headerTimeout  = 10 * time.Second // a connection that says nothing
	bodyTimeout    = 30 * time.Second // an upload of 800 KiB over a bad line; a slow drip ends here
	storeTimeout   = 20 * time.Second // a store that hangs is said to be unavailable
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 8 << 10 // we read two headers
	maxStreams     = 64      // of one HTTP/2 connection at a time
)

// Config says where a key server keeps its data. Dir and Key are required.
type Config struct {
	Dir      string    // data folder; holds one folder for each store
	Key      shard.Key // storage key of both stores
	Limits   Limits    // zero fields have defaults
	Clock    func() time.Time
	Logger   *slog.Logger
	Metrics  *metrics.Set // requests and stores are counted in it; nil: nowhere
	Restored bool         // Dir was put back from a backup (ATTACKS A14)
	MinFree  uint64       // bytes of free disk space below which nothing new is stored; 0 is 256 MiB

	// MaxChunkBytes bounds the group state of everybody together, in bytes; 0 is 16 GiB.
	MaxChunkBytes uint64
}

// Server is an open key server.
type Server struct {
	directory *directory.Directory
	chunks    *groupstate.Store
	limits    *limiters
	log       *slog.Logger
	metrics   *metrics.Keys
	failed    chan struct{}   // closed when one of the stores has failed
	closed    context.Context // ends with Close
	stop      context.CancelFunc
}

// Open opens or creates the stores in cfg.Dir.
func Open(cfg Config) (*Server, error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.New()
	}
	d, err := directory.Open(directory.Config{
		Dir: filepath.Join(cfg.Dir, directoryFolder), Key: cfg.Key, Clock: cfg.Clock,
		Logger: cfg.Logger, Restored: cfg.Restored, MinFree: cfg.MinFree, Metrics: cfg.Metrics.Store(metrics.DirectoryStore),
	})
	if err != nil {
		return nil, err
	}
	c, err := groupstate.Open(groupstate.Config{
		Dir: filepath.Join(cfg.Dir, groupstateFolder), Key: cfg.Key, Clock: cfg.Clock, MaxBytes: cfg.MaxChunkBytes,
		Logger: cfg.Logger, Restored: cfg.Restored, MinFree: cfg.MinFree, Metrics: cfg.Metrics.Store(metrics.GroupStateStore),
	})
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	s := &Server{
		directory: d, chunks: c, limits: newLimiters(cfg.Limits, cfg.Clock), log: cfg.Logger, metrics: cfg.Metrics.Keys(),
		failed: make(chan struct{}),
	}
	s.closed, s.stop = context.WithCancel(context.Background())
	go s.watch()
	return s, nil
}

// watch joins what the stores say into one channel, until the server is closed.
func (s *Server) watch() {
	select {
	case <-s.directory.Failed():
	case <-s.chunks.Failed():
	case <-s.closed.Done():
		return
	}
	close(s.failed)
}

// Failed is closed when one of the stores has failed: it accepts nothing any more until it is
// opened again.
func (s *Server) Failed() <-chan struct{} { return s.failed }

// Short reports whether the disk of one of the stores has no room for anything new.
func (s *Server) Short() bool { return s.directory.Short() || s.chunks.Short() }

// Close waits for what was accepted and closes the stores. The HTTP server in front is shut
// down first, by whoever started it; a request that comes later is told to come again.
func (s *Server) Close() error {
	s.stop()
	return errors.Join(s.directory.Close(), s.chunks.Close())
}

// HTTP returns a server of [Server.Handler] with deadlines and bounds for strangers. The
// caller gives it a listener (ServeTLS with empty file names) and shuts it down.
func (s *Server) HTTP(config *tls.Config) *http.Server {
	config = config.Clone()
	config.MinVersion = tls.VersionTLS13
	return &http.Server{
		Handler:           s.Handler(),
		TLSConfig:         config,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          log.New(io.Discard, "", 0), // its lines hold addresses
	}
}

// Handler returns the handler of all paths of the protocol.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	handle(s, mux, keyserver.EndpointRegister, s.limits.register, s.register)
	handle(s, mux, keyserver.EndpointAppend, s.limits.append, s.append)
	handle(s, mux, keyserver.EndpointLookup, s.limits.lookup, s.lookup)
	handle(s, mux, keyserver.EndpointUpload, s.limits.upload, s.upload)
	handle(s, mux, keyserver.EndpointTake, s.limits.take, s.take)
	handle(s, mux, keyserver.EndpointStock, s.limits.stock, s.stock)
	handle(s, mux, keyserver.EndpointPutChunk, s.limits.putChunk, s.putChunk)
	handle(s, mux, keyserver.EndpointGetChunk, s.limits.getChunk, s.getChunk)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, metrics.OtherRoute, &keyserver.Error{Code: keyserver.CodeNotFound, Text: "no such operation"})
	})
	return mux
}

func (s *Server) register(ctx context.Context, q *keyserver.RegisterRequest) (*keyserver.RegisterReply, error) {
	id, err := s.directory.Register(ctx, q)
	return &keyserver.RegisterReply{Account: id}, err
}

func (s *Server) append(ctx context.Context, q *keyserver.AppendRequest) (*keyserver.AppendReply, error) {
	head, err := s.directory.Append(ctx, q)
	return &keyserver.AppendReply{Head: head}, err
}

func (s *Server) lookup(_ context.Context, q *keyserver.LookupRequest) (*keyserver.LookupReply, error) {
	return s.directory.Lookup(q)
}

func (s *Server) upload(ctx context.Context, q *keyserver.UploadRequest) (*keyserver.StockReply, error) {
	return s.directory.Upload(ctx, q)
}

func (s *Server) stock(_ context.Context, q *keyserver.StockRequest) (*keyserver.StockReply, error) {
	return s.directory.Stock(q)
}

// take spares the one-time packages of an account that is asked for too often: it can still
// be reached by its last resort, and its pool is not drained (ATTACKS B07). A retry gets
// what it was given, whatever the rate says, and does not count as another one; nor do
// accounts that do not exist, whose number is anybody's choice.
func (s *Server) take(ctx context.Context, q *keyserver.TakeRequest) (*keyserver.TakeReply, error) {
	if before, err := s.directory.Taken(q); before != nil || err != nil {
		return before, err
	}
	wait := s.limits.target.spend(string(q.Account[:]))
	if wait > 0 {
		// Each answer is kept for days, so those too have an end.
		if wait := s.limits.lastResort.spend(string(q.Account[:])); wait > 0 {
			return nil, limited(wait)
		}
	}
	reply, err := s.directory.Take(ctx, q, wait > 0)
	if wait > 0 && errors.Is(err, keyserver.ErrExhausted) {
		return nil, limited(wait)
	}
	return reply, err
}

// putChunk charges the sender for chunks that are new only: most of a group's chunks come
// again with every epoch.
func (s *Server) putChunk(ctx context.Context, q *keyserver.Chunk) (*keyserver.ChunkName, error) {
	if known, err := s.chunks.Has(keyserver.HashChunk(q.Data)); err != nil {
		return nil, err
	} else if !known {
		if err := s.limits.chargeChunk(ctx, len(q.Data)); err != nil {
			return nil, err
		}
	}
	hash, err := s.chunks.Put(ctx, q.Data)
	return &keyserver.ChunkName{Hash: hash}, err
}

func (s *Server) getChunk(_ context.Context, q *keyserver.ChunkName) (*keyserver.Chunk, error) {
	b, err := s.chunks.Get(q.Hash)
	return &keyserver.Chunk{Data: b}, err
}
