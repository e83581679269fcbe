package bench

import (
	"context"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// relayReach lists the figures of one queue with many readers, and of one reader with much to
// read.
func (b *bench) relayReach() []measure.Figure {
	readers, backlog := b.count(1_000, 50), b.count(1_000, 200)
	one := openLoad{Connections: 1, Queues: 1, Window: window, Transport: relayclient.WebSocket}
	members := func(n int) openLoad {
		open := one
		open.Readers = n
		return open
	}
	return []measure.Figure{
		{
			Name: "fanout_1000_vs_raw_tls_loop", Unit: "ratio", Sides: "µs", Bound: measure.AtMost(2),
			About: "Median time from one message until the last of 1,000 attached readers, each a session, has it verified; the relay has stored it durably first. " +
				"Over that of a server which writes as many bytes to 1,000 TLS connections in a loop, and stores nothing.",
			Of: b.fanOut(openLoad{Connections: readers, Window: 1, Transport: relayclient.WebSocket, Fan: true}), Over: b.fanLoop(readers),
		},
		{
			Name: "append_10000_readers_vs_10", Unit: "ratio", Sides: "µs", Bound: measure.AtMost(1.3),
			About: "Processor time of the relay for one message that is accepted in a queue of 10,000 readers, none of them there, over the same in a queue of ten. " +
				"Whom to wake is found out beside the answer and is part of the time.",
			Of:   b.relayCPU(members(b.count(10_000, 500)), b.warmUp()/4, loadRequest{Append: b.messages() / 4}),
			Over: b.relayCPU(members(10), b.warmUp()/4, loadRequest{Append: b.messages() / 4}),
		},
		{
			Name: "drain_1000_vs_raw_iterate", Unit: "ratio", Sides: "messages/s", Bound: measure.AtLeast(0.12),
			About: "Messages per second that a reader who is 1,000 behind in each of 64 queues takes of one of them, over WebSocket, TLS and Noise, from its ATTACH to the last one, verified, " +
				"over Badger's iterator that goes over the same records of a store filled in the same way, with their values and nothing else. The messages came in turn, and most are in tables.",
			Of: b.fetches(busyOver(relayclient.WebSocket), backlog*connections*queuesEach, loadRequest{Fetch: b.count(256, 5), First: backlog}, func(done loadDone) float64 {
				return float64(backlog) / done.Median * 1e6
			}),
			Over: b.iterate(backlog),
		},
	}
}

func (b *bench) fanOut(open openLoad) measure.Side {
	return func(ctx context.Context) (median float64, err error) {
		err = b.withRelay(ctx, open, func(_, load *measure.Child) error {
			if _, err := ask(load, loadRequest{Fan: b.count(10, 2)}); err != nil {
				return err
			}
			done, err := ask(load, loadRequest{Fan: b.count(60, 5)})
			median = done.Median
			return err
		})
		return median, err
	}
}

func (b *bench) fanLoop(readers int) measure.Side {
	return func(ctx context.Context) (median float64, err error) {
		err = b.withEcho(ctx, func(_ *measure.Child, ask func(echoLoad) (loadDone, error)) error {
			done, err := ask(echoLoad{Fan: b.count(70, 7), Readers: readers})
			median = done.Median
			return err
		})
		return median, err
	}
}

// fetches returns a value of a load that first sends so many messages and is then asked q.
func (b *bench) fetches(open openLoad, messages int, q loadRequest, value func(loadDone) float64) measure.Side {
	return func(ctx context.Context) (v float64, err error) {
		err = b.withRelay(ctx, open, func(_, load *measure.Child) error {
			if _, err := ask(load, loadRequest{Append: messages}); err != nil {
				return err
			}
			done, err := ask(load, q)
			v = value(done)
			return err
		})
		return v, err
	}
}

// iterate returns how many entries per second Badger iterates over.
func (b *bench) iterate(entries int) measure.Side {
	return b.raw(rawRequest{Fill: entries, Iterate: b.count(200, 5)}, func(done loadDone) float64 {
		return float64(entries) / done.Median * 1e6
	})
}
