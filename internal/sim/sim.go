// Package sim runs whole systems on made-up time: members with real clients and stores, a real
// relay and key server, and between them a network that delays, cuts and swallows. Everything
// that is chosen follows from one seed: who does what next, how long every packet takes, which
// connection is cut at which byte, who crashes and when. After the faults everything must come
// to rest with nobody's help, and the promises of DESIGN section 1 are held against what each
// member has then. A seed is played again by its number.
//
// Start with [Run], inside a bubble of testing/synctest and after
// testing/cryptotest.SetGlobalRandom. The tests of this package do that for a fixed sample, and
// "sealpost sim" for as many seeds as one likes.
//
// One seed is one run where "sealpost sim" plays it, to the byte and the nanosecond: all of it
// happens on one processor, in a process of its own, with a Go runtime in which chance decides
// nothing (package oneorder), no two things at one instant (delays are drawn to the nanosecond),
// and time moves on only when every goroutine waits. Randomness is that of the seed; each
// connection has a stream of its own. The hash of a run covers when every byte arrived, and
// "sealpost sim -twice" plays each seed twice and compares. It is the same run on the same
// sources only: a change of the programs may move everything behind it.
//
// "go test" builds with the runtime as it is, which is quicker. There the plan of a seed is the
// same each time, while the order of goroutines within one instant, and which of several ready
// cases a select takes, is chance: a seed that fails may have to be played by "sealpost sim"
// to be seen again, or may fail in one of the two only.
//
// What is held against a run in the end: each message that was answered ACCEPTED is shown once and in
// order to each member that was in the room, or a gap that it was told of covers it; nobody is told
// of anything twice over all lives of its app, or of what the log does not have; all members of a
// room are in one epoch; nothing waits any more; the relay's own check finds nothing in its store;
// and, where "sealpost sim" plays it, no key has encrypted two messages that left an app.
//
// Out of scope: real sockets, real clocks and processes that are killed, which the tests of the
// packages themselves and "sealpost demo" have; members that act against their group, which
// clientlib's tests have; conversations of two, files, and ways to the relay other than WebSocket.
package sim

import (
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/crashpoint"
)

// Result is what came of a run.
type Result struct {
	Seed     uint64
	Hash     string   // of the trace: where two runs of a seed have the same, they did the same
	Trace    string   // what happened, a line a thing
	Broken   []string // promises that were not kept; none is good
	Messages int      // that were written
}

// Options say how a seed is played.
type Options struct {
	Wire  bool // what the network carried is in the trace
	Exact bool // the runtime is that of package oneorder

	// Keys, if set, is told of every encryption by package oneorder's witnesses.
	Keys *Keys

	// Watch is crashpoint.Watch, or nil, and then no server dies at a crash point.
	Watch func(func(crashpoint.Point))
}

// Run plays one seed in dir, an empty folder. An error is the simulation's own, or a program's
// that did not start again.
func Run(seed uint64, dir string, o Options) (Result, error) {
	w, err := newWorld(seed, dir, o)
	if err != nil {
		return Result{}, err
	}
	broken, err := w.run()
	if endErr := w.end(); err == nil {
		err = endErr
	}
	return Result{Seed: seed, Hash: w.trace.hash(), Trace: w.trace.String(), Broken: broken, Messages: w.said}, err
}

// run is the whole story.
func (w *world) run() (broken []string, err error) {
	if err := w.people(3 + w.random.IntN(4)); err != nil {
		return nil, err
	}
	for range 1 + w.random.IntN(3) {
		all := append([]*member{}, w.members...)
		w.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if err := w.found(all[0], all[1:2+w.random.IntN(len(all)-1)]...); err != nil {
			return nil, err
		}
		w.pass(w.pause())
	}
	if err := w.play(40 + w.random.IntN(80)); err != nil {
		return nil, err
	}
	if err := w.recover(); err != nil {
		return nil, err
	}
	for _, open := range w.settle() {
		broken = append(broken, "never at rest: "+open)
	}
	// Who can open what the others write now is in their epoch.
	for _, r := range w.rooms {
		for _, m := range w.members {
			w.write(m, r)
			w.pass(time.Duration(1 + w.random.IntN(1000)))
		}
	}
	if len(broken) == 0 {
		for _, open := range w.settle() {
			broken = append(broken, "never at rest again: "+open)
		}
	}
	broken = append(broken, w.check()...)
	if w.keyWatch != nil {
		wrong, messages := w.keyWatch.wrong(w.restored)
		w.trace.add("%d messages were encrypted and sent", messages)
		broken = append(broken, wrong...)
	}
	for _, b := range broken {
		w.trace.add("BROKEN: %s", b)
	}
	return broken, nil
}

// String is a result in one line.
func (r Result) String() string {
	return fmt.Sprintf("seed %d: %d messages, trace %s, %d promises broken", r.Seed, r.Messages, r.Hash, len(r.Broken))
}
