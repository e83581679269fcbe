package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/internal/connlimit"
	"github.com/sealpost/sealpost/internal/proxyline"
	"github.com/sealpost/sealpost/internal/quicport"
	"github.com/sealpost/sealpost/internal/turns"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayserver"
)

// Our own limits on HTTP over TCP, for both servers. The relay's sessions leave HTTP with
// their upgrade and have the relay's own deadlines from there on; the key server has shorter
// ones for its bodies.
const (
	headerWithin   = 10 * time.Second // TLS handshake and request header: a slow one holds a socket for nothing
	requestWithin  = time.Minute      // whole request; the largest is under 1 MiB
	answerWithin   = time.Minute
	idleFor        = 2 * time.Minute // between two requests on a connection
	maxHeaderBytes = 16 << 10
)

// errStoreFailed ends a server that can accept nothing any more. Whoever supervises it starts
// it again, which shows what is on disk.
var errStoreFailed = errors.New("a store has failed, its error is in the log: look at the disk, and start the server again")

// front is what listens for a server.
type front struct {
	web        *http.Server // TLS over TCP
	challenges *http.Server // an authority's, in plain; nil without
	quic       []*quicport.Port
	broken     chan error // of listeners that ended by themselves
}

// open puts s behind all sockets, which it closes if it fails.
func (s *server) open(all []sockets) (*front, error) {
	counter := connlimit.New(s.limits)
	counter.CountIn(s.conns)
	f := &front{web: s.http(), broken: make(chan error, 2*len(all))}
	for i, socket := range all {
		if socket.udp == nil {
			continue
		}
		port, err := s.openQUIC(socket, counter)
		if err != nil {
			for _, p := range f.quic {
				err = errors.Join(err, p.Shutdown(context.Background()))
			}
			for j := range all {
				err = errors.Join(err, all[j].tcp.Close())
				if j > i && all[j].udp != nil {
					err = errors.Join(err, all[j].udp.Close())
				}
			}
			return nil, err
		}
		f.quic = append(f.quic, port)
		go func() { f.broken <- port.Serve() }()
	}
	for _, socket := range all {
		l := counter.Listen(socket.tcp)
		if len(socket.config.ProxyFrom) > 0 {
			l = proxyline.Listen(socket.tcp, socket.config.ProxyFrom, counter)
		}
		if socket.challenges {
			f.challenges = bounded(s.certs.acme.HTTP())
			go func() { f.broken <- f.challenges.Serve(l) }()
			continue
		}
		go func() { f.broken <- f.web.ServeTLS(s.turns.Listen(l), "", "") }()
	}
	return f, nil
}

// http returns the server for all TCP listeners.
func (s *server) http() *http.Server {
	config := s.certs.config()
	config.NextProtos = s.certs.protos
	web := bounded(s.handler(s.relay))
	web.TLSConfig = config
	web.ErrorLog = failures{s.conns}.log()
	web.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateActive {
			turns.Settle(c) // the TLS handshake is over, and a request is there
		}
	}
	return web
}

// bounded returns a server of h with our limits. It speaks HTTP/1.1 alone: a WebSocket upgrade
// needs it, and without HTTP/2 there is no rapid reset (ATTACKS R20).
func bounded(h http.Handler) *http.Server {
	web := &http.Server{
		Handler:           h,
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: headerWithin,
		ReadTimeout:       requestWithin,
		WriteTimeout:      answerWithin,
		IdleTimeout:       idleFor,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(io.Discard, "", 0), // its lines hold addresses (ATTACKS R31)
	}
	web.Protocols.SetHTTP1(true)
	return web
}

// openQUIC puts s behind a UDP socket.
func (s *server) openQUIC(socket sockets, counter *connlimit.Counter) (*quicport.Port, error) {
	reset, err := derive(s.storage, "sealpost quic reset "+socket.udp.LocalAddr().String())
	if err != nil {
		return nil, errors.Join(err, socket.udp.Close())
	}
	return quicport.Open(quicport.Config{
		Conn: socket.udp, TLS: s.certs.config(), Counter: counter, ResetKey: reset, QUIC: relayserver.QUICConfig(),
		Handler: func(up *webtransport.Server) http.Handler { return s.handler(s.relay.ServeWebTransport(up)) },
	})
}

// handler is both servers; the relay's depends on what it is reached over.
func (s *server) handler(relays http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(relay.Path, relays)
	mux.Handle(relay.Path+"/", relays) // long polling
	mux.Handle("/", s.keys.Handler())
	return mux
}

// run serves on all sockets, within limits on open connections, until ctx ends, a listener
// breaks or a store fails; then it drains and closes. Readers are told to come back before
// their sessions end; whoever is not gone after drain is cut off, which loses nothing: what
// was accepted is on disk, and what was not is sent again.
func (s *server) run(ctx context.Context, all []sockets, drain time.Duration) error {
	f, err := s.open(all)
	if err != nil {
		return errors.Join(err, s.close())
	}
	go s.admin.serve()
	s.phase.n.Store(serving)
	go s.certs.keep(ctx) // the listeners are open, which an authority tries
	select {
	case err = <-f.broken:
	case <-s.relay.Failed():
		err = errStoreFailed
	case <-s.keys.Failed():
		err = errStoreFailed
	case <-ctx.Done():
	}
	s.phase.n.Store(draining)
	s.log.Info("draining", "for", drain)
	// ctx is done already; the drain has a time of its own.
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	// The relay comes first: its sessions are no requests, the HTTP servers know nothing of
	// them. New ones are turned away from here on.
	err = errors.Join(err, s.admin.close(), s.shutdownRelay(within), f.shutdown(within), s.keys.Close())
	s.log.Info("stopped")
	return err
}

// shutdown lets requests end, and cuts off those that are still under way when ctx ends.
func (f *front) shutdown(ctx context.Context) error {
	var errs []error
	for _, p := range f.quic {
		if err := p.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			errs = append(errs, err)
		}
	}
	for _, web := range []*http.Server{f.web, f.challenges} {
		if web != nil && web.Shutdown(ctx) != nil {
			errs = append(errs, web.Close())
		}
	}
	return errors.Join(errs...)
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
