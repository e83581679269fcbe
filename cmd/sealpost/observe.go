package main

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/sealpost/sealpost/internal/metrics"
	"github.com/sealpost/sealpost/internal/observe"
)

// observeConfig says where the server's operator may look. Nothing is open without it.
type observeConfig struct {
	Listen string `toml:"listen"` // HOST:PORT on loopback; nowhere if empty
}

func (c observeConfig) check() error {
	if c.Listen == "" {
		return nil
	}
	if err := observe.Check(c.Listen); err != nil {
		return fmt.Errorf("observe.listen: %w", err)
	}
	return nil
}

// open opens the address; nil if there is none.
func (c observeConfig) open() (net.Listener, error) {
	if c.Listen == "" {
		return nil, nil
	}
	l, err := observe.Listen(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("observe.listen: %w", err)
	}
	return l, nil
}

// phase is where a server is in its life.
type phase struct{ n atomic.Int32 }

const (
	starting int32 = iota
	serving
	draining
)

// Reasons that an operator is told.
var (
	errStarting = errors.New("starting")
	errDraining = errors.New("draining")
	errNoRoom   = errors.New("the disk is nearly full: nothing new is stored")
)

// alive tells why the server has to be started again.
func (s *server) alive() error {
	select {
	case <-s.relay.Failed():
		return errStoreFailed
	case <-s.keys.Failed():
		return errStoreFailed
	default:
		return nil
	}
}

// ready tells why no new clients should be sent here.
func (s *server) ready() error {
	switch {
	case s.alive() != nil:
		return s.alive()
	case s.phase.n.Load() == starting:
		return errStarting
	case s.phase.n.Load() == draining:
		return errDraining
	case s.relay.Short() || s.keys.Short():
		return errNoRoom
	}
	return nil
}

// observed answers on l until what it returns is called. Nothing depends on it: when it ends by
// itself, messages go on.
func (s *server) observed(l net.Listener) (end func() error) {
	if l == nil {
		return func() error { return nil }
	}
	web := observe.New(observe.Config{Metrics: s.metrics.Write, Alive: s.alive, Ready: s.ready})
	go func() {
		if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Warn("the observe listener is closed", "error", err)
		}
	}()
	return web.Close
}

// failures counts TLS handshakes that failed, which net/http tells its log alone; what the line
// says about whom goes nowhere.
type failures struct{ counted *metrics.Connections }

// Write implements [io.Writer] for one line.
func (f failures) Write(line []byte) (int, error) {
	if bytes.HasPrefix(line, []byte("http: TLS handshake error")) {
		f.counted.TLSFailed()
	}
	return len(line), nil
}

func (f failures) log() *log.Logger { return log.New(f, "", 0) }
