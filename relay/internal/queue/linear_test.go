package queue

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sealpost/sealpost/relay"
)

// linearInput is an operation as porcupine sees it, linearOutput its answer.
type linearInput struct {
	what   string // append, commit or look
	id     int    // the idempotency id: the same operation may be asked for again
	writer int    // append: which writer key; commit: the next one
	expect uint64 // commit: the last one that its sender knows
}

type linearOutput struct {
	code relay.RefusalCode // 0: accepted
	seq  uint64            // of the position that came with it
	last uint64            // look: the last commit
}

// linearState is the promise, kept as simply as can be: the head, the last commit, the writer
// key in force, and what was answered.
type linearState struct {
	head, last uint64
	writer     int
	answers    string // "id:seq," of each accepted operation
}

func (s linearState) step(in linearInput, out linearOutput) (bool, linearState) {
	if in.what == "look" {
		return out == linearOutput{seq: s.head, last: s.last}, s
	}
	before := fmt.Sprintf(",%d:", in.id)
	for at := 0; at+len(before) <= len(s.answers); at++ {
		if s.answers[at:at+len(before)] == before { // a retry
			var seq uint64
			fmt.Sscan(s.answers[at+len(before):], &seq)
			return out == linearOutput{seq: seq}, s
		}
	}
	switch {
	case in.what == "append" && in.writer != s.writer:
		return out == linearOutput{code: relay.CodeStale, seq: s.head}, s
	case in.what == "commit" && in.expect != s.last:
		return out == linearOutput{code: relay.CodeConflict, seq: s.last}, s
	}
	s.head++
	s.answers += fmt.Sprintf("%s%d ,", before, s.head)
	if in.what == "commit" {
		s.last, s.writer = s.head, in.writer
	}
	return out == linearOutput{seq: s.head}, s
}

// linearRun is a queue and what its members asked of it and heard.
type linearRun struct {
	*rig
	q     relay.QueueID
	began time.Time

	mu      sync.Mutex
	history []porcupine.Operation // guarded by mu
}

// record notes what do answers, and when.
func (l *linearRun) record(member int, in linearInput, do func() linearOutput) {
	op := porcupine.Operation{ClientId: member, Input: in, Call: time.Since(l.began).Nanoseconds()}
	op.Output = do()
	op.Return = time.Since(l.began).Nanoseconds()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history = append(l.history, op)
}

func (l *linearRun) submit(m relay.Mutation) linearOutput {
	c := make(chan Answer, 1)
	l.SubmitFrom(new(Flow), m, Authority{}, func(a Answer) { c <- a })
	a := <-c
	if a.Err == nil {
		return linearOutput{seq: a.Position.Seq}
	}
	out := linearOutput{code: a.Err.Code}
	if a.Err.Position != nil {
		out.seq = a.Err.Position.Seq
	}
	return out
}

// writerAfter is the writer key that the commit at seq named, as its readers know it.
func (l *linearRun) writerAfter(seq uint64) (writer int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, op := range l.history {
		if in := op.Input.(linearInput); in.what == "commit" && op.Output.(linearOutput) == (linearOutput{seq: seq}) {
			writer = in.writer
		}
	}
	return writer
}

// member does so many operations of all kinds, and asks again for some that it had an answer to.
func (l *linearRun) member(n, operations int) {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	who := key(fmt.Sprint("reader", n))
	writer, last := 0, relay.Position{}
	var asked []func()
	ask := func(in linearInput, m relay.Mutation) {
		again := func() { l.record(n, in, func() linearOutput { return l.submit(m) }) }
		again()
		asked = append(asked, again)
	}
	for i := range operations {
		id := n*operations + i + 1
		idem := relay.IdempotencyID{byte(id), byte(id >> 8), 9}
		switch dice := random.IntN(10); {
		case dice < 4:
			ask(linearInput{what: "append", id: id, writer: writer},
				&relay.Append{ID: idem, Queue: l.q, Writer: key(fmt.Sprint("w", writer)), Envelope: envelope("m", 512)})
		case dice < 5:
			ask(linearInput{what: "commit", id: id, writer: id, expect: last.Seq},
				&relay.Commit{ID: idem, Queue: l.q, Reader: who, Expect: last, NextWriter: key(fmt.Sprint("w", id)), Envelope: envelope("c", 512)})
		case dice < 9:
			l.record(n, linearInput{what: "look"}, func() linearOutput {
				a, at, err := l.Attach(l.q, who, nil, func() {})
				if err != nil {
					l.Error(err)
					return linearOutput{}
				}
				a.Close()
				last = at.LastCommit
				return linearOutput{seq: at.Head.Seq, last: at.LastCommit.Seq}
			})
			writer = l.writerAfter(last.Seq)
		case len(asked) > 0:
			asked[random.IntN(len(asked))]() // the answer was lost on its way
		}
	}
}

// TestLinearizable: members append, commit and look at one queue all at once, repeat what they
// asked for, and race for the same commit. Some order of it all, in which nothing is answered
// before it was asked for, explains every answer.
func TestLinearizable(t *testing.T) {
	const members, operations = 8, 60
	plenty := Rate{1 << 20, time.Nanosecond}
	r := newRig(t, func(c *Config) {
		c.Limits.Commits, c.Limits.Conflicts, c.Limits.GroupAppends = plenty, plenty, plenty
	})
	var readers []string
	for i := range members {
		readers = append(readers, fmt.Sprint("reader", i))
	}
	l := &linearRun{rig: r, q: r.group("g", readers...), began: time.Now()}
	var all sync.WaitGroup
	for n := range members {
		all.Go(func() { l.member(n, operations) })
	}
	all.Wait()
	model := porcupine.Model{
		Init: func() any { return linearState{} },
		Step: func(state, input, output any) (bool, any) {
			return state.(linearState).step(input.(linearInput), output.(linearOutput))
		},
	}
	if got := porcupine.CheckOperationsTimeout(model, l.history, time.Minute); got != porcupine.Ok {
		t.Errorf("no order explains the answers: %v", got)
	}
}
