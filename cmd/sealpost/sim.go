package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// simCommand plays seeds of the simulation. It is a test of the checkout and not a part of this
// program, which must not hold what makes all randomness predictable: so it needs Go and the
// sources, and builds the test first.
type simCommand struct {
	Seeds   uint64 `default:"100" help:"How many seeds to play."`
	Seed    uint64 `default:"1" help:"The first of them."`
	Workers int    `help:"How many at a time (default: one for each processor)."`
	Verbose bool   `short:"v" help:"Print what happened in each seed, and not only where it failed."`
}

const simPackage = "github.com/sealpost/sealpost/internal/sim"

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
	binary := filepath.Join(dir, "sim.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, simPackage)
	build.Stdout, build.Stderr = s.err, s.err
	if err := build.Run(); err != nil {
		return fmt.Errorf("the simulation is built from the checkout, by Go: %w", err)
	}
	workers := c.Workers
	if workers <= 0 {
		workers = runtime.NumCPU()
	}
	workers = int(min(uint64(workers), max(c.Seeds, 1)))
	tally, begin := &simTally{out: s.out, verbose: c.Verbose}, time.Now()
	var all sync.WaitGroup
	errs := make([]error, workers)
	for i := range workers {
		all.Go(func() {
			first := c.Seed + uint64(i)
			count := (c.Seeds - uint64(i) + uint64(workers) - 1) / uint64(workers)
			errs[i] = tally.work(ctx, binary, first, count, uint64(workers))
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "seeds=%d failed=%d messages=%d seconds=%.0f\n", tally.played, len(tally.failed), tally.messages, time.Since(begin).Seconds())
	if len(tally.failed) > 0 {
		return errFailed
	}
	return nil
}

// work plays every stride-th seed. A seed that ends the process it is played in has failed, and
// the next one begins another process.
func (t *simTally) work(ctx context.Context, binary string, first, count, stride uint64) error {
	for count > 0 {
		done, died, err := t.process(ctx, binary, first, count, stride)
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if died != "" {
			done++
			t.result(simResult{Seed: first + (done-1)*stride, Trace: died, Broken: []string{"the process ended"}})
		}
		first, count = first+done*stride, count-done
	}
	return nil
}

// process plays seeds in one process, and returns how many came to an end. died is what it said
// last if it ended before its time.
func (t *simTally) process(ctx context.Context, binary string, first, count, stride uint64) (done uint64, died string, err error) {
	cmd := exec.CommandContext(ctx, binary, "-test.run=^TestSeeds$", "-test.timeout=0", "-sim.report",
		fmt.Sprintf("-sim.seed=%d", first), fmt.Sprintf("-sim.seeds=%d", count), fmt.Sprintf("-sim.stride=%d", stride))
	var noise bytes.Buffer
	cmd.Stderr = &noise
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, "", err
	}
	if err := cmd.Start(); err != nil {
		return 0, "", err
	}
	var last strings.Builder // of the seed that is being played
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if rest, ok := strings.CutPrefix(line, "sim: end "); ok {
			var r simResult
			if err := json.Unmarshal([]byte(rest), &r); err != nil {
				return done, "", err
			}
			t.result(r)
			done++
			last.Reset()
		} else {
			last.WriteString(line)
		}
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil && done < count {
		return done, last.String() + noise.String(), nil
	}
	return done, "", nil
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
		fmt.Fprintf(t.out, "seed %d failed; again: go run ./cmd/sealpost sim -seeds 1 -seed %d\n", r.Seed, r.Seed)
	} else if t.verbose {
		fmt.Fprintf(t.out, "seed %d: %d messages, trace %s\n", r.Seed, r.Messages, r.Hash)
	}
}
