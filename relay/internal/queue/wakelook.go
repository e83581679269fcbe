package queue

import (
	"errors"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay"
)

// look wakes who sleeps in a queue and is behind: everybody, or who has come and gone since
// everybody was woken.
func (w *wakes) look(name string) {
	t := w.find(name)
	if t == nil {
		w.all(name)
		return
	}
	w.mu.Lock()
	awake := t.awake
	t.awake = nil
	if t.hour == w.hour {
		w.size -= len(awake)
	}
	w.mu.Unlock()
	for member, knows := range awake {
		w.lookAt(sleeper{bed{name, member}, knows})
	}
}

// find returns what is known of a queue; nil if its sleepers have to be looked at.
func (w *wakes) find(name string) *told {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t := w.told[name]; t != nil {
		return t
	}
	return w.old[name]
}

// keep remembers that a queue's sleepers were woken, but for those who were not behind.
func (w *wakes) keep(name string, awake map[memberID]uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.grow(1 + len(awake))
	w.told[name] = &told{awake: awake, hour: w.hour}
}

// grow makes room for so much more to remember. The caller holds mu.
func (w *wakes) grow(n int) {
	if w.size+n > maxTold {
		w.rotate()
	}
	w.size += n
}

// rotate forgets the older generation. The caller holds mu.
func (w *wakes) rotate() {
	w.old, w.told, w.size = w.told, make(map[string]*told), 0
	w.hour++
}

// remember notes a sleeper who is not behind, for the next entry.
func (w *wakes) remember(t *told, s sleeper) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := t.awake[s.member]; !known {
		w.grow(1)
	}
	if t.awake == nil {
		t.awake = make(map[memberID]uint64)
	}
	t.awake[s.member] = s.knows
}

// lookAt wakes one reader if it sleeps and is behind, or else notes that the next entry is to.
func (w *wakes) lookAt(s sleeper) {
	var p reader
	found, end := false, uint64(0)
	err := w.view(s.queue, func(b *books) (err error) {
		found, err = b.get(append(b.key(kindReader), s.member[:]...), &p)
		end = b.header.Seq
		return err
	})
	if err != nil {
		// Suspended, or not readable: whom else a look would have found is not known later.
		w.mu.Lock()
		w.drop(s.queue)
		w.mu.Unlock()
		return
	}
	if !found || p.State != readerActive || len(p.Handle) == 0 || w.readers.has(s.queue, s.member) {
		return // whoever is attached is noted again when it leaves
	}
	t := w.find(s.queue)
	switch {
	case max(p.Acked, s.knows) >= end && t != nil:
		w.remember(t, s)
	case max(p.Acked, s.knows) >= end: // the next entry has all of the queue looked at
	case t != nil:
		w.wake(s.queue, s.member, p.Handle)
	default:
		w.look(s.queue) // or that would wake it a second time
	}
}

// all wakes everybody in a queue who sleeps and is behind.
func (w *wakes) all(name string) {
	type found struct {
		member memberID
		handle []byte
	}
	var behind []found
	awake, many := make(map[memberID]uint64), false
	err := w.view(name, func(b *books) error {
		return b.everyReader(func(key []byte, p reader) {
			switch {
			case p.State != readerActive || len(p.Handle) == 0:
			case p.Acked < b.header.Seq:
				behind = append(behind, found{memberOf(key), p.Handle})
			case len(awake) < maxAwake:
				awake[memberOf(key)] = p.Acked
			default:
				many = true
			}
		})
	})
	for _, f := range behind {
		w.wake(name, f.member, f.handle)
	}
	if err == nil && !many { // else the next entry, or the end of a suspension, has all of them looked at again
		w.keep(name, awake)
	}
}

// errAsleep: a queue is suspended, so nobody is called for it.
var errAsleep = errors.New("queue: suspended")

// view reads a queue, if there is one. Of a suspended one it is an error that nothing is known.
func (w *wakes) view(name string, fn func(*books) error) error {
	err := w.shard.View(func(snap *shard.Snapshot) error {
		b, ok, err := openBooks(snap, w.shard, []byte(name))
		if err != nil || !ok || b.header.State == stateGone {
			return err
		}
		if b.header.State == stateSuspended {
			return errAsleep
		}
		return fn(b)
	})
	if err != nil && !errors.Is(err, shard.ErrClosed) && !errors.Is(err, errAsleep) {
		w.log.Error("looking for readers to wake", "error", err)
	}
	return err
}

// wake tells the Waker of a reader, as often as it takes until there is room or the reader has
// attached.
func (w *wakes) wake(name string, member memberID, handle []byte) {
	for {
		w.mu.Lock()
		if w.stopped || w.readers.has(name, member) {
			w.mu.Unlock()
			return
		}
		taken := w.to.Wake(Sleeper{Reader: wakeName(w.shard, name, member), Handle: handle})
		if taken {
			w.counts.Woken++
		} else {
			w.counts.Refused++
		}
		w.mu.Unlock()
		if taken || !w.pause(w.retry) {
			return
		}
	}
}

func wakeName(n namer, queue string, member memberID) WakeName {
	return WakeName(n.Name('K', []byte(queue), member[:])[1:])
}

// arm notes that a reader has set its handle: the next entry wakes it, and none before, since
// its device is there now.
func (w *work) arm(key relay.PublicKey) {
	if w.m.wakes != nil {
		w.m.armed = append(w.m.armed, sleeper{bed{string(w.name), memberOf(w.member(kindReader, key))}, w.header.Seq})
	}
}
