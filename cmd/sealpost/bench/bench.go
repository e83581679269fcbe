// Package bench measures Sealpost against what it stands on: the disk, Badger, SQLite, bare
// servers over TLS and QUIC, the primitives of its cryptography. Every figure is made by internal/measure's method; its
// About says what it compares.
//
// Start with [Run]. It is what "sealpost bench" does. Everything that is measured runs in
// child processes: this binary again, in one of the roles that [Play] plays.
package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/relay"
)

// Config is what a bench needs from the program around it.
type Config struct {
	Program measure.Program // runs a role; see Play
	Out     io.Writer       // the figures
	Log     io.Writer       // what is being measured, for people
}

// Options say what to measure. Area is required.
type Options struct {
	Area   string
	Only   string // one figure; empty: all of the area
	Rounds int    // of each figure, at least measure.MinRounds
	Quick  bool   // few operations: tries the bench out, and measures little
	JSON   bool   // one object a line
	Plot   string // SVG file, made or replaced; empty: none
	Dir    string // where stores are made, on the disk that is to be measured; empty: os.TempDir
}

// A Relay is a relay that serves in this process.
type Relay struct {
	Address relay.Address
	Syncs   func() uint64 // as of internal/shard
	Erased  func() uint64 // messages since it began
	Close   func() error  // drains it
}

// Run measures the area's figures and prints each when it is there. It returns those that
// did not keep their bound. Figures that this system cannot measure are left out with a line
// on Log.
func Run(ctx context.Context, cfg Config, opt Options) (missed []string, err error) {
	dir, err := os.MkdirTemp(opt.Dir, "sealpost-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b := &bench{program: cfg.Program, dir: dir, quick: opt.Quick}
	figures, err := b.figures(opt.Area, opt.Only)
	if err != nil {
		return nil, err
	}
	results, err := b.measure(ctx, cfg, opt, figures)
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		if !r.Held {
			missed = append(missed, r.Name)
		}
	}
	if opt.Plot == "" {
		return missed, nil
	}
	var picture strings.Builder
	if err := measure.WritePlot(&picture, "sealpost bench "+opt.Area, results); err != nil {
		return nil, err
	}
	return missed, os.WriteFile(opt.Plot, []byte(picture.String()), 0o644)
}

// bench is one run.
type bench struct {
	program measure.Program
	dir     string
	quick   bool
	aged    *aged  // of the store that lived through a million messages, once it has
	pending string // folder of the store with a million entries, once it is filled
}

// count is how many of something a side does: n, or few in a quick run.
func (b *bench) count(n, quick int) int {
	if b.quick {
		return quick
	}
	return n
}

// areas are what can be measured, in the order of the help.
var areas = []struct {
	name    string
	about   string
	figures func(*bench) []measure.Figure
}{
	{"relay", "the relay: a real server process on a fresh store, with a load generator in a process of its own", (*bench).relay},
	{"mls", "the MLS library: operations against the primitives that they are made of, in processor time of all threads. The large groups are made " +
		"once a run. A name that ends in .populated is of a tree whose every member has committed once, one without of a tree fresh from one bulk add; " +
		"one that ends in .pq is of the post-quantum default suite", (*bench).mls},
	{"client", "an app's store: clientlib against SQLite alone", (*bench).client},
}

// Areas names the areas.
func Areas() (names []string) {
	for _, a := range areas {
		names = append(names, a.name)
	}
	return names
}

// About describes every figure of every area, for the help.
func About() string {
	var text strings.Builder
	for _, a := range areas {
		fmt.Fprintf(&text, "%s: %s.\n\n", a.name, a.about)
		for _, f := range a.figures(&bench{}) {
			bound := f.Bound.String()
			if bound == "" {
				bound = "no bound"
			}
			fmt.Fprintf(&text, "  %s (%s, %s): %s\n\n", f.Name, f.Unit, bound, f.About)
		}
	}
	return text.String()
}

func (b *bench) figures(area, only string) ([]measure.Figure, error) {
	for _, a := range areas {
		if a.name != area {
			continue
		}
		figures := a.figures(b)
		if only != "" {
			figures = slices.DeleteFunc(figures, func(f measure.Figure) bool { return f.Name != only })
		}
		if len(figures) == 0 {
			return nil, fmt.Errorf("there is no figure %q in the area %s", only, area)
		}
		return figures, nil
	}
	return nil, fmt.Errorf("there is no area %q, only %s", area, strings.Join(Areas(), ", "))
}
