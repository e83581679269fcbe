package queue

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// TestWakesAfterASuspension: nobody is called for a queue that is suspended, and nobody is
// forgotten: neither who was there when it began, nor for whom something had come just before.
func TestWakesAfterASuspension(t *testing.T) {
	r, b := newBellRig(t)
	q := r.callable("g", "alice", "bob")
	r.must(r.append(q, "w0", "one"))
	b.want(r, "the first entry", "g/alice", "g/bob")
	alice := r.follow(q, "alice", nil)
	alice.a.Ack(1)
	r.flushAcks()
	r.suspend(q, true)
	r.quiet()
	alice.a.Close()
	b.want(r, "suspended")
	r.suspend(q, false)
	b.want(r, "resumed", "g/bob") // a second time, and alice has everything
	r.must(r.append(q, "w0", "two"))
	b.want(r, "the next entry", "g/alice")

	// The look at an entry comes when the queue is suspended already.
	other, late := r.callable("other", "carol"), r.callable("late", "dave")
	asked := b.fill(true)
	r.wakes.mu.Lock()
	r.wakes.retry = time.Microsecond
	r.wakes.mu.Unlock()
	r.must(r.append(other, "w0", "holds the goroutine"))
	for b.fill(true) == asked {
		runtime.Gosched()
	}
	r.must(r.append(late, "w0", "one"))
	r.suspend(late, true)
	b.fill(false)
	b.want(r, "the one that held it", "other/carol")
	r.suspend(late, false)
	b.want(r, "what came before the suspension", "late/dave")
}

// TestR11_ComingAndGoingWakesNobodyElse: whoever attaches and leaves over and over, in a queue of
// his own, makes the store forget nobody else whom it has called.
func TestR11_ComingAndGoingWakesNobodyElse(t *testing.T) {
	r, b := newBellRig(t)
	q, busy := r.callable("g", "bob"), r.callable("busy", "carol")
	r.must(r.append(q, "w0", "one"))
	b.want(r, "an entry", "g/bob")
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprint("m", i))
	}
	silent, loud := r.group("silent", many...), r.callable("loud", many...)
	r.quiet()
	asked := b.fill(true)
	r.wakes.mu.Lock()
	r.wakes.most, r.wakes.retry = 8, time.Microsecond
	r.wakes.mu.Unlock()
	r.must(r.append(busy, "w0", "holds the goroutine"))
	for b.fill(true) == asked {
		runtime.Gosched()
	}
	for _, who := range many {
		r.follow(silent, who, nil).a.Close()
	}
	if n := r.Wakes().Scans; n != 1 {
		t.Errorf("readers without a handle made the store look at everything %d times", n)
	}
	for range 30 {
		r.follow(loud, many[0], nil).a.Close()
	}
	if n := r.Wakes().Scans; n != 1 {
		t.Errorf("one reader made the store look at everything %d times", n)
	}
	for _, who := range many {
		r.follow(loud, who, nil).a.Close()
	}
	if n := r.Wakes().Scans; n != 2 {
		t.Errorf("more readers than there is room for: looked at everything %d times", n)
	}
	b.fill(false)
	b.want(r, "room again", "busy/carol")
	r.must(r.append(q, "w0", "two"))
	b.want(r, "the next entry of the others")
	r.must(r.append(loud, "w0", "one"))
	r.quiet()
	if c := r.Wakes(); c.Woken != uint64(2+len(many)) {
		t.Errorf("%d calls: their own are missing, or there are others", c.Woken)
	}
}

// TestHandleSetInABacklog: a reader that sets its handle and is cut off before it has everything is
// called for the rest, in whatever order the store looks at both.
func TestHandleSetInABacklog(t *testing.T) {
	for _, first := range []string{"handle", "left"} {
		w := &wakes{readers: newReaders(), most: maxWaking, notes: make(chan struct{}, 1)}
		at := bed{"g", memberID{1}}
		set := func() { w.stored(nil, []sleeper{{at, 5}}) }
		leave := func() { w.left(sleeper{at, 3}) }
		if first == "handle" {
			set()
			leave()
		} else {
			leave()
			set()
		}
		if knows := w.gone[at]; len(w.gone) != 1 || knows != 3 {
			t.Errorf("%s first: it is called for nothing up to %d", first, knows)
		}
	}
}
