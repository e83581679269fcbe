package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

// serveCommand runs both servers until it is told to stop.
type serveCommand struct {
	Config   string `type:"existingfile" placeholder:"FILE" help:"Settings in TOML; flags win over it."`
	Data     string `type:"path" placeholder:"DIR" help:"Folder of everything the server keeps (default: the user's data folder)."`
	Listen   string `placeholder:"HOST:PORT" help:"Address to listen on (default: 127.0.0.1:7443)."`
	Restored bool   `help:"The data folder was put back from a backup: clients are told, and one-time key packages in it are dropped."`
}

// settings are the file's, with the flags over them.
func (c *serveCommand) settings() (serveConfig, error) {
	cfg := defaultConfig()
	if c.Config != "" {
		if err := readConfig(c.Config, &cfg); err != nil {
			return cfg, err
		}
	}
	if c.Data != "" {
		cfg.Data = c.Data
	}
	if c.Listen != "" {
		cfg.Listen = c.Listen
	}
	return cfg, cfg.complete()
}

// Run serves until ctx ends, then drains.
func (c *serveCommand) Run(ctx context.Context, s streams) error {
	cfg, err := c.settings()
	if err != nil {
		return err
	}
	log := newLog(s.err, cfg.Log)
	listener, err := listen(cfg.Listen)
	if err != nil {
		return err
	}
	srv, err := openServer(cfg, c.Restored, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	relayAddr, keyAddr, err := srv.addresses(cfg, listener.Addr())
	if err != nil {
		return errors.Join(err, listener.Close(), srv.close())
	}
	// The listener is open: what is pasted from here on is answered.
	greet(s.out, cfg.Data, relayAddr, keyAddr)
	return srv.run(ctx, listener, cfg.Drain)
}

// listen opens the one port. It comes before the stores, so that a second server on the same
// port is told so before it touches anything.
func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken, perhaps by another sealpost serve: stop that one, or choose another port with --listen HOST:PORT", address)
	}
	return l, err
}

// greet prints what somebody needs next. It is for people, and for scripts that look for the
// two chat lines: each is complete, on a line of its own.
func greet(w io.Writer, data string, relayAddr relay.Address, keyAddr keyserver.Address) {
	me := self()
	fmt.Fprintf(w, "Sealpost serves as process %d.\n\n", os.Getpid())
	fmt.Fprintf(w, "data folder  %s\nrelay        %s\nkey server   %s\n\n", data, relayAddr, keyAddr)
	fmt.Fprintf(w, "Paste each of these two lines into a terminal of its own, in the folder you are in:\n\n  %s\n  %s\n\n",
		chatLine(me, "alice", "bob", relayAddr.String()), chatLine(me, "bob", "alice", relayAddr.String()))
	fmt.Fprintf(w, "Ctrl-C stops the server. Nothing that it accepted is lost, however it ends.\n")
}
