//go:build !full

package bench

import (
	"context"
	"fmt"

	"github.com/sealpost/sealpost/internal/measure"
)

// jetstream is measured by a program that was built with the tag full: a whole nats-server
// has no place in the others.
func (*bench) jetstream(context.Context) (float64, error) {
	return 0, fmt.Errorf("%w: nats-server is in builds with the tag full", measure.ErrUnsupported)
}
