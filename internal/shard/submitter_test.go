package shard

import (
	"context"
	"runtime"
	"sync"
	"testing"
)

// TestR38_SubmittersTakeTurns: whoever asks for a thousand things at once, and waits for each, holds
// up nobody who asks for one; and nothing is remembered of them afterwards.
func TestR38_SubmittersTakeTurns(t *testing.T) {
	s, _ := openNotebook(t, t.TempDir())
	held, release := make(chan struct{}), make(chan struct{})
	s.Submit(put{id: 1}, func(any, error) {
		close(held)
		<-release
	})
	<-held
	const many = 4 * maxBatchOps
	ask := func(name string, id uint64) uint64 {
		n, err := s.Do(WithSubmitter(context.Background(), name), put{id: id})
		if err != nil {
			t.Error(err)
			return 0
		}
		return n.(uint64)
	}
	waiting := func(name string) int { // what of it is in the queue
		s.flows.mu.Lock()
		defer s.flows.mu.Unlock()
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		n := s.flows.byName[name]
		if n == nil {
			return 0
		}
		return len(n.flow.items) - n.flow.head
	}
	var all sync.WaitGroup
	defer all.Wait()
	for i := range uint64(many) {
		all.Go(func() { ask("greedy", 2+i) })
	}
	for waiting("greedy") < many-maxBatchOps { // the rest may be in the batch that waits to be stored
		runtime.Gosched()
	}
	lone := make(chan uint64)
	go func() { lone <- ask("modest", 5000) }()
	for waiting("modest") == 0 {
		runtime.Gosched()
	}
	close(release)
	if n := <-lone; n > 1+2*maxBatchOps {
		t.Errorf("the lone operation is number %d of %d", n, many+2)
	}
	all.Wait()
	if n := len(s.flows.byName); n != 0 {
		t.Errorf("%d names are remembered", n)
	}
}
