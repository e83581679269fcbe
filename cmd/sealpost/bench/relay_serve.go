package bench

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/sealpost/sealpost/internal/measure"
)

// relayRequest opens the relay, if it names a folder, and asks for its counts.
type relayRequest struct {
	Dir      string `json:",omitempty"` // the first request has one
	Resident bool   `json:",omitempty"` // collect garbage, and say what is left
	Erased   uint64 `json:",omitempty"` // wait until so many messages are erased
}

// relayCounts is what a relay process has used since it began.
type relayCounts struct {
	Address  string
	Syncs    uint64
	Erased   uint64 // messages
	CPU      time.Duration
	Resident uint64  // KiB, if asked for
	Opened   float64 // seconds that opening took
}

// serveRelay is the role of the server.
func serveRelay(ctx context.Context, d *measure.Desk, c Cast) error {
	var r Relay
	err := measure.Serve(d, func(q relayRequest) (a relayCounts, err error) {
		if q.Dir != "" {
			// Not ctx: it ends before the sessions are drained.
			start := time.Now()
			if r, err = c.Serve(context.WithoutCancel(ctx), q.Dir); err != nil {
				return a, err
			}
			a.Opened = time.Since(start).Seconds()
		}
		if r.Close == nil {
			return a, errors.New("the relay has no folder yet")
		}
		for r.Erased() < q.Erased && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		a.Address, a.Syncs, a.Erased = r.Address.String(), r.Syncs(), r.Erased()
		if q.Resident {
			debug.FreeOSMemory()
			if a.Resident, err = measure.Resident(); err != nil {
				return a, err
			}
		}
		a.CPU, err = measure.CPU()
		return a, err
	})
	if r.Close != nil {
		err = errors.Join(err, r.Close())
	}
	return err
}
