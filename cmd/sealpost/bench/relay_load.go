package bench

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// envelopeSize is what a short message takes, the smallest envelope there is.
const envelopeSize = relay.MinEnvelope

// loadRequest asks the load generator for one thing; the fields of the others are empty.
type loadRequest struct {
	Open    *openLoad `json:",omitempty"` // first of all
	Append  int       `json:",omitempty"` // messages in all, over all connections
	Lone    bool      `json:",omitempty"` // with Append: one connection alone, one message at a time
	Read    bool      `json:",omitempty"` // reads all queues from their beginning
	Live    int       `json:",omitempty"` // messages in all, each waited for by a reader: see live.go
	Cycle   int       `json:",omitempty"` // messages in all, each read and acked: see cycle.go
	Fetch   int       `json:",omitempty"` // times to read the first entries of a queue: see fetch.go
	First   int       `json:",omitempty"` // with Fetch: so many entries, at most what is there
	Connect int       `json:",omitempty"` // times to connect, attach everywhere, and leave: see connect.go
	Fan     int       `json:",omitempty"` // messages, each waited for by all readers: see fan.go
}

// openLoad says who loads the relay.
type openLoad struct {
	Address     string
	Connections int
	Queues      int // of each connection
	Window      int // messages of a connection that wait for their answer
	Transport   relayclient.Transport
	Attach      bool // each connection reads its queues from now on, and stays
	Readers     int  // more of each queue, which are never there
	Fan         bool // all connections read one queue of the first one, and stay
}

// loadDone is what was done, and how long it took.
type loadDone struct {
	Messages int
	Seconds  float64
	Median   float64 // of the time from a message to its answer, in µs
	P99      float64 // the same, of a live message
}

// rate returns messages per second.
func (l loadDone) rate() float64 { return float64(l.Messages) / l.Seconds }

// makeLoad is the role of the load generator.
func makeLoad(ctx context.Context, d *measure.Desk, _ Cast) error {
	var l load
	defer l.close()
	return measure.Serve(d, func(q loadRequest) (loadDone, error) {
		switch {
		case q.Open != nil:
			return loadDone{}, l.open(ctx, *q.Open)
		case q.Append > 0 && q.Lone:
			return l.alone(q.Append)
		case q.Append > 0:
			return l.append(q.Append)
		case q.Read:
			return l.read()
		case q.Live > 0:
			return l.live(q.Live)
		case q.Cycle > 0:
			return l.cycle(q.Cycle)
		case q.Fetch > 0:
			return l.fetch(q.Fetch, q.First)
		case q.Connect > 0:
			return l.connect(ctx, q.Connect)
		case q.Fan > 0:
			return l.fan(q.Fan)
		}
		return loadDone{}, errors.New("an empty request")
	})
}

// load holds connections to one relay, each with queues of its own.
type load struct {
	openLoad
	address        relay.Address
	writer, reader ed25519.PrivateKey
	envelope       []byte
	clients        []*client
	fanned         fanned
}

// client is one connection.
type client struct {
	*load
	conn    *relayclient.Conn
	number  int
	window  int
	queues  []relay.QueueID
	starts  []relay.Position // of the queues' logs
	streams []*relayclient.Stream
	sent    uint64
	changes int // CONFIGUREs
}

// each runs fn for every connection at once, and returns how long that took.
func (l *load) each(fn func(i int, c *client) error) (seconds float64, err error) {
	errs := make([]error, len(l.clients))
	var all sync.WaitGroup
	start := time.Now()
	for i, c := range l.clients {
		all.Go(func() { errs[i] = fn(i, c) })
	}
	all.Wait()
	return time.Since(start).Seconds(), errors.Join(errs...)
}

// append sends so many messages, the same number on each connection. All are accepted, or
// it fails.
func (l *load) append(messages int) (done loadDone, err error) {
	share := max(1, messages/len(l.clients))
	times := make([][]float64, len(l.clients))
	done.Messages = share * len(l.clients)
	done.Seconds, err = l.each(func(i int, c *client) (err error) {
		times[i], err = c.append(share)
		return err
	})
	var every []float64
	for _, t := range times {
		every = append(every, t...)
	}
	done.Median = measure.Median(every)
	return done, err
}

// alone sends so many messages one after the other, on the first connection.
func (l *load) alone(messages int) (loadDone, error) {
	first := &load{openLoad: l.openLoad, clients: l.clients[:1]}
	window := l.clients[0].window
	l.clients[0].window = 1
	defer func() { l.clients[0].window = window }()
	return first.append(messages)
}

// append sends n messages to the queues in turn, with its window of them on their way. It
// returns how many µs each of them took.
func (c *client) append(n int) ([]float64, error) {
	type sent struct {
		call *relayclient.Call
		at   time.Time
	}
	flight := make([]sent, c.window)
	times := make([]float64, 0, n)
	take := func(s *sent) error {
		if s.call == nil {
			return nil
		}
		_, err := s.call.Result()
		times = append(times, float64(time.Since(s.at))/float64(time.Microsecond))
		s.call = nil
		return err
	}
	for i := range n {
		place := &flight[i%c.window]
		if err := take(place); err != nil {
			return nil, fmt.Errorf("a message was not accepted: %w", err)
		}
		place.at, place.call = time.Now(), c.send(int(c.sent%uint64(len(c.queues))))
	}
	for i := range c.window { // oldest first, though the order matters to nobody
		if err := take(&flight[(n+i)%c.window]); err != nil {
			return nil, fmt.Errorf("a message was not accepted: %w", err)
		}
	}
	return times, nil
}

// send sends a message to the connection's queue of this number.
func (c *client) send(queue int) *relayclient.Call {
	c.sent++
	var id relay.IdempotencyID
	binary.BigEndian.PutUint64(id[:], c.sent)
	return c.conn.Append(c.queues[queue], id, c.writer, c.envelope)
}

// read reads everything that was sent, one queue after the other on each connection.
func (l *load) read() (done loadDone, err error) {
	counts := make([]int, len(l.clients))
	done.Seconds, err = l.each(func(i int, c *client) (err error) {
		counts[i], err = c.read()
		return err
	})
	for _, n := range counts {
		done.Messages += n
	}
	return done, err
}

func (c *client) read() (entries int, err error) {
	for i, queue := range c.queues {
		stream, err := c.conn.Attach(queue, c.reader, &c.starts[i], 1<<20).Result()
		if err != nil {
			return entries, fmt.Errorf("attaching: %w", err)
		}
		for last := c.starts[i].Seq; last < stream.Head.Seq; {
			event, open := <-stream.Events()
			delivery, ok := event.(relayclient.Delivery)
			if !open || !ok {
				return entries, fmt.Errorf("reading ended with %T: %w", event, stream.Err())
			}
			entries += len(delivery.Entries)
			last = delivery.Entries[len(delivery.Entries)-1].Position.Seq
			stream.Ack(last)
		}
		stream.Detach()
	}
	return entries, nil
}
