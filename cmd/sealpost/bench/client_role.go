package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sealpost/sealpost/clientlib"
	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

// storeRequest asks a client, or bare SQLite, for one thing in the store of Dir.
type storeRequest struct {
	Dir    string
	Send   int // messages, one after the other
	Search int // searches for a word that one message has
	Open   int // openings of the store
}

// text is message n of the client figures: some seventy characters, and a word of its own.
func text(n int) string {
	return fmt.Sprintf("message %d: shall we meet at the pizza place on the corner, w%dx?", n, n*7919)
}

// word is the one that message n alone has.
func word(n int) string { return fmt.Sprintf("w%dx", n*7919) }

// foundWithin is how long an account has to get onto the disk.
const foundWithin = 2 * time.Second

// useClient is the role of an app: clientlib on a store of its own, with no network at all.
func useClient(ctx context.Context, d *measure.Desk, _ Cast) error {
	var a app
	err := measure.Serve(d, func(q storeRequest) (loadDone, error) {
		if a.client == nil {
			if err := a.begin(ctx, q.Dir); err != nil {
				return loadDone{}, err
			}
		}
		switch {
		case q.Send > 0:
			return timed(q.Send, func(int) error {
				_, err := a.client.Send(ctx, a.talk, content.Text(text(a.sent)))
				a.sent++
				return err
			})
		case q.Search > 0:
			return timed(q.Search, func(i int) error {
				found, err := a.client.Search(ctx, word(i*a.sent/q.Search), 20)
				if err == nil && len(found) == 0 {
					err = errors.New("a message is not found")
				}
				return err
			})
		case q.Open > 0:
			return a.reopen(q.Open)
		}
		return loadDone{}, errors.New("an empty request")
	})
	if a.client != nil {
		err = errors.Join(err, a.client.Close())
	}
	return err
}

// app is an account that has never been online, in a conversation with itself.
type app struct {
	cfg    clientlib.Config
	client *clientlib.Client
	talk   clientlib.ConversationID
	sent   int
}

// begin founds the account. Its servers are at a port where nobody listens: what is measured
// waits for no network.
func (a *app) begin(ctx context.Context, dir string) (err error) {
	pin := relay.Hash{1}
	a.cfg = clientlib.Config{
		Path: filepath.Join(dir, "client.db"), Key: [32]byte{1},
		Relay:     relay.Address{Host: "127.0.0.1:1", Key: relay.RelayKey{9}, Pin: &pin},
		KeyServer: keyserver.Address{Host: "127.0.0.1", Port: 1},
	}
	if a.client, err = clientlib.Open(a.cfg); err != nil {
		return err
	}
	// The account is on disk before Register waits for a directory that never answers.
	soon, cancel := context.WithTimeout(ctx, foundWithin)
	defer cancel()
	if err := a.client.Register(soon, "bench"); err != nil && soon.Err() == nil {
		return fmt.Errorf("registering: %w", err)
	}
	a.talk, err = a.client.CreateGroup(ctx, "bench")
	return err
}

func (a *app) reopen(times int) (loadDone, error) {
	var took []float64
	for range times {
		if err := a.client.Close(); err != nil {
			return loadDone{}, err
		}
		start := time.Now()
		client, err := clientlib.Open(a.cfg)
		if err != nil {
			return loadDone{}, err
		}
		a.client = client
		took = append(took, micros(start))
	}
	return loadDone{Messages: times, Median: measure.Median(took)}, nil
}

func micros(since time.Time) float64 { return float64(time.Since(since)) / float64(time.Microsecond) }

// timed runs fn so many times and returns the median of its times.
func timed(times int, fn func(i int) error) (loadDone, error) {
	took := make([]float64, 0, times)
	begin := time.Now()
	for i := range times {
		start := time.Now()
		if err := fn(i); err != nil {
			return loadDone{}, err
		}
		took = append(took, micros(start))
	}
	return loadDone{Messages: times, Seconds: time.Since(begin).Seconds(), Median: measure.Median(took)}, nil
}
