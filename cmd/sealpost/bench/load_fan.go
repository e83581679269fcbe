package bench

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// fanned is one queue that all connections read. Each reader has a goroutine, which says that
// it has the message of the round.
type fanned struct {
	streams []*relayclient.Stream
	round   *rounds
}

// openFan has the first connection found a queue, and all of them read it.
func (l *load) openFan() error {
	first := l.clients[0]
	if err := first.createQueue(); err != nil {
		return err
	}
	queue, start := first.queues[0], first.starts[0]
	readers := make([]ed25519.PrivateKey, len(l.clients))
	keys := make([]relay.PublicKey, len(l.clients))
	for i := range readers {
		var err error
		if _, readers[i], err = ed25519.GenerateKey(rand.Reader); err != nil {
			return err
		}
		keys[i] = public(readers[i])
	}
	for left := keys; len(left) > 0; {
		n := min(len(left), relay.MaxChanges)
		if err := first.addReaders(queue, left[:n]); err != nil {
			return err
		}
		left = left[n:]
	}
	l.fanned.streams = make([]*relayclient.Stream, len(l.clients))
	l.fanned.round = newRounds(len(l.clients))
	err := atOnce(dialsAtOnce, len(l.clients), func(i int) (err error) {
		l.fanned.streams[i], err = l.clients[i].conn.Attach(queue, readers[i], &start, 0).Result()
		return err
	})
	if err != nil {
		return fmt.Errorf("attaching: %w", err)
	}
	for _, stream := range l.fanned.streams {
		go func() {
			for {
				entries, err := next(stream)
				l.fanned.round.arrived(err)
				if err != nil {
					return
				}
				stream.Ack(entries[len(entries)-1].Position.Seq)
			}
		}()
	}
	return nil
}

// fan sends so many messages, one after the other, and returns how long each took to reach
// the last reader. Between two of them the acks of the first come in.
func (l *load) fan(messages int) (loadDone, error) {
	return l.fanned.round.measure(messages, func() error {
		_, err := l.clients[0].send(0).Result()
		return err
	})
}

// rounds counts who has the message of a round.
type rounds struct {
	readers int

	mu   sync.Mutex
	left int       // guarded by mu
	err  error     // guarded by mu: the first
	last time.Time // guarded by mu
	over chan struct{}
}

func newRounds(readers int) *rounds { return &rounds{readers: readers, over: make(chan struct{}, 1)} }

func (r *rounds) arrived(err error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left--; r.err == nil {
		r.err = err
	}
	if r.left == 0 || r.err != nil {
		r.last = now
		select {
		case r.over <- struct{}{}:
		default:
		}
	}
}

// pause is between two rounds: what the last one left to do is not part of the next.
const pause = 50 * time.Millisecond

// measure calls send so many times, and returns the time until the last reader had what it
// sent.
func (r *rounds) measure(messages int, send func() error) (loadDone, error) {
	var times []float64
	for range messages {
		r.mu.Lock()
		r.left = r.readers
		r.mu.Unlock()
		start := time.Now()
		if err := send(); err != nil {
			return loadDone{}, err
		}
		<-r.over
		r.mu.Lock()
		err, last := r.err, r.last
		r.mu.Unlock()
		if err != nil {
			return loadDone{}, err
		}
		times = append(times, float64(last.Sub(start))/float64(time.Microsecond))
		time.Sleep(pause)
	}
	return loadDone{Messages: messages, Median: measure.Median(times)}, nil
}
