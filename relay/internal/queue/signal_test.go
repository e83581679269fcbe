package queue

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// ears notes what an attachment hears: the first bytes.
type ears struct {
	mu    sync.Mutex
	heard []byte
}

func (r *rig) listen(q relay.QueueID, who string) (*Attachment, *ears) {
	r.Helper()
	f, err := r.attach(q, who, nil)
	if err != nil {
		r.Fatal(err)
	}
	e := new(ears)
	f.a.Hear(func(sealed *[relay.SignalSize]byte) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.heard = append(e.heard, sealed[0])
	})
	return f.a, e
}

func (e *ears) want(t *testing.T, what string, heard ...byte) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if fmt.Sprint(e.heard) != fmt.Sprint(heard) {
		t.Errorf("%s: heard %v, want %v", what, e.heard, heard)
	}
	e.heard = nil
}

func signalOf(n byte) *[relay.SignalSize]byte { return &[relay.SignalSize]byte{n} }

// TestSignalsReachTheOthers: everyone else who is attached to the queue, and nobody later.
func TestSignalsReachTheOthers(t *testing.T) {
	r := newRig(t)
	q, other := r.group("g", "alice", "bob", "carol", "dave"), r.group("other", "alice", "bob")
	alice, aliceHears := r.listen(q, "alice")
	_, bobHears := r.listen(q, "bob")
	_, elsewhere := r.listen(other, "bob")
	before := len(records(t, r))
	alice.Signal(signalOf(1))
	_, carolHears := r.listen(q, "carol")
	alice.Signal(signalOf(2))
	aliceHears.want(t, "the sender")
	bobHears.want(t, "another", 1, 2)
	carolHears.want(t, "who came later", 2)
	elsewhere.want(t, "another queue")
	if n := len(records(t, r)); n != before {
		t.Errorf("signals left %d records", n-before)
	}
	again, againHears := r.listen(q, "alice") // another session of the same reader
	alice.Signal(signalOf(3))
	bobHears.want(t, "after the sender was superseded")
	again.Signal(signalOf(4))
	bobHears.want(t, "from the newer session", 4)
	againHears.want(t, "the newer session")
	again.Close()
	again.Signal(signalOf(5))
	bobHears.want(t, "from a closed attachment")
	for range 3 { // without a listener, nothing happens
		f, err := r.attach(q, "dave", nil)
		if err != nil {
			t.Fatal(err)
		}
		f.a.Signal(signalOf(6))
	}
}

// TestSignalsOfTheRemoved: once its removal is answered, a reader hears no signal and sends
// none, though it still reads up to its end; nor does anybody of an erased queue.
func TestSignalsOfTheRemoved(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob", "carol")
	alice, aliceHears := r.listen(q, "alice")
	bob, bobHears := r.listen(q, "bob")
	_, carolHears := r.listen(q, "carol")
	alice.Signal(signalOf(1))
	bob.Signal(signalOf(2))
	bobHears.want(t, "before", 1)
	aliceHears.want(t, "before", 2)
	carolHears.want(t, "before", 1, 2)
	r.must(r.append(q, "w0", "m"))
	r.must(r.configure(q, "admin", relay.RemoveReader{Key: key("bob")}))
	alice.Signal(signalOf(3))
	bob.Signal(signalOf(4))
	bobHears.want(t, "removed")
	aliceHears.want(t, "from the removed")
	carolHears.want(t, "after the removal", 3)
	late, lateHears := r.listen(q, "bob") // to read what it missed
	alice.Signal(signalOf(5))
	late.Signal(signalOf(6))
	lateHears.want(t, "attached after its removal")
	carolHears.want(t, "after the second attach", 5)
	r.must(r.configure(q, "admin", relay.AddReader{Key: key("bob")}))
	alice.Signal(signalOf(7))
	lateHears.want(t, "added again", 7)
	carolHears.want(t, "added again", 7)
	r.must(&relay.Delete{ID: r.id(), Queue: q, Key: key("admin")})
	r.days(9)
	alice.Signal(signalOf(8))
	carolHears.want(t, "of an erased queue")
}

// TestR09_SignalsAreLimited: 16 at once and 4 a second, whatever the clock does.
func TestR09_SignalsAreLimited(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob")
	alice, _ := r.listen(q, "alice")
	_, bobHears := r.listen(q, "bob")
	flood := func() {
		for range 100 {
			alice.Signal(signalOf(1))
		}
	}
	ones := func(n int) []byte {
		all := make([]byte, n)
		for i := range all {
			all[i] = 1
		}
		return all
	}
	flood()
	bobHears.want(t, "at once", ones(16)...)
	r.pass(time.Second)
	flood()
	bobHears.want(t, "a second later", ones(4)...)
	r.pass(-time.Hour)
	flood()
	bobHears.want(t, "when the clock has stepped back")
	r.pass(time.Hour)
	flood()
	bobHears.want(t, "an hour later", ones(16)...)
}

// TestSignalsDuringChanges: senders, readers that come and go, and a queue that changes: for
// the race detector, and for a reader that is removed meanwhile.
func TestSignalsDuringChanges(t *testing.T) {
	r := newRig(t)
	q := r.group("g", "alice", "bob", "carol")
	alice, _ := r.listen(q, "alice")
	_, bobHears := r.listen(q, "bob")
	var all sync.WaitGroup
	all.Go(func() {
		for i := range 200 {
			r.pass(250 * time.Millisecond)
			alice.Signal(signalOf(byte(i)))
		}
	})
	all.Go(func() {
		for range 20 {
			a, _ := r.listen(q, "carol")
			a.Signal(signalOf(0))
			a.Close()
		}
	})
	r.must(r.append(q, "w0", "m"))
	r.must(r.configure(q, "admin", relay.RemoveReader{Key: key("bob")}))
	bobHears.mu.Lock()
	removed := len(bobHears.heard)
	bobHears.mu.Unlock()
	all.Wait()
	alice.Signal(signalOf(255))
	bobHears.mu.Lock()
	defer bobHears.mu.Unlock()
	// One signal may be on its way while the removal is answered.
	if n := len(bobHears.heard) - removed; n > 1+1 {
		t.Errorf("heard %d signals after its removal", n)
	}
}
