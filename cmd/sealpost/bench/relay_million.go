package bench

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// idleWithin is how long a store may take to give its disk back.
const idleWithin = 60 * time.Second

// relayMillion lists the figures of a store that has lived through a million messages, or
// holds as many. The first is measured once for all its figures.
func (b *bench) relayMillion() []measure.Figure {
	part := func(of func(*aged) float64) measure.Side {
		return func(ctx context.Context) (float64, error) {
			a, err := b.million(ctx)
			if err != nil {
				return 0, err
			}
			return of(a), nil
		}
	}
	return []measure.Figure{
		{
			Name: "disk_after_1M_cycles_mib", Unit: "MiB", Bound: measure.AtMost(64), Rounds: 1,
			About: "What the relay's folder takes on the disk beyond four times what is alive, when 1,000,000 messages in 64 queues were accepted, delivered, acked and erased " +
				"and the relay has been idle for up to a minute. Alive are the answers that are remembered for two days, in bytes of key and sealed value. A hundredth stands for nothing.",
			Of: part(func(a *aged) float64 { return a.left }),
		},
		{
			Name: "disk_peak_1M_cycles_mib", Unit: "MiB", Bound: measure.AtMost(512), Rounds: 1,
			About: "The most that it took beyond four times what was alive then, looked at four times a second.",
			Of:    part(func(a *aged) float64 { return a.peak }),
		},
		{
			Name: "fetch10_after_1M_cycles_vs_fresh", Unit: "ratio", Sides: "µs", Bound: measure.AtMost(2), Rounds: 1,
			About: "Median time from a reader's ATTACH to the first ten new entries in that store, from where it was, over the same in a fresh store with as many queues and new entries.",
			Of:    part(func(a *aged) float64 { return a.fetch }), Over: b.freshFetch,
		},
		{
			Name: "reopen_1M_vs_badger_open", Unit: "ratio", Sides: "ms", Bound: measure.AtMost(1.3),
			About: "Time to open a relay with 1,000,000 entries that nobody has read, until it listens, over that of Badger to open the same files, with every block verified as the relay does. " +
				"The store is filled once; each opening has a process of its own.",
			Of: b.reopens, Over: b.badgerOpens,
		},
	}
}

// aged is what was measured of a store that is old.
type aged struct {
	left, peak float64 // MiB beyond four times what is alive
	fetch      float64 // µs
}

// million makes a store old, once.
func (b *bench) million(ctx context.Context) (*aged, error) {
	if b.aged != nil {
		return b.aged, nil
	}
	open := busyOver(relayclient.WebSocket)
	open.Attach = true
	messages := b.count(1_000_000, 20_000)
	var a aged
	err := b.inFolder(func(dir string) error {
		return b.withRelayIn(ctx, dir, open, func(relay, load *measure.Child) (err error) {
			w := &watch{relay: relay, dir: dir, every: time.Second / 4, least: 0.01}
			over, cancel := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() { ended <- w.until(over, func(float64) bool { return false }) }()
			done, err := ask(load, loadRequest{Cycle: messages})
			cancel()
			if werr := <-ended; err != nil || werr != nil {
				return errors.Join(err, werr)
			}
			if err := relay.Ask(relayRequest{Erased: uint64(done.Messages)}, &relayCounts{}); err != nil {
				return err
			}
			within, stop := context.WithTimeout(ctx, time.Duration(b.count(int(idleWithin), int(2*time.Second))))
			defer stop()
			if err := w.until(within, func(beyond float64) bool { return beyond <= w.least }); err != nil {
				return err
			}
			a.left, a.peak = w.last, w.most
			a.fetch, err = b.fetchTen(load)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	b.aged = &a
	return b.aged, nil
}

// fetchTen sends some messages to all queues and returns the median time to read ten.
func (b *bench) fetchTen(load *measure.Child) (µs float64, err error) {
	if _, err := ask(load, loadRequest{Append: 12 * connections * queuesEach}); err != nil {
		return 0, err
	}
	done, err := ask(load, loadRequest{Fetch: b.count(500, 64), First: 10})
	return done.Median, err
}

func (b *bench) freshFetch(ctx context.Context) (µs float64, err error) {
	err = b.withRelay(ctx, busyOver(relayclient.WebSocket), func(_, load *measure.Child) error {
		µs, err = b.fetchTen(load)
		return err
	})
	return µs, err
}

// watch looks again and again at what a relay's folder takes beyond four times what is alive.
type watch struct {
	relay      *measure.Child
	dir        string
	every      time.Duration
	least      float64 // MiB, given for less
	last, most float64
}

// until looks until ctx ends, which is no error, or enough says so.
func (w *watch) until(ctx context.Context, enough func(beyond float64) bool) error {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		var counts relayCounts
		if err := w.relay.Ask(relayRequest{}, &counts); err != nil {
			return err
		}
		used, err := diskUsed(w.dir)
		if err != nil {
			return err
		}
		alive := int64(counts.Erased) * int64(memoryRecord.key+memoryRecord.value)
		w.last = max(float64(used-4*alive)/(1<<20), w.least)
		if w.most = max(w.most, w.last); enough(w.last) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// diskUsed returns how many bytes of the disk the files below dir take.
func diskUsed(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err == nil {
			sum += allocated(info)
		}
		return ignoreGone(err)
	})
	return sum, err
}

// ignoreGone: Badger removes files while they are being counted.
func ignoreGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
