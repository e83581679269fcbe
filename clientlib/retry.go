package clientlib

import (
	"context"
	"errors"
	"time"

	"github.com/sealpost/sealpost/internal/jitter"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// Pauses of the client.
const (
	retryRefused = time.Second // after a refusal that names no time
	retryLongest = time.Minute // whatever a relay asks for, one tries this often
	commitJitter = 40 * time.Millisecond
)

// retryAfter is how long to wait after a refusal.
func retryAfter(err error) time.Duration {
	if r, ok := errors.AsType[*relay.Refusal](err); ok && r.RetryAfter > 0 {
		return min(r.RetryAfter, retryLongest)
	}
	return retryRefused + jitter.Below(retryRefused)
}

// refusalName is what may be logged of an error: its kind, never an id or an address.
func refusalName(err error) string {
	if r, ok := errors.AsType[*relay.Refusal](err); ok {
		return r.Code.String()
	}
	if errors.Is(err, relayclient.ErrDisconnected) {
		return "disconnected"
	}
	return "other"
}

// raceJitter spreads the members who lost a race to commit over a time that doubles with
// every loss, so that one of them is through soon whatever their number.
func raceJitter(losses int) time.Duration {
	return jitter.Below(commitJitter << min(losses, 6))
}

// untilDone calls fn until it returns an error that waiting does not cure, or nil.
// fn reports with retry whether another try may help.
func untilDone(ctx context.Context, fn func() (retry bool, err error)) error {
	backoff := relayclient.Backoff{}
	for {
		retry, err := fn()
		if err == nil || !retry {
			return err
		}
		t := time.NewTimer(backoff.Next(0, 0))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}
