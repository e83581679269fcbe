package bench

import (
	"context"
	"os"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// fill makes the store with a million entries that wait, once.
func (b *bench) fill(ctx context.Context) error {
	if b.pending != "" {
		return nil
	}
	dir, err := os.MkdirTemp(b.dir, "pending-")
	if err != nil {
		return err
	}
	err = b.withRelayIn(ctx, dir, busyOver(relayclient.WebSocket), func(_, load *measure.Child) error {
		_, err := ask(load, loadRequest{Append: b.count(1_000_000, 20_000)})
		return err
	})
	if err == nil {
		b.pending = dir
	}
	return err
}

// reopens returns how many ms the relay takes to open the store.
func (b *bench) reopens(ctx context.Context) (ms float64, err error) {
	if err := b.fill(ctx); err != nil {
		return 0, err
	}
	err = b.with(ctx, "relay", func(relay *measure.Child) error {
		var counts relayCounts
		err := relay.Ask(relayRequest{Dir: b.pending}, &counts)
		ms = counts.Opened * 1e3
		return err
	})
	return ms, err
}

// badgerOpens is the same of Badger alone.
func (b *bench) badgerOpens(ctx context.Context) (ms float64, err error) {
	if err := b.fill(ctx); err != nil {
		return 0, err
	}
	err = b.with(ctx, "raw", func(child *measure.Child) error {
		done, err := ask(child, rawRequest{Dir: filepath.Join(b.pending, "relay"), Open: 1})
		ms = done.Median / 1e3
		return err
	})
	return ms, err
}
