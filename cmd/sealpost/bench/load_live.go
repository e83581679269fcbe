package bench

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// livePairs are the people who talk while the others are idle: each pair is a connection that
// writes and one that reads.
const livePairs = 4

// live sends so many messages, one at a time in each pair, and waits for each at its reader.
// The pairs are the connections that were opened last.
func (l *load) live(messages int) (loadDone, error) {
	if len(l.clients) < 2*livePairs {
		return loadDone{}, errors.New("too few connections")
	}
	talking := l.clients[len(l.clients)-2*livePairs:]
	times := make([][]float64, livePairs)
	errs := make([]error, livePairs)
	start := time.Now()
	var all sync.WaitGroup
	for i := range livePairs {
		all.Go(func() { times[i], errs[i] = l.talk(talking[2*i], talking[2*i+1], messages/livePairs) })
	}
	all.Wait()
	done := loadDone{Seconds: time.Since(start).Seconds()}
	var every []float64
	for _, t := range times {
		every = append(every, t...)
	}
	done.Messages, done.Median, done.P99 = len(every), measure.Median(every), measure.Percentile(every, 99)
	return done, errors.Join(errs...)
}

// talk returns how many µs each message took from writer to reader.
func (l *load) talk(writer, reader *client, messages int) ([]float64, error) {
	stream, err := reader.conn.Attach(writer.queues[0], l.reader, &writer.starts[0], 0).Result()
	if err != nil {
		return nil, fmt.Errorf("attaching: %w", err)
	}
	defer stream.Detach()
	times := make([]float64, 0, messages)
	for range messages {
		start := time.Now()
		call := writer.send(0)
		entries, err := next(stream)
		if err != nil {
			return nil, err
		}
		times = append(times, micros(start))
		stream.Ack(entries[len(entries)-1].Position.Seq)
		if _, err := call.Result(); err != nil {
			return nil, fmt.Errorf("a message was not accepted: %w", err)
		}
	}
	return times, nil
}

// next waits for a delivery.
func next(stream *relayclient.Stream) ([]relayclient.Entry, error) {
	event, open := <-stream.Events()
	delivery, ok := event.(relayclient.Delivery)
	if !open || !ok {
		return nil, fmt.Errorf("reading ended with %T: %w", event, stream.Err())
	}
	return delivery.Entries, nil
}

// cycle sends so many messages, over all connections, each of which reads what it sends and
// acks it. It returns when everything is acked.
func (l *load) cycle(messages int) (done loadDone, err error) {
	share := max(1, messages/len(l.clients))
	done.Messages = share * len(l.clients)
	done.Seconds, err = l.each(func(_ int, c *client) error {
		failed := make(chan error, 1)
		go func() {
			_, err := c.append(share)
			failed <- err
		}()
		return errors.Join(c.take(share), <-failed)
	})
	return done, err
}

// take reads and acks so many messages from the connection's streams.
func (c *client) take(messages int) error {
	counts := make(chan int)
	done := make(chan struct{})
	defer close(done)
	for i, stream := range c.streams {
		go func() {
			for event := range stream.Events() {
				select {
				case <-done: // what comes now is for others
					return
				default:
				}
				delivery, ok := event.(relayclient.Delivery)
				if !ok {
					continue // a gap of what was acked
				}
				c.starts[i] = delivery.Entries[len(delivery.Entries)-1].Position
				stream.Ack(c.starts[i].Seq)
				select {
				case counts <- len(delivery.Entries):
				case <-done:
					return
				}
			}
		}()
	}
	for messages > 0 {
		select {
		case n := <-counts:
			messages -= n
		case <-c.conn.Done():
			return fmt.Errorf("a connection ended: %w", c.conn.Err())
		}
	}
	return nil
}

// fetch reads the first entries of a queue, so many times, of one queue after the other. They
// are not acked: they stay.
func (l *load) fetch(times, first int) (done loadDone, err error) {
	var took []float64
	for i := range times {
		c := l.clients[i%len(l.clients)]
		queue := i / len(l.clients) % len(c.queues)
		start := time.Now()
		if err := c.fetch(c.queues[queue], c.starts[queue], first); err != nil {
			return done, err
		}
		took = append(took, micros(start))
	}
	return loadDone{Messages: first * times, Median: measure.Median(took)}, nil
}

func (c *client) fetch(queue relay.QueueID, from relay.Position, first int) error {
	stream, err := c.conn.Attach(queue, c.reader, &from, uint32(first*(envelopeSize+64))).Result()
	if err != nil {
		return fmt.Errorf("attaching: %w", err)
	}
	defer stream.Detach()
	for read := 0; read < first; {
		entries, err := next(stream)
		if err != nil {
			return err
		}
		read += len(entries)
	}
	return nil
}
