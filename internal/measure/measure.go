// Package measure is how every figure of Sealpost is made: it compares, in rounds, two
// things that are measured in turn in the same run.
//
// Start with [Figure] and [Program]. A busy or slow machine slows both sides of a round, so
// a ratio means the same on another machine where a time would not. A figure is the median
// of its rounds' ratios, with the smallest and the largest beside it; the side that goes
// first alternates, since the second finds warmer caches and a fuller disk. A side makes a
// fresh store and fresh processes each time ([Program.Start]), and whoever makes the load
// does not share a process with what is measured.
//
// Out of scope: what is measured. The package knows no part of Sealpost.
package measure

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// MinRounds is the least number of rounds of a figure: a median of fewer is a guess.
const MinRounds = 5

// Errors of a Run.
var (
	// ErrRounds: fewer rounds than MinRounds were asked for.
	ErrRounds = fmt.Errorf("measure: a figure has at least %d rounds", MinRounds)
	// ErrUnsupported: this system cannot measure the figure. A side wraps it.
	ErrUnsupported = errors.New("measure: not measurable on this system")
	// ErrNoValue: a side measured something that is no positive number.
	ErrNoValue = errors.New("measure: a side has no value")
)

// A Side measures one thing once, on a fresh store and in fresh processes, and leaves
// nothing behind. It returns soon after ctx ends.
type Side func(ctx context.Context) (float64, error)

// A Figure is Of ÷ Over, or Of alone if Over is nil.
type Figure struct {
	Name  string
	About string // what it compares, and how: a sentence for people
	Unit  string // of the value
	Of    Side
	Over  Side
	Sides string // unit of what the two sides return, if there are two
	Bound Bound
	// Rounds, if set, is how many there are, whatever Run is asked for: a side that takes
	// minutes is measured once.
	Rounds int
	// Heap, if set, returns what an operation of Of allocates on the heap, as a median of the
	// rounds. It is called once they are over.
	Heap func() (allocs, bytes float64)
}

// A Bound is what a figure must not pass. The zero value is none.
type Bound struct {
	Limit float64
	Upper bool // the value must not be above Limit; else not below
}

// AtLeast returns a lower bound.
func AtLeast(limit float64) Bound { return Bound{Limit: limit} }

// AtMost returns an upper bound.
func AtMost(limit float64) Bound { return Bound{Limit: limit, Upper: true} }

// Holds tells whether v is within b.
func (b Bound) Holds(v float64) bool {
	switch {
	case b == Bound{}:
		return true
	case b.Upper:
		return v <= b.Limit
	}
	return v >= b.Limit
}

// String returns b in words, "" for none.
func (b Bound) String() string {
	switch {
	case b == Bound{}:
		return ""
	case b.Upper:
		return fmt.Sprintf("at most %g", b.Limit)
	}
	return fmt.Sprintf("at least %g", b.Limit)
}

// A Result is one figure as it was measured. Its JSON form is one line of the output.
type Result struct {
	Name   string    `json:"name"`
	Value  float64   `json:"value"` // the median of Rounds
	Unit   string    `json:"unit"`
	Rounds []float64 `json:"rounds"` // in the order in which they were measured
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Of     float64   `json:"of,omitempty"`    // median of the side above the line
	Over   float64   `json:"over,omitempty"`  // median of the side below it
	Sides  string    `json:"sides,omitempty"` // unit of Of and Over
	Bound  string    `json:"bound,omitempty"`
	Held   bool      `json:"held"`                  // Value is within Bound, or there is none
	Allocs float64   `json:"allocs,omitempty"`      // of an operation above the line
	Bytes  float64   `json:"alloc_bytes,omitempty"` // the same

	bound Bound
}

// Run measures f in so many rounds. It returns ErrRounds, ErrNoValue or a side's error.
// say, if set, is told what is measured next.
func (f Figure) Run(ctx context.Context, rounds int, say func(string)) (Result, error) {
	if rounds < MinRounds {
		return Result{}, ErrRounds
	}
	if f.Rounds > 0 {
		rounds = f.Rounds
	}
	var ratios, of, over []float64
	for round := range rounds {
		if say != nil {
			say(fmt.Sprintf("%s: round %d of %d", f.Name, round+1, rounds))
		}
		a, b, err := f.round(ctx, round%2 == 1)
		if err != nil {
			return Result{}, fmt.Errorf("%s, round %d: %w", f.Name, round+1, err)
		}
		ratios, of, over = append(ratios, a/b), append(of, a), append(over, b)
	}
	r := Result{
		Name: f.Name, Unit: f.Unit, Rounds: ratios, Value: Median(ratios), Min: Percentile(ratios, 0), Max: Percentile(ratios, 100),
		Bound: f.Bound.String(), bound: f.Bound,
	}
	r.Held = f.Bound.Holds(r.Value)
	if f.Over != nil {
		r.Of, r.Over, r.Sides = Median(of), Median(over), f.Sides
	}
	if f.Heap != nil {
		r.Allocs, r.Bytes = f.Heap()
	}
	return r, nil
}

// round measures both sides once. Without a side below the line that one is 1.
func (f Figure) round(ctx context.Context, overFirst bool) (of, over float64, err error) {
	if f.Over == nil {
		of, err = f.Of.value(ctx)
		return of, 1, err
	}
	if overFirst {
		if over, err = f.Over.value(ctx); err != nil {
			return 0, 0, err
		}
	}
	if of, err = f.Of.value(ctx); err != nil {
		return 0, 0, err
	}
	if !overFirst {
		over, err = f.Over.value(ctx)
	}
	return of, over, err
}

// value measures s once. A value that cannot be divided by, or is none, would make a ratio
// that looks like one.
func (s Side) value(ctx context.Context) (float64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	v, err := s(ctx)
	if err == nil && (v <= 0 || math.IsNaN(v) || math.IsInf(v, 0)) {
		err = fmt.Errorf("%w: %v", ErrNoValue, v)
	}
	return v, err
}
