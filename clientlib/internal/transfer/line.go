package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// line is what one transfer knows of the way to its relay; owned by the transfer.
type line struct {
	dial    Dial
	backoff relayclient.Backoff
	turn    chan struct{}
	part    int   // bytes that a request moves
	best    int64 // how far the transfer was, at most
}

func (f *Folder) line(dial Dial) *line {
	return &line{dial: dial, backoff: f.opt.Backoff, turn: f.turn, part: maxPart}
}

// attempt moves as much as a session lets it, from where the transfer is. It calls at with
// where that is, and again after each part.
type attempt func(ctx context.Context, conn *relayclient.Conn, part int, at func(done int64)) error

// run repeats try over new sessions until it succeeds, fails for good, or ctx ends.
func (l *line) run(ctx context.Context, try attempt) error {
	for ctx.Err() == nil {
		again, pause, err := l.once(ctx, try)
		if err == nil || !again && ctx.Err() == nil {
			return err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
	return fmt.Errorf("transfer: %w", context.Cause(ctx))
}

// once waits for its turn, dials, and runs try. It reports whether another session may help,
// and when. A pause between two sessions is nobody's turn: a relay that is away holds up no
// transfer with another.
func (l *line) once(ctx context.Context, try attempt) (again bool, pause time.Duration, err error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return false, 0, context.Cause(ctx)
	}
	conn, err := l.dial(ctx)
	if err != nil {
		return true, l.backoff.Next(0, relayclient.RetryAfter(err)), err
	}
	started := time.Now()
	advice, err := l.session(ctx, conn, try)
	if err == nil || final(err) {
		return false, 0, err
	}
	return true, max(l.backoff.Next(time.Since(started), advice), retryAfter(err)), err
}

// session runs try over conn and closes it. It returns the relay's advice about when to come
// back.
func (l *line) session(ctx context.Context, conn *relayclient.Conn, try attempt) (advice time.Duration, err error) {
	defer conn.Close()
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(stallAfter, func() { cancel(errStalled) })
	defer stalled.Stop()
	from, to := int64(-1), int64(-1)
	err = try(within, conn, l.part, func(done int64) {
		if from < 0 {
			from = done
		}
		stalled.Reset(stallAfter)
		to = done
	})
	switch {
	case to == from && (errors.Is(err, relayclient.ErrDisconnected) || errors.Is(err, errStalled)):
		l.part = max(l.part/2, minPart)
	case to-from >= 8*int64(l.part):
		l.part = min(l.part*2, maxPart)
	}
	if to > l.best {
		// However short it was: a line that lets a part of the file through each time is no
		// reason to wait longer and longer. The file's size bounds how often this happens.
		l.best = to
		l.backoff.Reset()
	}
	select {
	case advice = <-conn.GoAway():
	default:
	}
	return advice, err
}

// final reports whether err, of a session that was established, says that another one would
// not help.
func final(err error) bool {
	switch {
	case errors.Is(err, relayclient.ErrProtocol):
		return true // this relay, shown by its key, does not follow the protocol
	case errors.Is(err, relayclient.ErrUploadOver), errors.Is(err, relayclient.ErrDisconnected),
		errors.Is(err, relayclient.ErrSessionFull), errors.Is(err, errStalled),
		errors.Is(err, relay.ErrLimit), errors.Is(err, relay.ErrBusy), errors.Is(err, relay.ErrDraining):
		return false
	}
	return true // a refusal, or a file that cannot be read or written
}

// retryAfter is what a refusal says.
func retryAfter(err error) time.Duration {
	if r, ok := errors.AsType[*relay.Refusal](err); ok {
		return min(r.RetryAfter, maxPause)
	}
	return 0
}

// maxPause bounds what a relay can make a transfer wait: its own answer may be a lie.
const maxPause = 15 * time.Minute
