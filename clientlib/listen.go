package clientlib

import (
	"context"
	"iter"
)

// listeners are those who want to hear of what is not stored. Owned by run.
type listeners[T any] map[chan T]bool

// heard is how many values wait for a slow listener, who then loses the oldest.
const heard = 64

// tell gives v to every listener, without waiting for any.
func (l listeners[T]) tell(v T) {
	for to := range l {
		for sent := false; !sent; {
			select {
			case to <- v:
				sent = true
			default:
				select {
				case <-to: // the oldest makes room; run is the only one that sends
				default:
				}
			}
		}
	}
}

// listen yields what l is told from the first step on, until ctx ends or the client is
// closed; then it yields that error, last.
func listen[T any](ctx context.Context, e *engine, l listeners[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		values := make(chan T, heard)
		if err := e.call(ctx, func() error { l[values] = true; return nil }); err != nil {
			yield(none, err)
			return
		}
		defer e.post(func() { delete(l, values) })
		for {
			select {
			case v := <-values:
				if !yield(v, nil) {
					return
				}
			case <-ctx.Done():
				yield(none, ctx.Err())
				return
			case <-e.done:
				yield(none, e.reason())
				return
			}
		}
	}
}
