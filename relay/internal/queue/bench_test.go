package queue

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay"
)

// BenchmarkAppend256 measures appends of 512 B by 256 writers, each to a queue of its own
// and waiting for its answer before the next one.
func BenchmarkAppend256(b *testing.B) { benchAppend(b, 256) }

// BenchmarkAppendOneWriter is the floor: every append waits for its own two syncs.
func BenchmarkAppendOneWriter(b *testing.B) { benchAppend(b, 1) }

func benchAppend(b *testing.B, writers int) {
	s, err := Open(Config{Dir: b.TempDir(), StorageKey: shard.Key{1}, RelayKey: relayKey, MinFree: 1,
		Limits: Limits{GroupAppends: Rate{Burst: 1 << 30, Every: 1}, MaxEntries: 1 << 30, MaxBytes: 1 << 40}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := &rig{TB: b, Store: s}
	var queues []relay.QueueID
	for i := range writers {
		queues = append(queues, r.group(fmt.Sprint("g", i), "reader"))
	}
	b.SetBytes(512)
	b.ResetTimer()
	var wg sync.WaitGroup
	for i, q := range queues {
		wg.Go(func() {
			env := envelope("m", 512)
			answer := make(chan Answer, 1)
			var flow Flow
			for n := i; n < b.N; n += writers {
				var id relay.IdempotencyID
				copy(id[:], fmt.Sprintf("%16d", n))
				s.SubmitFrom(&flow, &relay.Append{ID: id, Queue: q, Writer: key("w0"), Envelope: env}, Authority{}, func(a Answer) { answer <- a })
				if a := <-answer; a.Err != nil {
					b.Error(a.Err)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}

// BenchmarkReadBacklog measures reading a backlog of 512 B entries through an attachment.
func BenchmarkReadBacklog(b *testing.B) {
	r := newRig(b)
	q := r.group("g", "reader")
	var wg sync.WaitGroup
	const backlog = 4000
	for i := range backlog {
		wg.Add(1)
		r.Submit(r.append(q, "w0", fmt.Sprint(i)), Authority{}, func(Answer) { wg.Done() })
	}
	wg.Wait()
	b.SetBytes(512 * backlog)
	for b.Loop() {
		a, _, err := r.Attach(q, key("reader"), nil, func() {})
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for {
			batch, err := a.Next(128 << 10)
			if err != nil || len(batch.Entries) == 0 {
				break
			}
			n += len(batch.Entries)
		}
		if n != backlog {
			b.Fatalf("read %d", n)
		}
		a.Close()
	}
}
