package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/mls"
)

// mlsRequest asks for an operation so many times.
type mlsRequest struct {
	Operation string
	Suite     mls.Suite
	Times     int
}

// An operation is what is measured. prepare, if set, is called before each run and is not.
type operation struct {
	prepare func() error
	run     func() error
}

// operations are those of the MLS figures, each made for a suite.
var operations = map[string]func(mls.Suite) (operation, error){
	"commit":             commitOperation,
	"commit primitives":  commitPrimitives,
	"process":            processOperation,
	"process primitives": processPrimitives,
	"protect":            protectOperation,
	"protect primitives": protectPrimitives,
	"join":               joinOperation,
	"join primitives":    joinPrimitives,
}

// computeMLS is the role of cryptography. It counts processor time, which a busy machine
// does not lengthen as much.
func computeMLS(_ context.Context, d *measure.Desk, _ Cast) error {
	return measure.Serve(d, func(q mlsRequest) (done loadDone, err error) {
		begin, ok := operations[q.Operation]
		if !ok {
			return done, fmt.Errorf("there is no operation %q", q.Operation)
		}
		op, err := begin(q.Suite)
		if err != nil {
			return done, err
		}
		var used time.Duration
		for i := range q.Times + 1 {
			took, err := op.once()
			if err != nil {
				return done, fmt.Errorf("%s: %w", q.Operation, err)
			}
			if i > 0 { // the first one warms up
				used += took
			}
		}
		return loadDone{Messages: q.Times, Seconds: used.Seconds()}, nil
	})
}

func (op operation) once() (time.Duration, error) {
	if op.prepare != nil {
		if err := op.prepare(); err != nil {
			return 0, err
		}
	}
	before, err := measure.CPU()
	if err != nil {
		return 0, err
	}
	if err := op.run(); err != nil {
		return 0, err
	}
	after, err := measure.CPU()
	return after - before, err
}
