package queue

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// TestSweepOfCrowds: queues side by side in each of which more readers than a step takes have not
// been seen for months, and which have more removed ones to forget together than a batch has room
// for, are swept like any others, and hold up nothing behind them.
func TestSweepOfCrowds(t *testing.T) {
	const queues, crowd = 20, 4096
	r := newRig(t)
	r.spoilt = true // the records that are put in are counted nowhere
	var names [][]byte
	for i := range queues {
		names = append(names, queueName(r.shard, r.group(fmt.Sprint("g", i), "alice")))
	}
	if err := r.Store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		r.edit(func(tx *shard.Tx) {
			for i := range crowd {
				p := reader{State: readerActive, Day: 1}
				switch {
				case i%2 == 0:
					p = reader{State: readerRemoved, Day: dayOf(r.now), End: new(relay.Position)}
				case i%4 == 1:
					p.State = readerTicket
				}
				v, err := wire.Marshal(&p)
				if err != nil {
					t.Fatal(err)
				}
				member := binary.BigEndian.AppendUint64(make([]byte, 4), uint64(i))
				_ = tx.Set(append(append([]byte{kindReader}, name...), member...), v)
			}
		})
	}
	r.open()
	r.sweep()
	left := make(map[uint8]int)
	for _, rec := range records(t, r) {
		var p reader
		if rec.key[0] == kindReader && wire.Unmarshal(rec.value, &p) == nil {
			left[p.State]++
		}
	}
	if left[readerTicket] != 0 || left[readerActive] != queues || left[readerRemoved] != queues*maxRemoved {
		t.Errorf("after a sweep there are %d tickets, %d readers and %d removed ones", left[readerTicket], left[readerActive], left[readerRemoved])
	}
}
