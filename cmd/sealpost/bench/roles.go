package bench

import (
	"context"
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/sealpost/sealpost/internal/measure"
)

// A Cast is what the program around this package lends to the roles.
type Cast struct {
	// Serve opens a relay on an empty folder, at a free port of the loopback, as
	// "sealpost serve" would.
	Serve func(ctx context.Context, dir string) (Relay, error)
	// Profile is a file for a CPU profile of the role; empty: none.
	Profile string
}

// A role answers requests until there are no more. ctx ends when the parent is gone.
type role func(ctx context.Context, d *measure.Desk, c Cast) error

var roles = map[string]role{
	"relay":  serveRelay,
	"load":   makeLoad,
	"echo":   serveEcho,
	"echoes": makeEcho,
	"badger": writeBadger,
	"raw":    useBadger,
	"verify": verifyProofs,
	"disk":   syncDisk,
	"mls":    computeMLS,
	"client": useClient,
	"sqlite": useSQLite,
}

// Play plays a role on standard input and output, until the input ends.
func Play(ctx context.Context, name string, c Cast) error {
	play, ok := roles[name]
	if !ok {
		return fmt.Errorf("there is no role %q", name)
	}
	if c.Profile != "" {
		f, err := os.Create(c.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	desk, ctx := measure.Stdio(ctx)
	return play(ctx, desk, c)
}

// with runs fn with a child in a role, and ends the child.
func (b *bench) with(ctx context.Context, role string, fn func(*measure.Child) error) error {
	child, err := b.program.Start(ctx, role)
	if err != nil {
		return err
	}
	if err := fn(child); err != nil {
		_ = child.End() // it is fn's error that tells why
		return err
	}
	return child.End()
}

// inFolder runs fn with a fresh folder and removes it.
func (b *bench) inFolder(fn func(dir string) error) error {
	dir, err := os.MkdirTemp(b.dir, "side-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return fn(dir)
}
