package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"time"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// relayCost lists the figures of processor time, which a busy machine changes least.
func (b *bench) relayCost() []measure.Figure {
	return []measure.Figure{
		{
			Name: "cpu_per_durable_vs_ws_echo", Unit: "ratio", Sides: "µs", Bound: measure.AtMost(4),
			About: "Processor time of the relay for one accepted message of 512 B, of the load of durable_vs_badger_batch, " +
				"over that of a coder/websocket server that echoes one as long, over TLS and as many connections with as many messages on their way.",
			Of: b.relayCPU(busyOver(relayclient.WebSocket), b.warmUp(), loadRequest{Append: b.messages()}),
			Over: b.echoCPU(echoLoad{Sockets: connections}, echoLoad{Echo: b.warmUp(), Window: window},
				echoLoad{Echo: b.messages(), Window: window}),
		},
		{
			Name: "connect_cpu_vs_ws_upgrade", Unit: "ratio", Sides: "µs", Bound: measure.AtMost(1.6),
			About: "Processor time of the relay for a client that connects over WebSocket, TLS and Noise, proves one reader, attaches and leaves, " +
				"over that of a coder/websocket server for a connection that is upgraded and closed.",
			Of: b.relayCPU(openLoad{Connections: comebacks, Queues: 1, Window: 1, Transport: relayclient.WebSocket}, 0, loadRequest{Connect: b.count(1_000, 40)}),
			Over: b.echoCPU(echoLoad{Sockets: comebacks}, echoLoad{Upgrade: b.count(100, 10)},
				echoLoad{Upgrade: b.count(1_000, 40)}),
		},
		{
			Name: "reconnect_100_queues_cpu_vs_100_verify", Unit: "ratio", Sides: "µs", Bound: measure.AtMost(1.5),
			About: "Processor time of the relay for a client that connects, proves itself the reader of 100 queues, attaches to all and leaves, " +
				"over that of verifying 100 signatures by Ed25519, which is what the proofs cost at the least.",
			Of: b.relayCPU(openLoad{Connections: comebacks, Queues: 100, Window: 1, Transport: relayclient.WebSocket}, 0,
				loadRequest{Connect: b.count(200, 8)}),
			Over: b.verification(100),
		},
	}
}

// relayCPU returns the relay's processor time for each thing that the load does for q, in µs,
// after so many messages that warm it up.
func (b *bench) relayCPU(open openLoad, warm int, q loadRequest) measure.Side {
	return func(ctx context.Context) (each float64, err error) {
		err = b.withRelay(ctx, open, func(relay, load *measure.Child) error {
			if warm > 0 {
				if _, err := ask(load, loadRequest{Append: warm}); err != nil {
					return err
				}
			}
			var before, after relayCounts
			if err := relay.Ask(relayRequest{}, &before); err != nil {
				return err
			}
			done, err := ask(load, q)
			if err != nil {
				return err
			}
			if err := relay.Ask(relayRequest{}, &after); err != nil {
				return err
			}
			each = perMessage(after.CPU-before.CPU, done)
			return nil
		})
		return each, err
	}
}

// echoCPU is the same of the bare server for the last request, after the others.
func (b *bench) echoCPU(requests ...echoLoad) measure.Side {
	return func(ctx context.Context) (each float64, err error) {
		err = b.withEcho(ctx, func(echo *measure.Child, ask func(echoLoad) (loadDone, error)) error {
			var before, after echoCounts
			var done loadDone
			for _, q := range requests {
				if err := echo.Ask(echoRequest{}, &before); err != nil {
					return err
				}
				var err error
				if done, err = ask(q); err != nil {
					return err
				}
			}
			if err := echo.Ask(echoRequest{}, &after); err != nil {
				return err
			}
			each = perMessage(after.CPU-before.CPU, done)
			return nil
		})
		return each, err
	}
}

func perMessage(cpu time.Duration, done loadDone) float64 {
	return float64(cpu) / float64(time.Microsecond) / float64(done.Messages)
}

// withEcho runs fn with the bare servers and a load generator, each a process.
func (b *bench) withEcho(ctx context.Context, fn func(echo *measure.Child, ask func(echoLoad) (loadDone, error)) error) error {
	return b.with(ctx, "echo", func(echo *measure.Child) error {
		var counts echoCounts
		if err := echo.Ask(echoRequest{Start: true}, &counts); err != nil {
			return err
		}
		return b.with(ctx, "echoes", func(load *measure.Child) error {
			return fn(echo, func(q echoLoad) (done loadDone, err error) {
				q.Counts = counts
				err = load.Ask(q, &done)
				return done, err
			})
		})
	})
}

// verifyRequest asks for signatures to be verified.
type verifyRequest struct{ Signatures int }

// verifyProofs is the role of what proofs cost at the least.
func verifyProofs(_ context.Context, d *measure.Desk, _ Cast) error {
	key, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	message := make([]byte, 128)
	signature := ed25519.Sign(private, message)
	return measure.Serve(d, func(q verifyRequest) (done loadDone, err error) {
		before, err := measure.CPU()
		if err != nil {
			return done, err
		}
		for range q.Signatures {
			if !ed25519.Verify(key, message, signature) {
				return done, errors.New("a signature does not verify")
			}
		}
		after, err := measure.CPU()
		return loadDone{Messages: q.Signatures, Seconds: (after - before).Seconds()}, err
	})
}

// verification returns the processor time of so many verifications, in µs.
func (b *bench) verification(signatures int) measure.Side {
	return func(ctx context.Context) (µs float64, err error) {
		err = b.with(ctx, "verify", func(child *measure.Child) error {
			if _, err := ask(child, verifyRequest{Signatures: 1000}); err != nil {
				return err
			}
			done, err := ask(child, verifyRequest{Signatures: b.count(20_000, 2_000)})
			µs = done.Seconds * 1e6 / float64(done.Messages) * float64(signatures)
			return err
		})
		return µs, err
	}
}
