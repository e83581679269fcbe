// Package race runs several attempts at one thing, staged in time, and keeps the first that
// succeeds: what RFC 8305 does with addresses, for whatever can be dialled.
//
// Start with [First]. What is attempted, and in which order, is the caller's business; so
// are retries. The package keeps nothing between two races.
package race

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrNone: there was nothing to attempt.
var ErrNone = errors.New("race: no attempts")

// An Attempt is one way to a T.
type Attempt[T any] struct {
	Name string // in errors
	// After is when it starts, counted from the beginning of the race; it starts sooner when
	// all before it have failed. Not below that of the attempt before it.
	After time.Duration
	// Run returns soon after its context ends. What it returns does not depend on that
	// context any more: it ends when the race is decided, for the winner as well.
	Run func(context.Context) (T, error)
}

// Failed says which attempt an error is of.
type Failed struct {
	Name string
	Err  error
}

// Error names the attempt first.
func (e *Failed) Error() string { return fmt.Sprintf("%s: %v", e.Name, e.Err) }

// Unwrap returns the attempt's error.
func (e *Failed) Unwrap() error { return e.Err }

// Won is how a race ended well.
type Won[T any] struct {
	Value  T
	Index  int   // of the winner among the attempts
	Failed error // of those that had failed before, each a [*Failed]; nil if none had

	losers *sync.WaitGroup
}

// Wait returns when nothing of the losers is left.
func (w Won[T]) Wait() { w.losers.Wait() }

// First runs the attempts and returns the first success at once. The others are cancelled;
// the results of those that succeed all the same are given to discard, on goroutines of their
// own, which Wait waits for. When none succeeds, or ctx ends first, First returns after the last one,
// with all errors joined, in the order of the attempts: each is a [*Failed], whose Err is
// ctx's cause if the attempt was cut off by it.
func First[T any](ctx context.Context, discard func(T), attempts ...Attempt[T]) (Won[T], error) {
	if len(attempts) == 0 {
		return Won[T]{}, ErrNone
	}
	r := &runner[T]{
		attempts: attempts, discard: discard, begun: time.Now(), errs: make([]error, len(attempts)),
		results: make(chan result[T]), decided: make(chan struct{}), running: new(sync.WaitGroup),
	}
	defer close(r.decided)
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	r.launch(limited)
	for r.failed < r.started {
		select {
		case got := <-r.results:
			if got.err == nil {
				return Won[T]{Value: got.value, Index: got.index, Failed: errors.Join(r.errs...), losers: r.running}, nil
			}
			r.fail(ctx, got)
			if r.failed == r.started {
				r.launch(limited)
			}
		case <-r.due():
			r.launch(limited)
		}
	}
	return Won[T]{}, errors.Join(r.errs...)
}

// runner is one race. All but running belong to the goroutine of First.
type runner[T any] struct {
	attempts []Attempt[T]
	discard  func(T)
	begun    time.Time
	results  chan result[T]
	decided  chan struct{} // closed when nobody takes results any more
	running  *sync.WaitGroup

	started, failed int
	errs            []error // by attempt
	timer           <-chan time.Time
}

type result[T any] struct {
	index int
	value T
	err   error
}

// launch starts the next attempt, unless there is none or the race is called off.
func (r *runner[T]) launch(ctx context.Context) {
	r.timer = nil
	if r.started == len(r.attempts) || ctx.Err() != nil && r.started > 0 {
		return
	}
	index := r.started
	r.started++
	r.running.Go(func() {
		value, err := r.attempts[index].Run(ctx)
		select {
		case r.results <- result[T]{index, value, err}:
		case <-r.decided:
			if err == nil {
				r.discard(value)
			}
		}
	})
}

// due fires when the next attempt starts; never if there is none.
func (r *runner[T]) due() <-chan time.Time {
	if r.timer == nil && r.started < len(r.attempts) {
		r.timer = time.After(r.attempts[r.started].After - time.Since(r.begun))
	}
	return r.timer
}

// fail keeps why an attempt failed. What a layer below says about being cancelled differs, so
// the cause stands for it.
func (r *runner[T]) fail(ctx context.Context, got result[T]) {
	r.failed++
	if ctx.Err() != nil {
		got.err = context.Cause(ctx)
	}
	r.errs[got.index] = &Failed{Name: r.attempts[got.index].Name, Err: got.err}
}
