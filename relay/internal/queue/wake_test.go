package queue

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// bell is a Waker that notes who was called, by handle, and how often a reader came.
type bell struct {
	mu     sync.Mutex
	full   bool
	asked  int
	called []string
	names  map[WakeName]string
	came   []WakeName
}

func (b *bell) Wake(s Sleeper) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked++; b.full {
		return false
	}
	b.called = append(b.called, string(s.Handle))
	if b.names == nil {
		b.names = make(map[WakeName]string)
	}
	b.names[s.Reader] = string(s.Handle)
	return true
}

func (b *bell) Cancel(reader WakeName) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.came = append(b.came, reader)
}

func (b *bell) fill(full bool) (asked int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.full = full
	return b.asked
}

// want expects exactly these to have been called since the last time, in any order.
func (b *bell) want(r *rig, what string, handles ...string) {
	r.Helper()
	r.quiet()
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.Sort(b.called)
	if fmt.Sprint(b.called) != fmt.Sprint(handles) {
		r.Errorf("%s: called %v, want %v", what, b.called, handles)
	}
	b.called = nil
}

// quiet waits until everything that was noted has been looked at.
func (r *rig) quiet() {
	w := r.wakes
	for {
		w.mu.Lock()
		idle := !w.busy && len(w.queues)+len(w.gone) == 0 && w.scan == nil
		w.mu.Unlock()
		if idle {
			return
		}
		runtime.Gosched()
	}
}

// callable makes a group whose readers have set wake handles.
func (r *rig) callable(name string, readers ...string) relay.QueueID {
	q := r.group(name, readers...)
	for _, who := range readers {
		r.must(r.configure(q, who, relay.SetWakeHandle{Handle: []byte(name + "/" + who)}))
	}
	return q
}

func newBellRig(t *testing.T) (*rig, *bell) {
	b := new(bell)
	r := newRig(t, func(c *Config) { c.Waker = b })
	r.quiet()
	return r, b
}

// TestWakesWhoeverIsNotAttached: an entry calls each reader that is not attached and has a
// handle, once until it has attached again, with any kind of entry, and not with a signal.
func TestWakesWhoeverIsNotAttached(t *testing.T) {
	r, b := newBellRig(t)
	q := r.callable("g", "alice", "bob", "carol")
	r.must(r.configure(q, "admin", relay.AddReader{Key: key("dave")})) // has no handle
	b.want(r, "before the first entry")
	alice := r.follow(q, "alice", nil)
	r.must(r.append(q, "w0", "one"))
	b.want(r, "the first entry", "g/bob", "g/carol")
	r.must(r.append(q, "w0", "two"))
	b.want(r, "the second entry")

	bob := r.follow(q, "bob", nil)
	r.Ack(q, key("bob"), 2)
	bob.a.Ack(2)
	bob.a.Close()
	b.want(r, "who has everything leaves")
	alice.a.Signal(signalOf(1))
	b.want(r, "a signal")
	commit := r.must(r.commit(q, "alice", relay.Position{}, "w1"))
	b.want(r, "a COMMIT", "g/bob")
	bob = r.follow(q, "bob", &commit)
	bob.a.Close()
	b.want(r, "who says that it has everything leaves")
	r.must(&relay.Knock{ID: r.id(), Queue: q, Reader: key("alice"), Envelope: envelope("knock", 512)})
	b.want(r, "a KNOCK", "g/bob")

	if c := r.Wakes(); c.Woken != 4 || c.Refused != 0 || c.Scans != 1 {
		t.Errorf("counted %+v", c)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var came []string
	for _, n := range b.came {
		came = append(came, b.names[n])
	}
	if fmt.Sprint(came) != "[ g/bob g/bob]" { // alice was never called
		t.Errorf("heard of the attachments of %q", came)
	}
}

// TestWakesWhoeverIsCutOff: entries that came while a reader was attached, and that it has not
// stored, call it when the attachment ends; what it was told of and does not fetch does not.
func TestWakesWhoeverIsCutOff(t *testing.T) {
	r, b := newBellRig(t)
	q := r.callable("g", "alice")
	alice := r.follow(q, "alice", nil)
	r.must(r.append(q, "w0", "one"))
	r.must(r.append(q, "w0", "two"))
	b.want(r, "while it is attached")
	alice.a.Close()
	b.want(r, "a connection that breaks", "g/alice")

	alice = r.follow(q, "alice", nil)
	alice.a.Ack(1)
	alice.a.Close()
	b.want(r, "cut off in the middle", "g/alice")
	for range 3 {
		alice = r.follow(q, "alice", nil)
		alice.a.Close()
	}
	b.want(r, "who takes nothing")
	r.must(r.append(q, "w0", "three"))
	b.want(r, "the next entry", "g/alice")

	one := r.follow(q, "alice", nil)
	r.must(r.append(q, "w0", "four"))
	two := r.follow(q, "alice", nil)
	one.a.Close()
	b.want(r, "one that was superseded ends")
	two.a.Ack(4)
	two.a.Close()
	b.want(r, "one that has everything ends")
}

// TestWakesAfterARestart: an entry that was stored just before the relay died calls its readers
// after the next start.
func TestWakesAfterARestart(t *testing.T) {
	b := new(bell)
	r := newRig(t)
	q, empty := r.callable("g", "alice", "bob"), r.callable("other", "carol")
	r.must(r.append(q, "w0", "one"))
	r.Ack(q, key("bob"), 1)
	for i := range 3 * wakeQueues {
		r.callable(fmt.Sprint("filler", i), "dave")
	}
	r.cfg.Waker = b
	r.reopen()
	b.want(r, "the start", "g/alice")
	r.must(r.append(q, "w0", "two"))
	b.want(r, "an entry after the start", "g/bob")
	r.must(r.append(empty, "w0", "one"))
	b.want(r, "an entry of another queue", "other/carol")
}

// TestWakesWaitForRoom: what there is no room for waits, in the store and not in anybody's way;
// who has attached meanwhile is not called any more.
func TestWakesWaitForRoom(t *testing.T) {
	r, b := newBellRig(t)
	r.wakes.retry = time.Microsecond
	q, other := r.callable("g", "alice", "bob"), r.callable("other", "carol")
	b.want(r, "nothing")
	b.fill(true)
	for i := range 50 {
		r.must(r.append(q, "w0", fmt.Sprint(i))) // accepted, whatever the Waker says
	}
	r.must(r.append(other, "w0", "m"))
	for b.fill(true) == 0 {
		runtime.Gosched()
	}
	r.follow(q, "bob", nil)
	b.fill(false)
	b.want(r, "there is room again", "g/alice", "other/carol")
	if c := r.Wakes(); c.Refused == 0 || c.Woken != 2 {
		t.Errorf("counted %+v", c)
	}
}

// TestWakesWithTooManyNotes: when more is going on than the store keeps account of, it looks at
// everything instead, and calls everybody.
func TestWakesWithTooManyNotes(t *testing.T) {
	r, b := newBellRig(t)
	var want []string
	var queues []relay.QueueID
	for i := range 40 {
		name := fmt.Sprintf("g%02d", i)
		queues = append(queues, r.callable(name, "alice"))
		want = append(want, name+"/alice")
	}
	r.must(r.append(queues[0], "w0", "m"))
	b.want(r, "the first", want[0])
	r.follow(queues[0], "alice", nil).a.Ack(1)
	b.fill(true)
	r.wakes.mu.Lock()
	r.wakes.most, r.wakes.retry = 8, time.Microsecond
	r.wakes.mu.Unlock()
	for _, q := range queues[1:] {
		r.must(r.append(q, "w0", "m"))
	}
	b.fill(false)
	b.want(r, "the others", want[1:]...)
	if c := r.Wakes(); c.Scans < 2 {
		t.Errorf("counted %+v", c)
	}
}

// TestWakesAgainAfterAnHour: a call may have come to nothing.
func TestWakesAgainAfterAnHour(t *testing.T) {
	r, b := newBellRig(t)
	q := r.callable("g", "alice")
	r.must(r.append(q, "w0", "one"))
	b.want(r, "the first entry", "g/alice")
	r.wakes.forget()
	r.must(r.append(q, "w0", "two"))
	b.want(r, "within the hour")
	r.sweep()
	b.want(r, "no entry")
	r.must(r.append(q, "w0", "three"))
	b.want(r, "later", "g/alice")

	alice := r.follow(q, "alice", nil)
	alice.a.Ack(3)
	r.must(r.append(q, "w0", "four"))
	r.quiet()
	r.wakes.forget()
	r.wakes.forget()
	alice.a.Close()
	b.want(r, "cut off, and all is forgotten", "g/alice")
	r.must(r.append(q, "w0", "five"))
	b.want(r, "the next entry")
}

// TestWakesNobodyWhoIsGone: a removed reader is not called, nor one that took its handle back;
// one that sets a handle is called for what comes from then on.
func TestWakesNobodyWhoIsGone(t *testing.T) {
	r, b := newBellRig(t)
	q := r.callable("g", "alice", "bob", "carol")
	r.must(r.configure(q, "admin", relay.RemoveReader{Key: key("alice")}))
	r.must(r.configure(q, "bob", relay.SetWakeHandle{}))
	r.must(r.append(q, "w0", "one"))
	b.want(r, "an entry", "g/carol")
	r.must(r.configure(q, "bob", relay.SetWakeHandle{Handle: []byte("bob again")}))
	b.want(r, "a new handle")
	r.must(r.append(q, "w0", "two"))
	b.want(r, "the next entry", "bob again")
	r.StopWaking()
	r.follow(q, "bob", nil).a.Close()
	r.must(r.append(q, "w0", "three"))
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.called) > 0 {
		t.Errorf("called %v after the end", b.called)
	}
}

// TestWakeNamesTellNothing: nobody who has the names can tell which are of one reader, or of
// one queue.
func TestWakeNamesTellNothing(t *testing.T) {
	r, b := newBellRig(t)
	for _, q := range []relay.QueueID{r.callable("g", "alice", "bob"), r.callable("h", "alice")} {
		r.must(r.append(q, "w0", "m"))
	}
	r.quiet()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.names) != 3 {
		t.Errorf("%d names for three readers of queues", len(b.names))
	}
	var all []WakeName
	for n := range b.names {
		all = append(all, n)
	}
	for i, a := range all {
		for _, c := range all[i+1:] {
			for at := 0; at+4 <= len(a); at += 4 {
				if [4]byte(a[at:]) == [4]byte(c[at:]) {
					t.Errorf("two names have %x in common", a[at:at+4])
				}
			}
		}
	}
}

// TestManySleepersAreLookedAtOnce: in a queue whose readers were called, the next entries cost
// no look at them, however many they are.
func TestManySleepersAreLookedAtOnce(t *testing.T) {
	r, b := newBellRig(t)
	q := r.callable("g", "alice", "bob")
	known := func() *told { return r.wakes.find(string(queueName(r.shard, q))) }
	r.must(r.append(q, "w0", "one"))
	b.want(r, "the first entry", "g/alice", "g/bob")
	first := known()
	r.must(r.append(q, "w0", "two"))
	b.want(r, "the second entry")
	if first == nil || known() != first || len(first.awake) > 0 {
		t.Error("a look at all of them again")
	}
}

// TestAccountOfSleepersIsBounded: it is forgotten when it has grown, which costs a call too many.
func TestAccountOfSleepersIsBounded(t *testing.T) {
	w := &wakes{told: make(map[string]*told)}
	for i := range 3 * maxTold {
		w.keep(fmt.Sprint(i), map[memberID]uint64{{}: 1})
		w.remember(w.find(fmt.Sprint(i)), sleeper{bed: bed{member: memberID{1}}})
	}
	if n := len(w.told) + len(w.old); n > 2*maxTold/3+1 {
		t.Errorf("%d queues are remembered", n)
	}
}
