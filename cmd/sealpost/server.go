package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"

	"github.com/sealpost/sealpost/internal/connlimit"
	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/turns"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/httpserver"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayserver"
)

// server is relay and key server together.
type server struct {
	key     relay.RelayKey
	storage shard.Key // root of all keys that are derived
	certs   certificates
	turns   *turns.Turns // of newcomers, over all listeners
	limits  connlimit.Limits
	relay   *relayserver.Server
	keys    *httpserver.Server
	admin   *operator
	log     *slog.Logger
	metrics *metrics.Set
	conns   *metrics.Connections
	phase   phase
}

// openServer opens everything below cfg.Data. Whatever it opened before an error is closed.
func openServer(cfg serveConfig, restored bool, log *slog.Logger) (*server, error) {
	if err := refuseUnfinished(cfg.Data); err != nil {
		return nil, err
	}
	id, err := openIdentity(cfg, log)
	if err != nil {
		return nil, err
	}
	s := &server{key: id.relay.Public(), storage: id.storage, turns: turns.ForProcess(), limits: connlimit.ForProcess(), log: log, metrics: metrics.New()}
	s.conns = s.metrics.Connections()
	s.turns.CountIn(s.conns)
	if s.certs, err = openCertificates(cfg, log); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	if err := s.openStores(cfg, id, restored); errors.Is(err, shard.ErrWrongKey) {
		path, _ := storageKeyPath(cfg)
		return nil, errors.Join(fmt.Errorf("%w: %s is another key than the stores in %s were made with; nothing was changed: %w",
			errStorageKey, path, cfg.Data, err), s.close())
	} else if err != nil {
		return nil, errors.Join(err, s.close())
	}
	if s.admin, err = openOperator(cfg, s); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// address is what clients are given for one listener.
type address struct {
	relay relay.Address
	keys  keyserver.Address
}

// addresses returns what clients are given, with the ports that the listeners really have:
// one for each listener that can be dialled.
func (s *server) addresses(all []sockets) ([]address, error) {
	var out []address
	for _, socket := range all {
		if socket.second || socket.challenges || !socket.config.dialable() {
			continue
		}
		public := socket.config.Public
		if public == "" {
			public = socket.tcp.Addr().String()
		}
		host, port, err := net.SplitHostPort(public)
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("public: %w", err)
		}
		a := address{relay.Address{Host: public, Key: s.key}, keyserver.Address{Host: host, Port: uint16(n), Pin: s.certs.pin}}
		if s.certs.pin != nil {
			a.relay.Pin = new(relay.Hash(*s.certs.pin))
		}
		out = append(out, a)
	}
	return out, nil
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
		Dir: filepath.Join(cfg.Data, relayFolder), BlobDir: filepath.Join(cfg.Data, blobsFolder), StorageKey: queueKey, Key: id.relay,
		Limits: cfg.Limits.relay(), Queues: cfg.Limits.queues(),
		Turns: s.turns, Origins: cfg.Origins, Restored: restored, Logger: s.log,
		Metrics: s.metrics,
	})
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	s.keys, err = httpserver.Open(httpserver.Config{
		Dir: filepath.Join(cfg.Data, keysFolder), Key: keysKey, Restored: restored, Logger: s.log, Metrics: s.metrics,
	})
	if err != nil {
		return fmt.Errorf("key server: %w", err)
	}
	return nil
}

// close closes the stores of a server that does not run; they finish what they accepted.
func (s *server) close() error {
	var errs []error
	if s.admin != nil {
		errs = append(errs, s.admin.close())
	}
	if s.relay != nil {
		errs = append(errs, s.relay.Shutdown(context.Background()))
	}
	if s.keys != nil {
		errs = append(errs, s.keys.Close())
	}
	return errors.Join(errs...)
}
