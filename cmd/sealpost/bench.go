package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealpost/sealpost/cmd/sealpost/bench"
	"github.com/sealpost/sealpost/internal/measure"
)

// benchCommand measures Sealpost against what it stands on.
type benchCommand struct {
	Area    string `arg:"" enum:"${areas}" help:"What to measure: ${areas}."`
	Only    string `placeholder:"NAME" help:"This figure alone."`
	Rounds  int    `default:"5" help:"Rounds of each figure, at least 5."`
	Quick   bool   `help:"Few operations: tries the bench out, its figures mean nothing."`
	JSON    bool   `name:"json" help:"One JSON object a line."`
	Plot    string `type:"path" placeholder:"FILE.svg" help:"Draw the rounds of each figure."`
	Gate    bool   `help:"Exit status 1 when a figure does not keep its bound."`
	Dir     string `type:"existingdir" placeholder:"DIR" help:"Where stores are made: on the disk that is to be measured (default: the folder for temporary files)."`
	Profile string `type:"existingdir" placeholder:"DIR" help:"Write a CPU profile of each process into this folder."`
}

// Help says how figures are made, and describes each.
func (*benchCommand) Help() string {
	return "Each figure compares two things that are measured in turn in the same run: the median of the ratios of at least five rounds, " +
		"with the smallest and the largest. Each side of each round has a fresh store and fresh processes, the order alternates, " +
		"and whoever makes the load has a process of its own. Run it on an idle machine.\n\n" + bench.About()
}

// Run prints one line a figure, or two with its sides.
func (c *benchCommand) Run(ctx context.Context, s streams) error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"bench-role"}
	if c.Profile != "" {
		args = append(args, "--profile", c.Profile)
	}
	missed, err := bench.Run(ctx, bench.Config{
		Program: measure.Program{Binary: binary, Args: args, Log: s.err}, Out: s.out, Log: s.err,
	}, bench.Options{
		Area: c.Area, Only: c.Only, Rounds: c.Rounds, Quick: c.Quick, JSON: c.JSON, Plot: c.Plot, Dir: c.Dir,
	})
	if err != nil {
		return err
	}
	if c.Gate && len(missed) > 0 {
		return fmt.Errorf("not within its bound: %s", strings.Join(missed, ", "))
	}
	return nil
}

// benchRoleCommand is a child process of bench.
type benchRoleCommand struct {
	Role    string `arg:""`
	Profile string `type:"existingdir"`
}

// Run plays the role until standard input ends.
func (c *benchRoleCommand) Run(ctx context.Context) error {
	cast := bench.Cast{Serve: benchRelay}
	if c.Profile != "" {
		cast.Profile = filepath.Join(c.Profile, fmt.Sprintf("%s-%d.pprof", c.Role, os.Getpid()))
	}
	return bench.Play(ctx, c.Role, cast)
}

// benchRelay serves dir at a free port, with serve's own defaults.
func benchRelay(ctx context.Context, dir string) (bench.Relay, error) {
	collectEarly()
	cfg := defaultConfig()
	cfg.Data, cfg.Listen = dir, "127.0.0.1:0"
	if err := cfg.complete(); err != nil {
		return bench.Relay{}, err
	}
	all, err := openSockets(cfg)
	if err != nil {
		return bench.Relay{}, err
	}
	srv, err := openServer(cfg, false, newLog(io.Discard, cfg.Log))
	if err != nil {
		return bench.Relay{}, err
	}
	srv.limits.Loopback = srv.limits.Total // the load stands for clients all over the world
	told, err := srv.addresses(all)
	if err != nil {
		return bench.Relay{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- srv.run(ctx, all, time.Second) }()
	return bench.Relay{Address: told[0].relay, Syncs: srv.relay.Syncs, Erased: srv.relay.Erased, Close: func() error {
		stop()
		return <-ended
	}}, nil
}
