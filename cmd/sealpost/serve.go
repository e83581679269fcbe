package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"os"
	"runtime/debug"
)

// serveCommand runs both servers until it is told to stop.
type serveCommand struct {
	Config   string `type:"existingfile" placeholder:"FILE" help:"Settings in TOML; flags win over it."`
	Data     string `type:"path" placeholder:"DIR" help:"Folder of everything the server keeps (default: the user's data folder)."`
	Listen   string `placeholder:"HOST:PORT" help:"Address to listen on (default: localhost:7443)."`
	Restored bool   `help:"The data folder was put back from a backup: clients are told, and one-time key packages in it are dropped."`
}

// garbage is how much of the heap, in percent, may be garbage before it is collected. The
// stores' memtables, 126 MB that hold no pointers, count as live: with Go's 100 a busy server
// takes as much again before it looks (measured: 119 MiB more resident after a file of 100 MB).
// Looking costs little, since there is little in them to look at.
const garbage = 25

// collectEarly sets that, unless an operator has said otherwise.
func collectEarly() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
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
		cfg.Listen, cfg.Listeners = c.Listen, nil
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
	stdlog.SetOutput(io.Discard) // libraries write there, and name addresses (ATTACKS R31)
	keepQuiet(s.err)
	collectEarly()
	all, err := openSockets(cfg)
	if err != nil {
		return err
	}
	watched, err := cfg.Observe.open()
	if err != nil {
		return errors.Join(err, closeSockets(all))
	}
	if watched != nil {
		defer watched.Close() // again, unless the server did not get to it
	}
	srv, err := openServer(cfg, c.Restored, log)
	if err != nil {
		return errors.Join(err, closeSockets(all))
	}
	told, err := srv.addresses(all)
	if err != nil {
		return errors.Join(err, closeSockets(all), srv.close())
	}
	// The sockets are open: what is pasted from here on is answered.
	greet(s.out, cfg.Data, told, watched)
	defer srv.observed(watched)()
	return srv.run(ctx, all, cfg.Drain)
}

// greet prints what somebody needs next. It is for people, and for scripts that look for the
// two chat lines: each is complete, on a line of its own.
func greet(w io.Writer, data string, told []address, watched net.Listener) {
	me := self()
	fmt.Fprintf(w, "Sealpost serves as process %d.\n\n", os.Getpid())
	fmt.Fprintf(w, "data folder  %s\n", data)
	for _, a := range told {
		fmt.Fprintf(w, "relay        %s\nkey server   %s\n", a.relay, a.keys)
	}
	if watched != nil {
		fmt.Fprintf(w, "observe      http://%s/metrics\n", watched.Addr())
	}
	first := told[0].relay.String() // the configuration has at least one
	fmt.Fprintf(w, "\nPaste each of these two lines into a terminal of its own, in the folder you are in:\n\n  %s\n  %s\n\n",
		chatLine(me, "alice", "bob", first), chatLine(me, "bob", "alice", first))
	fmt.Fprintf(w, "Ctrl-C stops the server. Nothing that it accepted is lost, however it ends.\n")
}
