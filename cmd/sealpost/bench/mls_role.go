package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/mls"
)

// mlsRequest asks for an operation so many times.
type mlsRequest struct {
	Operation string
	Suite     mls.Suite
	Times     int
	Members   int    // of the group it is done in
	Fixture   string // folder of that group, for the operations that do not make it themselves
	Populated bool   // see fixture
}

// mlsDone is what was done, and what it took.
type mlsDone struct {
	Operations int
	Seconds    float64 // of processor time
	Allocs     uint64  // on the heap
	Allocated  uint64  // bytes
	Stored     int     // bytes that had to be stored
}

// An operation is what is measured. prepare, if set, is called before each run and is not.
type operation struct {
	prepare func() error
	run     func() error
	each    int        // operations of a run; 0: one
	stored  func() int // bytes to store after all runs, where that is what is measured
}

// operations are those of the MLS figures.
var operations = map[string]func(mlsRequest) (operation, error){
	"commit":             commitOperation,
	"commit primitives":  commitPrimitives,
	"process":            processOperation,
	"process primitives": processPrimitives,
	"protect":            protectOperation,
	"protect primitives": protectPrimitives,

	"group":       makeFixture,
	"join":        joinGroup,
	"create path": createPath,
	"follow path": followPath,
	"follow add":  followAdd,
	"encrypt":     encryptMessage,
	"decrypt":     decryptMessage,
	"store":       storeMessage,
	"verify":      verifyOne,
	"verify all":  verifyAll,
	"path floor":  pathFloor,

	"join floor":   joinFloor,
	"create floor": createFloor,
	"follow floor": followFloor,
}

func askMLS(child *measure.Child, q mlsRequest) (done mlsDone, err error) {
	err = child.Ask(q, &done)
	return done, err
}

// computeMLS is the role of cryptography. It counts processor time, which a busy machine
// does not lengthen as much.
func computeMLS(_ context.Context, d *measure.Desk, _ Cast) error {
	return measure.Serve(d, func(q mlsRequest) (done mlsDone, err error) {
		begin, ok := operations[q.Operation]
		if !ok {
			return done, fmt.Errorf("there is no operation %q", q.Operation)
		}
		op, err := begin(q)
		if err != nil {
			return done, fmt.Errorf("%s: %w", q.Operation, err)
		}
		if q.Times == 0 {
			return done, nil
		}
		runtime.GC() // what was made in preparation is nobody's to pay for later
		for i := range q.Times + 1 {
			took, err := op.once()
			if err != nil {
				return done, fmt.Errorf("%s: %w", q.Operation, err)
			}
			if i > 0 { // the first one warms up
				done.add(took)
			}
		}
		if op.stored != nil {
			done.Stored = op.stored()
		}
		return done, nil
	})
}

func (d *mlsDone) add(other mlsDone) {
	d.Operations += other.Operations
	d.Seconds += other.Seconds
	d.Allocs += other.Allocs
	d.Allocated += other.Allocated
}

func (op operation) once() (mlsDone, error) {
	if op.prepare != nil {
		if err := op.prepare(); err != nil {
			return mlsDone{}, err
		}
	}
	var heapBefore, heapAfter runtime.MemStats
	runtime.ReadMemStats(&heapBefore)
	before, err := measure.CPU()
	if err != nil {
		return mlsDone{}, err
	}
	if err := op.run(); err != nil {
		return mlsDone{}, err
	}
	after, err := measure.CPU()
	if err != nil {
		return mlsDone{}, err
	}
	runtime.ReadMemStats(&heapAfter)
	return mlsDone{
		Operations: max(1, op.each), Seconds: time.Duration(after - before).Seconds(),
		Allocs: heapAfter.Mallocs - heapBefore.Mallocs, Allocated: heapAfter.TotalAlloc - heapBefore.TotalAlloc,
	}, nil
}

// heap collects what the operations of a side allocate.
type heap struct{ allocs, bytes []float64 }

func (h *heap) note(d mlsDone) {
	if h == nil || d.Operations == 0 {
		return
	}
	h.allocs = append(h.allocs, float64(d.Allocs)/float64(d.Operations))
	h.bytes = append(h.bytes, float64(d.Allocated)/float64(d.Operations))
}

// perOperation is for measure.Figure.
func (h *heap) perOperation() (allocs, bytes float64) {
	return measure.Median(h.allocs), measure.Median(h.bytes)
}
