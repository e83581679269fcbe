package bench

import (
	"context"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// The load of the throughput figures.
const (
	connections = 16
	queuesEach  = 4 // the relay's rate limits are of a queue
	window      = 64

	manyWriters = 256 // each with a connection and a queue of its own, and one message on its way
)

// relay lists the figures of the area relay.
func (b *bench) relay() []measure.Figure {
	return slices.Concat(b.relayThroughput(), b.relayCost(), b.relayStore(), b.relayReach(), b.relayIdle(), b.relayMillion())
}

// relayThroughput lists the figures of accepting messages.
func (b *bench) relayThroughput() []measure.Figure {
	busy := busyOver(relayclient.WebSocket)
	return []measure.Figure{
		{
			Name: "durable_vs_badger_batch", Unit: "ratio", Sides: "messages/s", Bound: measure.AtLeast(0.55),
			About: "Accepted messages of 512 B over WebSocket, TLS and Noise, from 16 connections with 64 unanswered APPENDs each, " +
				"over Badger in a process of its own that writes the same records with the same options, in transactions of 256 messages, " +
				"each followed by the same two syncs.",
			Of: b.appends(busy), Over: b.badgerBatches,
		},
		{
			Name: "lone_accept_vs_fdatasync", Unit: "ratio", Sides: "µs", Bound: measure.AtMost(5),
			About: "Median time from one message to its answer on a fresh store, one writer, one message at a time, " +
				"over the median time to write 4 KiB into a preallocated file and fdatasync it. An accepted message costs two syncs in turn.",
			Of: b.loneAccept(0), Over: b.fdatasync,
		},
		{
			Name: "lone_accept_after_load_vs_fdatasync", Unit: "ratio", Sides: "µs", Bound: measure.AtMost(8),
			About: "The same, one second after 100,000 accepted messages.",
			Of:    b.loneAccept(b.count(100_000, 2_000)), Over: b.fdatasync,
		},
		{
			Name: "syncs_per_message", Unit: "syncs", Bound: measure.AtMost(0.03),
			About: "Calls of fdatasync in the relay per accepted message, with 256 writers that each wait for an answer before the next message. " +
				"The relay's store counts its own calls: one for Badger's write-ahead log and one for the mark for each batch (where the system is not Linux, Badger makes two of its own). " +
				"The few calls with which Badger writes out a full memtable are not counted.",
			Of: b.syncsPerMessage,
		},
		{
			Name: "deliver_vs_append", Unit: "ratio", Sides: "messages/s",
			About: "Messages per second read from a backlog, over messages per second accepted, both from 16 connections.",
			Of:    b.delivers(busy), Over: b.appends(busy),
		},
		{
			Name: "webtransport_vs_websocket", Unit: "ratio", Sides: "messages/s", Bound: measure.AtLeast(0.6),
			About: "Accepted messages per second of the same load over WebTransport, over those over WebSocket.",
			Of:    b.appends(busyOver(relayclient.WebTransport)), Over: b.appends(busy),
		},
		{
			Name: "long_polling_vs_websocket", Unit: "ratio", Sides: "messages/s",
			About: "The same over long polling, for networks that let nothing else through.",
			Of:    b.appends(busyOver(relayclient.LongPolling)), Over: b.appends(busy),
		},
		{
			Name: "idle_session_kib", Unit: "KiB",
			About: "Resident memory of the relay process for each idle session, of several hundred, after garbage collection.",
			Of:    b.idleSession,
		},
	}
}

// busyOver is the load of the throughput figures.
func busyOver(t relayclient.Transport) openLoad {
	return openLoad{Connections: connections, Queues: queuesEach, Window: window, Transport: t}
}

// withRelay runs fn with a relay on a fresh store and a load generator, each a process.
func (b *bench) withRelay(ctx context.Context, open openLoad, fn func(relay, load *measure.Child) error) error {
	return b.inFolder(func(dir string) error { return b.withRelayIn(ctx, dir, open, fn) })
}

// withRelayIn is withRelay for a store in dir.
func (b *bench) withRelayIn(ctx context.Context, dir string, open openLoad, fn func(relay, load *measure.Child) error) error {
	return b.with(ctx, "relay", func(relay *measure.Child) error {
		var counts relayCounts
		if err := relay.Ask(relayRequest{Dir: dir}, &counts); err != nil {
			return err
		}
		open.Address = counts.Address
		return b.with(ctx, "load", func(load *measure.Child) error {
			if err := load.Ask(loadRequest{Open: &open}, &loadDone{}); err != nil {
				return err
			}
			return fn(relay, load)
		})
	})
}

// Messages of the throughput figures, and those ahead of them that warm both sides up.
func (b *bench) messages() int { return b.count(60_000, 2_000) }
func (b *bench) warmUp() int   { return b.count(6_000, 500) }

func ask(child *measure.Child, request any) (done loadDone, err error) {
	err = child.Ask(request, &done)
	return done, err
}

func (b *bench) appends(open openLoad) measure.Side {
	return func(ctx context.Context) (rate float64, err error) {
		err = b.withRelay(ctx, open, func(_, load *measure.Child) error {
			if _, err := ask(load, loadRequest{Append: b.warmUp()}); err != nil {
				return err
			}
			done, err := ask(load, loadRequest{Append: b.messages()})
			rate = done.rate()
			return err
		})
		return rate, err
	}
}

func (b *bench) delivers(open openLoad) measure.Side {
	return func(ctx context.Context) (rate float64, err error) {
		err = b.withRelay(ctx, open, func(_, load *measure.Child) error {
			if _, err := ask(load, loadRequest{Append: b.messages()}); err != nil {
				return err
			}
			done, err := ask(load, loadRequest{Read: true})
			rate = done.rate()
			return err
		})
		return rate, err
	}
}

func (b *bench) badgerBatches(ctx context.Context) (rate float64, err error) {
	err = b.inFolder(func(dir string) error {
		return b.with(ctx, "badger", func(raw *measure.Child) error {
			done, err := ask(raw, badgerRequest{Dir: dir, Queues: connections * queuesEach, Warm: b.warmUp(), Messages: b.messages()})
			rate = done.rate()
			return err
		})
	})
	return rate, err
}

func (b *bench) loneAccept(before int) measure.Side {
	return func(ctx context.Context) (median float64, err error) {
		open := openLoad{Connections: 1, Queues: 1, Window: 1, Transport: relayclient.WebSocket}
		if before > 0 {
			open = busyOver(relayclient.WebSocket)
		}
		err = b.withRelay(ctx, open, func(relay, load *measure.Child) error {
			if before == 0 {
				done, err := ask(load, loadRequest{Append: b.count(2_000, 100)})
				median = done.Median
				return err
			}
			if _, err := ask(load, loadRequest{Append: before}); err != nil {
				return err
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return ctx.Err()
			}
			done, err := ask(load, loadRequest{Append: b.count(2_000, 100), Lone: true})
			median = done.Median
			return err
		})
		return median, err
	}
}

func (b *bench) fdatasync(ctx context.Context) (median float64, err error) {
	err = b.inFolder(func(dir string) error {
		return b.with(ctx, "disk", func(disk *measure.Child) error {
			done, err := ask(disk, diskRequest{Dir: dir, Writes: b.count(2_000, 100)})
			median = done.Median
			return err
		})
	})
	return median, err
}

func (b *bench) syncsPerMessage(ctx context.Context) (perMessage float64, err error) {
	err = b.withRelay(ctx, openLoad{Connections: manyWriters, Queues: 1, Window: 1, Transport: relayclient.WebSocket}, func(relay, load *measure.Child) error {
		if _, err := ask(load, loadRequest{Append: b.warmUp()}); err != nil {
			return err
		}
		var before, after relayCounts
		if err := relay.Ask(relayRequest{}, &before); err != nil {
			return err
		}
		done, err := ask(load, loadRequest{Append: b.messages()})
		if err != nil {
			return err
		}
		if err := relay.Ask(relayRequest{}, &after); err != nil {
			return err
		}
		perMessage = float64(after.Syncs-before.Syncs) / float64(done.Messages)
		return nil
	})
	return perMessage, err
}

func (b *bench) idleSession(ctx context.Context) (kib float64, err error) {
	sessions := b.count(800, 50)
	err = b.withRelay(ctx, openLoad{Connections: 1, Transport: relayclient.WebSocket}, func(relay, load *measure.Child) error {
		var before, after relayCounts
		if err := relay.Ask(relayRequest{Resident: true}, &before); err != nil {
			return err
		}
		if _, err := ask(load, loadRequest{Open: &openLoad{Address: before.Address, Connections: sessions, Transport: relayclient.WebSocket}}); err != nil {
			return err
		}
		if err := relay.Ask(relayRequest{Resident: true}, &after); err != nil {
			return err
		}
		kib = (float64(after.Resident) - float64(before.Resident)) / float64(sessions)
		return nil
	})
	return kib, err
}
