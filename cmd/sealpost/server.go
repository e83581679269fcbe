package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/httpserver"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayserver"
)

// Our own limits on HTTP, for both servers. The relay's sessions leave
// HTTP with their upgrade and have the relay's own deadlines from there on; the key server
// has shorter ones for its bodies.
const (
	headerWithin   = 10 * time.Second // TLS handshake and request header: a slow one holds a socket for nothing
	requestWithin  = time.Minute      // whole request; the largest is under 1 MiB
	answerWithin   = time.Minute
	idleFor        = 2 * time.Minute // between two requests on a connection
	maxHeaderBytes = 16 << 10
)

// server is relay and key server behind one listener.
type server struct {
	key   relay.RelayKey
	pin   *certpin.Pin // nil with the operator's own certificate
	tls   *tls.Config
	relay *relayserver.Server
	keys  *httpserver.Server
	log   *slog.Logger
}

// openServer opens everything below cfg.Data. Whatever it opened before an error is closed.
func openServer(cfg serveConfig, restored bool, log *slog.Logger) (*server, error) {
	id, err := openIdentity(cfg)
	if err != nil {
		return nil, err
	}
	s := &server{key: id.relay.Public(), log: log}
	if err := s.openTLS(cfg); err != nil {
		return nil, err
	}
	if err := s.openStores(cfg, id, restored); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// openTLS takes the operator's certificate, or the one that renews itself.
func (s *server) openTLS(cfg serveConfig) error {
	if cfg.TLS.Certificate != "" {
		cert, err := tls.LoadX509KeyPair(cfg.TLS.Certificate, cfg.TLS.Key)
		if err != nil {
			return fmt.Errorf("tls: %w", err)
		}
		s.tls = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}}
		return nil
	}
	dev, err := certpin.OpenDevelopment(cfg.Data)
	if err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	s.pin, s.tls = new(dev.Pin()), dev.ServerConfig()
	return nil
}

// addresses returns what clients are given, with the port that the listener really has.
func (s *server) addresses(cfg serveConfig, at net.Addr) (relay.Address, keyserver.Address, error) {
	public := cfg.Public
	if public == "" {
		public = at.String()
	}
	host, port, err := net.SplitHostPort(public)
	if err != nil {
		return relay.Address{}, keyserver.Address{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return relay.Address{}, keyserver.Address{}, fmt.Errorf("public: %w", err)
	}
	r := relay.Address{Host: public, Key: s.key}
	if s.pin != nil {
		r.Pin = new(relay.Hash(*s.pin))
	}
	return r, keyserver.Address{Host: host, Port: uint16(n), Pin: s.pin}, nil
}

// openStores opens the relay's and the key server's stores.
func (s *server) openStores(cfg serveConfig, id identity, restored bool) error {
	queueKey, err := storeKey(id.storage, relayFolder)
	if err != nil {
		return err
	}
	keysKey, err := storeKey(id.storage, keysFolder)
	if err != nil {
		return err
	}
	s.relay, err = relayserver.Open(relayserver.Config{
		Dir: filepath.Join(cfg.Data, relayFolder), StorageKey: queueKey, Key: id.relay,
		Origins: cfg.Origins, Restored: restored, Logger: s.log,
	})
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	s.keys, err = httpserver.Open(httpserver.Config{
		Dir: filepath.Join(cfg.Data, keysFolder), Key: keysKey, Restored: restored, Logger: s.log,
	})
	if err != nil {
		return fmt.Errorf("key server: %w", err)
	}
	return nil
}

// run serves on l, within limits on open connections, until ctx ends or the listener breaks,
// then drains and closes. Readers are told to come back before their sessions end; whoever is
// not gone after drain is cut off, which loses nothing: what was accepted is on disk, and
// what was not is sent again.
func (s *server) run(ctx context.Context, l net.Listener, drain time.Duration) error {
	mux := http.NewServeMux()
	mux.Handle(relay.Path, s.relay)
	mux.Handle(relay.Path+"/", s.relay) // long polling
	mux.Handle("/", s.keys.Handler())
	web := &http.Server{
		Handler:           mux,
		TLSConfig:         s.tls,
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: headerWithin,
		ReadTimeout:       requestWithin,
		WriteTimeout:      answerWithin,
		IdleTimeout:       idleFor,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(io.Discard, "", 0), // its lines hold addresses (ATTACKS R31)
	}
	web.Protocols.SetHTTP1(true) // a WebSocket upgrade needs it, and without HTTP/2 there is no rapid reset
	l = newBoundedListener(l, limitsFor(openFiles()))
	broken := make(chan error, 1)
	go func() { broken <- web.ServeTLS(l, "", "") }()

	var err error
	select {
	case err = <-broken:
	case <-ctx.Done():
		s.log.Info("draining", "for", drain)
	}
	// ctx is done already; the drain has a time of its own.
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	// The relay comes first: its sessions are no requests, web knows nothing of them. New
	// ones are turned away from here on.
	err = errors.Join(err, s.shutdownRelay(within))
	if web.Shutdown(within) != nil {
		err = errors.Join(err, web.Close()) // cuts off requests that are still under way
	}
	err = errors.Join(err, s.keys.Close())
	s.log.Info("stopped")
	return err
}

// shutdownRelay drains the relay and closes its store. Readers that had to be cut off are no
// error: they lose nothing but the advice when to come back.
func (s *server) shutdownRelay(ctx context.Context) error {
	err := s.relay.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("some readers did not leave in time and were cut off", "error", err)
		return nil
	}
	return err
}

// close closes the stores of a server that does not run; they finish what they accepted.
func (s *server) close() error {
	var errs []error
	if s.relay != nil {
		errs = append(errs, s.relay.Shutdown(context.Background()))
	}
	if s.keys != nil {
		errs = append(errs, s.keys.Close())
	}
	return errors.Join(errs...)
}
