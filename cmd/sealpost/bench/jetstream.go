//go:build full

package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/measure"
)

// jetstreamWindow is how many messages of a connection wait for their answer: more made the
// server faster up to here, and none beyond.
const jetstreamWindow = 256

func init() {
	roles["jetstream"] = serveJetStream
	roles["publish"] = publish
}

// jetstreamRequest opens the server in Dir.
type jetstreamRequest struct{ Dir string }

// jetstreamCounts tells where it is.
type jetstreamCounts struct {
	URL string
	Pin certpin.Pin
}

// serveJetStream is the role of a nats-server with one stream, whose every message is synced
// before it is answered.
func serveJetStream(_ context.Context, d *measure.Desk, _ Cast) error {
	var running *server.Server
	err := measure.Serve(d, func(q jetstreamRequest) (a jetstreamCounts, err error) {
		cert, err := developmentCertificate()
		if err != nil {
			return a, err
		}
		running, err = server.NewServer(&server.Options{
			Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: q.Dir, SyncAlways: true,
			TLS: true, TLSConfig: cert.ServerConfig(), TLSTimeout: 10,
		})
		if err != nil {
			return a, err
		}
		go running.Start()
		if !running.ReadyForConnections(10 * time.Second) {
			return a, errors.New("nats-server does not start")
		}
		return jetstreamCounts{URL: running.ClientURL(), Pin: cert.Pin()}, nil
	})
	if running != nil {
		running.Shutdown()
		running.WaitForShutdown()
	}
	return err
}

func developmentCertificate() (*certpin.Development, error) {
	dir, err := os.MkdirTemp("", "sealpost-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	return certpin.OpenDevelopment(dir)
}

// publishRequest asks for messages to be stored, after so many that warm the server up.
type publishRequest struct {
	Server         jetstreamCounts
	Warm, Messages int
}

// publish is the role of JetStream's load.
func publish(_ context.Context, d *measure.Desk, _ Cast) error {
	return measure.Serve(d, func(q publishRequest) (done loadDone, err error) {
		streams := make([]nats.JetStreamContext, connections)
		for i := range streams {
			conn, err := nats.Connect(q.Server.URL, nats.Secure(trustPin(q.Server.Pin)), nats.NoReconnect())
			if err != nil {
				return done, err
			}
			defer conn.Close()
			if streams[i], err = conn.JetStream(nats.PublishAsyncMaxPending(jetstreamWindow)); err != nil {
				return done, err
			}
		}
		if _, err := streams[0].AddStream(&nats.StreamConfig{Name: "bench", Subjects: []string{"m.>"}, Storage: nats.FileStorage}); err != nil {
			return done, err
		}
		if _, err := publishAll(streams, q.Warm); err != nil {
			return done, err
		}
		if done, err = publishAll(streams, q.Messages); err != nil {
			return done, err
		}
		info, err := streams[0].StreamInfo("bench")
		if err == nil && info.State.Msgs < uint64(q.Messages) {
			err = fmt.Errorf("the stream has only %d messages", info.State.Msgs)
		}
		return done, err
	})
}

func trustPin(pin certpin.Pin) *tls.Config { return certpin.ClientConfig("127.0.0.1", &pin) }

// publishAll stores so many messages over all connections, on as many subjects as the relay's
// load has queues, and waits for the last answer.
func publishAll(streams []nats.JetStreamContext, messages int) (loadDone, error) {
	share := messages / len(streams)
	start := time.Now()
	err := atOnce(len(streams), len(streams), func(i int) error {
		message := make([]byte, envelopeSize)
		for n := range share {
			if _, err := streams[i].PublishAsync(fmt.Sprintf("m.%d.%d", i, n%queuesEach), message); err != nil {
				return err
			}
		}
		select {
		case <-streams[i].PublishAsyncComplete():
			return nil
		case <-time.After(2 * time.Minute):
			return errors.New("messages are not answered")
		}
	})
	return loadDone{Messages: share * len(streams), Seconds: time.Since(start).Seconds()}, err
}

// jetstream returns how many messages per second it stores.
func (b *bench) jetstream(ctx context.Context) (rate float64, err error) {
	err = b.inFolder(func(dir string) error {
		return b.with(ctx, "jetstream", func(served *measure.Child) error {
			var counts jetstreamCounts
			if err := served.Ask(jetstreamRequest{Dir: dir}, &counts); err != nil {
				return err
			}
			return b.with(ctx, "publish", func(load *measure.Child) error {
				done, err := ask(load, publishRequest{Server: counts, Warm: b.count(2_000, 160), Messages: b.count(20_000, 480)})
				rate = done.rate()
				return err
			})
		})
	})
	return rate, err
}
