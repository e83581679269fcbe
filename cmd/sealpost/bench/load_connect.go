package bench

import (
	"context"
	"fmt"

	"github.com/sealpost/sealpost/relay/relayclient"
)

// comebacks is how many clients connect at a time.
const comebacks = 4

// connect connects so many times as the reader of one connection's queues, attaches to all of
// them where it was, and leaves. Each time it is another network, and at one time never the
// same queues.
func (l *load) connect(ctx context.Context, times int) (loadDone, error) {
	workers := min(comebacks, len(l.clients))
	err := atOnce(workers, workers, func(worker int) error {
		for i := worker; i < times; i += workers {
			if err := l.clients[worker].comeBack(ctx, i); err != nil {
				return err
			}
		}
		return nil
	})
	return loadDone{Messages: times}, err
}

// comeBack is a client that has been here before.
func (c *client) comeBack(ctx context.Context, n int) error {
	conn, err := relayclient.Dial(ctx, c.address, from(len(c.clients)+n, c.Transport))
	if err != nil {
		return err
	}
	defer conn.Close()
	attaches := make([]*relayclient.Attach, len(c.queues))
	for i, queue := range c.queues {
		attaches[i] = conn.Attach(queue, c.reader, &c.starts[i], 0)
	}
	for _, a := range attaches {
		if _, err := a.Result(); err != nil {
			return fmt.Errorf("attaching: %w", err)
		}
	}
	return nil
}
