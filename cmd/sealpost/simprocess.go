package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/sim/oneorder"
)

const (
	simModule  = "github.com/sealpost/sealpost"
	simPackage = simModule + "/internal/sim"
)

// longestSeed is after how long a seed that is still being played counts as one that hangs: they
// take seconds, and a few take minutes of a slow machine.
const longestSeed = 20 * time.Minute

// buildSim builds the simulation in dir, by default with a runtime in which one seed is one run:
// the first time that takes some minutes, since the standard library is built anew.
func buildSim(ctx context.Context, dir string, plain bool, noise io.Writer) (binary string, err error) {
	binary = filepath.Join(dir, "sim.test")
	args := []string{"test", "-c", "-o", binary}
	if !plain {
		root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err != nil {
			return "", fmt.Errorf("the simulation is built by Go: %w", err)
		}
		module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", simModule).Output()
		if err != nil {
			return "", fmt.Errorf("the simulation is built from the checkout, by Go: %w", err)
		}
		overlay, err := oneorder.Overlay(strings.TrimSpace(string(root)), strings.TrimSpace(string(module)), dir)
		if err != nil {
			return "", fmt.Errorf("%w (-plain does without)", err)
		}
		args = append(args, "-tags", oneorder.Tag, "-overlay", overlay)
	}
	build := exec.CommandContext(ctx, "go", append(args, simPackage)...)
	build.Stdout, build.Stderr = noise, noise
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("the simulation is built from the checkout, by Go: %w", err)
	}
	return binary, nil
}

// playSim plays one seed in a process of its own: what an earlier seed left in memory would be
// chance to it, and a seed that ends its process fails alone. An error is one of this program.
func playSim(ctx context.Context, binary string, seed uint64) (simResult, error) {
	limited, cancel := context.WithTimeout(ctx, longestSeed)
	defer cancel()
	cmd := exec.CommandContext(limited, binary, "-test.run=^TestSeeds$", "-test.timeout=0", "-sim.report",
		fmt.Sprintf("-sim.seed=%d", seed), "-sim.seeds=1")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	var out, noise bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &noise
	err := cmd.Run()
	if ctx.Err() != nil {
		return simResult{}, ctx.Err()
	}
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		return simResult{}, err
	}
	for line := range strings.Lines(out.String()) {
		if rest, ok := strings.CutPrefix(line, "sim: end "); ok {
			var r simResult
			err := json.Unmarshal([]byte(rest), &r)
			return r, err
		}
	}
	return simResult{Seed: seed, Trace: out.String() + noise.String(), Broken: []string{fmt.Sprintf("the process ended: %v", err)}}, nil
}

// parting shows where two runs of a seed part.
func parting(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("line %d is\n%s\nand then\n%s", i+1, x[i], y[i])
		}
	}
	if len(x) != len(y) {
		return fmt.Sprintf("it had %d lines, and then %d", len(x), len(y))
	}
	return "what happened was, and what the network carried was not"
}
