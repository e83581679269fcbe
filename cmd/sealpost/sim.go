package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// simCommand plays seeds of the simulation. It is a test of the checkout and not a part of this
// program, which must not hold what makes all randomness predictable: so it needs Go and the
// sources, and builds the test first.
type simCommand struct {
	Seeds   uint64 `default:"100" help:"How many seeds to play."`
	Seed    uint64 `default:"1" help:"The first of them."`
	Workers int    `help:"How many at a time (default: one for each processor)."`
	Twice   bool   `help:"Play each seed twice; it fails if not all that happened is the same."`
	Plain   bool   `help:"Build with the Go runtime as it is: quicker the first time, and a seed may not happen the same way again."`
	Verbose bool   `short:"v" help:"Print what happened in each seed, and not only where it failed."`
}

// simResult is what the test prints of a seed.
type simResult struct {
	Seed     uint64
	Hash     string
	Trace    string
	Broken   []string
	Messages int
}

// simTally adds up what all workers played.
type simTally struct {
	again string // the command that plays a seed again, but for the seed

	mu               sync.Mutex // guards the rest and the output
	out              io.Writer
	verbose          bool
	played, messages int
	failed           []uint64
}

// Run prints one line in the end, and before it each seed that failed with what happened in it.
func (c *simCommand) Run(ctx context.Context, s streams) error {
	dir, err := os.MkdirTemp("", "sealpost-sim-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := buildSim(ctx, dir, c.Plain, s.err)
	if err != nil {
		return err
	}
	return c.play(ctx, binary, s.out)
}

// play plays all seeds with the test that was built.
func (c *simCommand) play(ctx context.Context, binary string, out io.Writer) error {
	tally, begin := &simTally{out: out, verbose: c.Verbose, again: "go run ./cmd/sealpost sim"}, time.Now()
	if c.Plain {
		tally.again += " -plain"
	}
	workers := c.Workers
	if workers <= 0 {
		workers = runtime.NumCPU()
	}
	var all sync.WaitGroup
	var next atomic.Uint64
	errs := make([]error, workers)
	for i := range workers {
		all.Go(func() {
			for n := next.Add(1) - 1; n < c.Seeds && errs[i] == nil; n = next.Add(1) - 1 {
				var r simResult
				if r, errs[i] = c.seed(ctx, binary, c.Seed+n); errs[i] == nil {
					tally.result(r)
				}
			}
		})
	}
	all.Wait()
	fmt.Fprintf(out, "seeds=%d failed=%d messages=%d seconds=%.0f\n", tally.played, len(tally.failed), tally.messages, time.Since(begin).Seconds())
	if err := errors.Join(errs...); err != nil {
		return err // of Ctrl-C, too: the line is of those that were played
	}
	if len(tally.failed) > 0 {
		return errFailed
	}
	return nil
}

// seed plays one seed, or plays it twice and compares.
func (c *simCommand) seed(ctx context.Context, binary string, seed uint64) (simResult, error) {
	r, err := playSim(ctx, binary, seed)
	if err != nil || !c.Twice {
		return r, err
	}
	again, err := playSim(ctx, binary, seed)
	if r.Hash != again.Hash {
		r.Broken = append(r.Broken, "played again, it was not the same: "+parting(r.Trace, again.Trace))
	}
	return r, err
}

// result counts a seed, and shows it if it failed.
func (t *simTally) result(r simResult) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.played++
	t.messages += r.Messages
	if len(r.Broken) > 0 {
		t.failed = append(t.failed, r.Seed)
	}
	if len(r.Broken) > 0 || t.verbose {
		fmt.Fprintf(t.out, "%s\n", r.Trace)
	}
	for _, b := range r.Broken {
		fmt.Fprintf(t.out, "seed %d: %s\n", r.Seed, b)
	}
	if len(r.Broken) > 0 {
		fmt.Fprintf(t.out, "seed %d failed; again: %s -seeds 1 -seed %d\n", r.Seed, t.again, r.Seed)
	} else if t.verbose {
		fmt.Fprintf(t.out, "seed %d: %d messages, trace %s\n", r.Seed, r.Messages, r.Hash)
	}
}
