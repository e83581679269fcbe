package queue

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/crashpoint"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay"
)

// acks gathers acks in memory and writes them about once a second: losing one only repeats
// deliveries, and a reader's position delivers, not its cursor. An attach is noted as an ack
// of nothing, for the day on which the reader was seen.
type acks struct {
	shard *shard.Store
	mu    sync.Mutex
	seqs  map[place]uint64 // guarded by mu
	timer *time.Timer      // guarded by mu; nil while nothing waits and nothing is being written
	done  bool             // guarded by mu
	busy  sync.WaitGroup   // flushes that a timer begins; Add under mu while not done
	delay time.Duration
	calls int  // of add since the last flush; guarded by mu
	many  bool // before the last flush there were, of each reader; guarded by mu

	one sync.Mutex // held by a flush
}

// place is one reader of one queue.
type place struct {
	queue  relay.QueueID
	reader relay.PublicKey
}

func newAcks(s *shard.Store) *acks {
	return &acks{shard: s, seqs: make(map[place]uint64), delay: ackDelay}
}

func (a *acks) add(q relay.QueueID, reader relay.PublicKey, seq uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done {
		return
	}
	p := place{q, reader}
	a.seqs[p] = max(a.seqs[p], seq)
	a.calls++
	crashpoint.At(crashpoint.AckNoted)
	if a.timer == nil {
		a.wait()
	}
}

// wait has what gathers written in a while. The next timer begins when that is done: a disk that
// is slow makes the acks coalesce, and not flushes pile up. Where each reader sends
// many, there is enough to coalesce in less time, and less lies there to be erased. The caller holds mu.
func (a *acks) wait() {
	a.busy.Add(1)
	delay := a.delay
	if a.many {
		delay = min(delay, ackSoon)
	}
	a.timer = time.AfterFunc(delay, func() {
		defer a.busy.Done()
		a.flush()
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.timer = nil; len(a.seqs) > 0 && !a.done {
			a.wait()
		}
	})
}

// flush submits what waits and returns when it is stored. Acks of one queue stand together,
// so that it is erased once.
func (a *acks) flush() {
	a.one.Lock()
	defer a.one.Unlock()
	a.mu.Lock()
	waiting := a.seqs
	a.seqs = make(map[place]uint64)
	a.many, a.calls = a.calls >= manyAcks && a.calls >= manyEach*len(waiting), 0
	a.mu.Unlock()
	op := make(ackOp, 0, len(waiting))
	for p, seq := range waiting {
		op = append(op, ackItem{place: p, seq: seq})
	}
	slices.SortFunc(op, func(x, y ackItem) int { return slices.Compare(x.queue[:], y.queue[:]) })
	crashpoint.At(crashpoint.AckStoring)
	// What was acked goes now, however much it is, and not with a sweep an hour later: what
	// lies there costs disk, and each later operation of the queue walks over it.
	for more := store(a.shard, op); len(more) > 0 && !a.stopped(); {
		more = store(a.shard, more)
	}
	crashpoint.At(crashpoint.AckStored)
}

func (a *acks) stopped() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done
}

// store submits acks, cut into operations of bounded size, and waits. It returns an ack of
// nothing for each queue in which more is left to erase. A queue that cannot be read fails the
// operation that it is in: then each goes alone, and only that queue's are lost.
func store(s *shard.Store, op ackOp) (more ackOp) {
	var stored sync.WaitGroup
	var mu sync.Mutex
	var failed ackOp
	submit := func(part ackOp) {
		stored.Add(1)
		s.Submit(part, func(answer any, err error) {
			mu.Lock()
			switch left, ok := answer.(ackOp); {
			case ok:
				more = append(more, left...)
			case len(part) > 1 && errors.Is(err, shard.ErrCorrupt):
				failed = append(failed, part...)
			}
			mu.Unlock()
			stored.Done()
		})
	}
	for part := range slices.Chunk(op, ackBatch) {
		submit(part)
	}
	stored.Wait()
	for i := range failed {
		submit(failed[i : i+1])
	}
	stored.Wait()
	return more
}

// stop writes what waits and takes no more.
func (a *acks) stop() {
	a.mu.Lock()
	a.done = true
	if a.timer != nil && a.timer.Stop() { // it has not fired
		a.busy.Done()
	}
	a.mu.Unlock()
	a.busy.Wait()
	a.flush()
}

// ackOp is several acks in the log.
type ackOp []ackItem

type ackItem struct {
	place
	seq  uint64
	more bool // an earlier operation left what was acked
}

// Size implements [shard.Op].
func (op ackOp) Size() int { return 200 * len(op) }

// Releases implements [shard.Releaser]: acks are what makes room.
func (ackOp) Releases() bool { return true }

// ack applies acks. They come sorted by queue. It erases at most ackErase entries, and all acks of
// one batch read about ackBytes for that; it returns an ack of nothing for each queue that has more
// to erase.
func (m *machine) ack(tx *shard.Tx, env shard.Env, t meta, op ackOp) (more ackOp) {
	room := ackErase
	for len(op) > 0 {
		n := 1
		for n < len(op) && op[n].queue == op[0].queue {
			n++
		}
		b, ok, err := openQueue(tx, m.namer, m.relayKey, op[0].queue)
		if err != nil {
			return nil
		}
		if ok && b.header.State != stateGone {
			w := &work{books: b, m: m, tx: tx, now: env.Now, day: t.Day}
			if w.ackAll(op[:n], &room) {
				more = append(more, ackItem{place: op[0].place, more: true})
			}
		}
		op = op[n:]
	}
	return more
}

// ackAll applies the acks of one queue, and erases what they let go while there is room. more
// tells that something is left.
func (w *work) ackAll(items []ackItem, room *int) (more bool) {
	behind := false
	for _, it := range items {
		behind = behind || it.more
		p, ok, err := w.reader(it.reader)
		if err != nil || !ok || p.State == readerTicket {
			continue
		}
		before := p
		p.Acked = max(p.Acked, min(it.seq, p.end(w.header.Seq)))
		if p.State == readerActive {
			p.Day = w.day
			// Only the slowest reader's ack lets anything go.
			behind = behind || p.Acked > before.Acked && before.Acked <= w.header.Acked
		}
		if p.Acked != before.Acked || p.Day != before.Day {
			w.setReader(it.reader, p)
		}
	}
	if !behind && w.header.Swept >= w.header.Acked {
		return false
	}
	if *room <= 0 || w.m.ackWalked >= ackBytes {
		return true
	}
	before := w.header.Swept
	more = w.eraseAcked()
	w.m.ackWalked += w.walked
	*room -= int(w.header.Swept - before)
	w.save()
	return more
}
