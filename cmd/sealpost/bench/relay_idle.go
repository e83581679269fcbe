package bench

import (
	"context"
	"time"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// relayIdle lists the figures of sessions that say nothing, and of those beside them.
func (b *bench) relayIdle() []measure.Figure {
	many, some := b.count(10_000, 200), b.count(2_000, 50)
	attached := func(n int, t relayclient.Transport) openLoad {
		return openLoad{Connections: n, Queues: 1, Window: 1, Transport: t, Attach: true}
	}
	return []measure.Figure{
		{
			Name: "idle_ws_rss_vs_coder_echo", Unit: "ratio", Sides: "KiB", Bound: measure.AtMost(0.7),
			About: "Resident memory that 10,000 idle sessions over WebSocket add to the relay, each attached to a queue of its own, after garbage collection, " +
				"over what as many idle connections, which have echoed one message each, add to a coder/websocket server. Both are of one session.",
			Of: b.idleSessions(attached(many, relayclient.WebSocket)), Over: b.idleEchoes(echoLoad{Sockets: many}, many),
		},
		{
			Name: "idle_wt_rss_vs_webtransport_echo", Unit: "ratio", Sides: "KiB", Bound: measure.AtMost(1.2),
			About: "The same of 2,000 sessions over WebTransport, over a webtransport-go server.",
			Of:    b.idleSessions(attached(some, relayclient.WebTransport)), Over: b.idleEchoes(echoLoad{Sessions: some}, some),
		},
		{
			Name: "live_p99_idle10k_vs_idle0", Unit: "ratio", Sides: "µs", Bound: measure.AtMost(3),
			About: "The time that 99 of 100 messages take from writer to reader, in four pairs with one message at a time each, 20,000 in all, " +
				"beside 10,000 idle sessions that are attached, over the same without them.",
			Of: b.liveBeside(attached(many, relayclient.WebSocket)), Over: b.liveBeside(openLoad{Transport: relayclient.WebSocket}),
		},
	}
}

// idleSessions returns what a session adds to the relay's resident memory, in KiB.
func (b *bench) idleSessions(open openLoad) measure.Side {
	return func(ctx context.Context) (kib float64, err error) {
		one := open
		one.Connections = 1
		err = b.withRelay(ctx, one, func(relay, load *measure.Child) error {
			var before, after relayCounts
			if err := relay.Ask(relayRequest{Resident: true}, &before); err != nil {
				return err
			}
			all := open
			all.Address = before.Address
			if _, err := ask(load, loadRequest{Open: &all}); err != nil {
				return err
			}
			if err := settle(ctx); err != nil {
				return err
			}
			if err := relay.Ask(relayRequest{Resident: true}, &after); err != nil {
				return err
			}
			kib = (float64(after.Resident) - float64(before.Resident)) / float64(open.Connections)
			return nil
		})
		return kib, err
	}
}

// settle waits until what sessions leave to be written is written.
func settle(ctx context.Context) error {
	select {
	case <-time.After(2 * time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// idleEchoes is the same of the bare server.
func (b *bench) idleEchoes(open echoLoad, n int) measure.Side {
	return func(ctx context.Context) (kib float64, err error) {
		err = b.withEcho(ctx, func(echo *measure.Child, ask func(echoLoad) (loadDone, error)) error {
			var before, after echoCounts
			if err := echo.Ask(echoRequest{Resident: true}, &before); err != nil {
				return err
			}
			if _, err := ask(open); err != nil {
				return err
			}
			if err := settle(ctx); err != nil {
				return err
			}
			if err := echo.Ask(echoRequest{Resident: true}, &after); err != nil {
				return err
			}
			kib = (float64(after.Resident) - float64(before.Resident)) / float64(n)
			return nil
		})
		return kib, err
	}
}

// liveBeside returns the 99th percentile of live messages beside the sessions of open, in µs.
func (b *bench) liveBeside(open openLoad) measure.Side {
	return func(ctx context.Context) (p99 float64, err error) {
		err = b.withRelay(ctx, open, func(relay, load *measure.Child) error {
			var counts relayCounts
			if err := relay.Ask(relayRequest{}, &counts); err != nil {
				return err
			}
			pairs := openLoad{Address: counts.Address, Connections: 2 * livePairs, Queues: 1, Window: 1, Transport: open.Transport}
			if _, err := ask(load, loadRequest{Open: &pairs}); err != nil {
				return err
			}
			if _, err := ask(load, loadRequest{Live: b.count(2_000, 40)}); err != nil {
				return err
			}
			done, err := ask(load, loadRequest{Live: b.count(20_000, 200)})
			p99 = done.P99
			return err
		})
		return p99, err
	}
}
