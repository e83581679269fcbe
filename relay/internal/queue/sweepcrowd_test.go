package queue

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// crowds makes queues side by side, each with alice and so many of these readers, who are put in as
// records and counted nowhere.
func (r *rig) crowds(queues, crowd int, p reader) {
	r.Helper()
	r.spoilt = true
	v, err := wire.Marshal(&p)
	if err != nil {
		r.Fatal(err)
	}
	var names [][]byte
	for i := range queues {
		names = append(names, queueName(r.shard, r.group(fmt.Sprint("g", i), "alice")))
	}
	if err := r.Store.Close(); err != nil {
		r.Fatal(err)
	}
	for _, name := range names {
		r.edit(func(tx *shard.Tx) {
			for i := range crowd {
				member := binary.BigEndian.AppendUint64(make([]byte, 4), uint64(i))
				_ = tx.Set(append(append([]byte{kindReader}, name...), member...), v)
			}
		})
	}
	r.open()
}

// places counts the readers of all queues by their state.
func (r *rig) places() map[uint8]int {
	r.Helper()
	left := make(map[uint8]int)
	for _, rec := range records(r.TB, r) {
		var p reader
		if rec.key[0] == kindReader && wire.Unmarshal(rec.value, &p) == nil {
			left[p.State]++
		}
	}
	return left
}

// TestSweepOfCrowds: queues side by side that have more to forget together than a batch has room
// for are swept like any others, and hold up nothing behind them.
func TestSweepOfCrowds(t *testing.T) {
	const queues, crowd = 20, maxRemoved + 1100
	r := newRig(t)
	r.crowds(queues, crowd, reader{State: readerRemoved, Day: dayOf(r.now), End: new(relay.Position)})
	r.sweep()
	if left := r.places(); left[readerActive] != queues || left[readerRemoved] != queues*maxRemoved {
		t.Errorf("after a sweep there are %d readers and %d removed ones", left[readerActive], left[readerRemoved])
	}
}

// TestSweepOfACrowdTakesItsTime: of a queue in which many were not seen for months, one step ends so
// many places that others need not wait for all of them.
func TestSweepOfACrowdTakesItsTime(t *testing.T) {
	const crowd = 2*sweepReaders + 10
	r := newRig(t, func(c *Config) { c.byHand = true })
	r.crowds(1, crowd, reader{State: readerTicket, Day: 1})
	for step, op := 1, any(sweepOp{from: []byte{kindHeader}}); op.(sweepOp).from != nil; step++ {
		var err error
		if op, err = r.shard.Do(t.Context(), op.(sweepOp)); err != nil {
			t.Fatal(err)
		}
		if left, want := r.places()[readerTicket], max(0, crowd-step*sweepReaders); left != want {
			t.Fatalf("after %d steps there are %d tickets of %d", step, left, crowd)
		}
	}
}
