package bench

import (
	"context"
	"time"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// relayStore lists the figures of what the relay makes of its store.
func (b *bench) relayStore() []measure.Figure {
	return []measure.Figure{
		{
			Name: "durable_vs_badger_txn_per_message", Unit: "ratio", Sides: "messages/s", Bound: measure.AtLeast(5),
			About: "Accepted messages per second of the load of durable_vs_badger_batch, " +
				"over Badger in a process of its own where 256 writers store the same records, each message in a synced transaction of its own.",
			Of: b.appends(busyOver(relayclient.WebSocket)), Over: b.raw(rawRequest{Writers: manyWriters, Messages: b.count(6_000, 500)}, loadDone.rate),
		},
		{
			Name: "durable_vs_jetstream_always", Unit: "ratio", Sides: "messages/s", Bound: measure.AtLeast(6),
			About: "Accepted messages per second of the same load, over those of a nats-server in a process of its own with one JetStream stream, stored in files and synced always, " +
				"over TLS, from 16 connections with as many unanswered messages each as made it fastest. In programs built with the tag full.",
			Of: b.appends(busyOver(relayclient.WebSocket)), Over: b.jetstream,
		},
		{
			Name: "cycle_vs_badger_put_delete", Unit: "ratio", Sides: "messages/s", Bound: measure.AtLeast(0.4),
			About: "Messages per second that are accepted, delivered, acked and erased, over WebSocket, TLS and Noise, from 16 connections that write and read four queues each, " +
				"until the last one is erased; over Badger in a process of its own that puts the same records and deletes the entries, in transactions of 256, each with the same two syncs.",
			Of: b.cycles, Over: b.raw(rawRequest{PutDelete: b.cycleMessages()}, loadDone.rate),
		},
		{
			Name: "p50_growth_depth_x10", Unit: "ratio", Sides: "µs", Bound: measure.AtMost(1.5),
			About: "Median time of one message to its answer and of reading a queue's first ten entries from its ATTACH on, added, " +
				"with 4,000 entries in each of 16 queues, over the same with 400 in each.",
			Of: b.growth(4, 4, b.count(64_000, 640)), Over: b.growth(4, 4, b.count(6_400, 160)),
		},
		{
			Name: "p50_growth_queues_x10", Unit: "ratio", Sides: "µs", Bound: measure.AtMost(1.5),
			About: "The same in 8,000 queues, over 800, with ten entries in each.",
			Of:    b.growth(b.count(80, 8), 100, b.count(80_000, 8_000)), Over: b.growth(b.count(8, 1), 100, b.count(8_000, 1_000)),
		},
	}
}

// raw returns a value of what Badger does for q alone, in a process of its own.
func (b *bench) raw(q rawRequest, value func(loadDone) float64) measure.Side {
	return func(ctx context.Context) (v float64, err error) {
		err = b.inFolder(func(dir string) error {
			return b.with(ctx, "raw", func(child *measure.Child) error {
				q := q
				q.Dir = dir
				done, err := ask(child, q)
				v = value(done)
				return err
			})
		})
		return v, err
	}
}

func (b *bench) cycleMessages() int { return b.count(120_000, 2_000) }

// cycles returns how many messages per second live through everything.
func (b *bench) cycles(ctx context.Context) (rate float64, err error) {
	open := busyOver(relayclient.WebSocket)
	open.Attach = true
	err = b.withRelay(ctx, open, func(relay, load *measure.Child) error {
		start := time.Now()
		done, err := ask(load, loadRequest{Cycle: b.cycleMessages()})
		if err != nil {
			return err
		}
		var counts relayCounts
		if err := relay.Ask(relayRequest{Erased: uint64(done.Messages)}, &counts); err != nil {
			return err
		}
		done.Seconds = time.Since(start).Seconds()
		rate = done.rate()
		return nil
	})
	return rate, err
}

// growth returns the median times of a message and of a first look, added, when so many
// messages lie in the queues of so many connections.
func (b *bench) growth(conns, queues, messages int) measure.Side {
	return func(ctx context.Context) (sum float64, err error) {
		open := openLoad{Connections: conns, Queues: queues, Window: window, Transport: relayclient.WebSocket}
		err = b.withRelay(ctx, open, func(_, load *measure.Child) error {
			if _, err := ask(load, loadRequest{Append: messages}); err != nil {
				return err
			}
			sent, err := ask(load, loadRequest{Append: b.count(1_000, 50), Lone: true})
			if err != nil {
				return err
			}
			read, err := ask(load, loadRequest{Fetch: b.count(1_000, 50), First: 10})
			sum = sent.Median + read.Median
			return err
		})
		return sum, err
	}
}
