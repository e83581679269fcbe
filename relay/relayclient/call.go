package relayclient

import (
	"context"

	"github.com/sealpost/sealpost/relay"
)

// A Call is a mutation on its way. It resolves exactly once, at the latest when
// the Conn ends.
//
// The error is a [*relay.Refusal] (errors.As, or errors.Is with relay's
// sentinels) when the relay said no and nothing was changed; [ErrDisconnected]
// when the outcome is unknown; [ErrSessionFull], a refusal of relay's Check, or
// an encoding error when nothing was sent.
type Call struct{ future[relay.Position] }

// An Attach is an ATTACH on its way. It resolves like a Call, to a Stream.
type Attach struct{ future[*Stream] }

// future is a result that comes once.
type future[T any] struct {
	done  chan struct{}
	value T // written before done is closed
	err   error
}

func newFuture[T any]() future[T] { return future[T]{done: make(chan struct{})} }

func (f *future[T]) resolve(v T, err error) {
	f.value, f.err = v, err
	close(f.done)
}

// Done is closed when the result is there.
func (f *future[T]) Done() <-chan struct{} { return f.done }

// Result waits for the result and returns it. It ends: a Conn does not outlive
// a silent relay by more than 75 seconds.
func (f *future[T]) Result() (T, error) {
	<-f.done
	return f.value, f.err
}

// Wait is Result that also ends with ctx; the request goes on.
func (f *future[T]) Wait(ctx context.Context) (T, error) {
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		var zero T
		return zero, context.Cause(ctx)
	}
}
