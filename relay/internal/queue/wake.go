package queue

import (
	"log/slog"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/shard"
)

// wakes tells a Waker of entries that came for readers who are not attached. What it remembers
// is small and may be forgotten: for each queue that readers were woken in, that they were, and
// who has come and gone since. So one more message to a thousand sleepers costs a look at none
// of them, and what is forgotten costs a second Wake.
//
// It owns one goroutine, which alone looks at queues; writers and sessions only leave it a note.
type wakes struct {
	shard   *shard.Store
	readers *readers
	to      Waker
	log     *slog.Logger
	retry   time.Duration
	most    int // of notes
	done    sync.WaitGroup
	ended   chan struct{}
	notes   chan struct{} // cap 1: there is something to look at

	mu      sync.Mutex          // guards all below; held for Wake and Cancel, which gives them their order
	stopped bool                // nothing is told any more
	busy    bool                // the goroutine is at work
	queues  map[string]struct{} // names of queues with a new entry
	gone    map[bed]uint64      // whose attachments have ended, and what they know
	scan    []byte              // all queues are to be looked at, from this header key on; nil: no
	again   bool                // and then all of them again
	later   []byte              // from here on a look has failed; nil: none
	told    map[string]*told    // queues in which every sleeper was woken
	old     map[string]*told    // the same of an hour before
	size    int                 // of told: queues and readers
	hour    uint64              // counts generations
	counts  WakeCounts
}

// bed is where a reader sleeps.
type bed struct {
	queue  string // name
	member memberID
}

// sleeper is a reader that is called for nothing up to a number.
type sleeper struct {
	bed
	knows uint64
}

// told is a queue in which every reader that was not attached, and had a handle, was woken.
type told struct {
	awake map[memberID]uint64 // who was not behind, or has come and gone since, and what it knows; used by the goroutine
	hour  uint64              // the generation in which it was noted; static
}

func startWakes(s *shard.Store, r *readers, to Waker, log *slog.Logger) *wakes {
	w := &wakes{
		shard: s, readers: r, to: to, log: log, retry: wakeRetry, most: maxWaking,
		ended: make(chan struct{}), notes: make(chan struct{}, 1),
		scan: []byte{kindHeader}, told: make(map[string]*told), counts: WakeCounts{Scans: 1},
	}
	w.note()
	w.done.Go(w.run)
	return w
}

// Wakes returns what has been told to the Waker; nothing without one.
func (s *Store) Wakes() WakeCounts {
	if s.wakes == nil {
		return WakeCounts{}
	}
	s.wakes.mu.Lock()
	defer s.wakes.mu.Unlock()
	return s.wakes.counts
}

// StopWaking ends telling the Waker: attachments that end from here on do so because the relay
// goes away, and a device that is called now finds nobody. The next start sees to it. It may be
// called again.
func (s *Store) StopWaking() {
	if s.wakes == nil {
		return
	}
	w := s.wakes
	w.mu.Lock()
	if !w.stopped {
		w.stopped = true
		close(w.ended)
	}
	w.mu.Unlock()
	w.done.Wait()
}

func (w *wakes) note() {
	select {
	case w.notes <- struct{}{}:
	default: // it will look anyway
	}
}

// stored notes what a batch did, which is on disk and visible: queues with new entries, and
// readers that have set a handle.
func (w *wakes) stored(touched map[string]bool, armed []sleeper) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, entry := range touched {
		if entry {
			if w.queues == nil {
				w.queues = make(map[string]struct{})
			}
			w.queues[name] = struct{}{}
		}
	}
	for _, s := range armed {
		w.readers.callable(s.bed)            // to be noted when it leaves
		if _, left := w.gone[s.bed]; !left { // what it said as it left may be less
			w.leaves(s)
		}
	}
	w.bound()
}

// left notes that a reader's attachment has ended: perhaps before it had everything, and if it
// had, the next entry is to wake it.
func (w *wakes) left(s sleeper) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leaves(s)
	w.bound()
}

// leaves notes a reader, once however often it comes and goes: what it knows is what it knew the
// last time. The caller holds mu.
func (w *wakes) leaves(s sleeper) {
	if w.gone == nil {
		w.gone = make(map[bed]uint64)
	}
	w.gone[s.bed] = s.knows
}

// came says that a's reader is there. It stands in the registry already, so no Wake of it comes
// behind this.
func (w *wakes) came(a *Attachment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.to.Cancel(wakeName(w.shard, a.name, a.member))
	}
}

// bound gives up notes when there are too many, and looks at everything instead: at all readers of
// the queues that were noted, and in the others, as ever, at those who have not been told of. So a
// crowd that comes and goes has nobody woken again but its own. The caller holds mu.
func (w *wakes) bound() {
	if w.stopped {
		w.queues, w.gone = nil, nil
		return
	}
	if len(w.queues)+len(w.gone) > w.most {
		for name := range w.queues {
			w.drop(name)
		}
		for b := range w.gone {
			w.drop(b.queue)
		}
		w.queues, w.gone = nil, nil
		if w.again = w.scan != nil; !w.again { // a scan that began anew each time would never end
			w.begin([]byte{kindHeader})
		}
	}
	w.note()
}

// begin begins a scan. The caller holds mu.
func (w *wakes) begin(from []byte) {
	w.scan = from
	w.counts.Scans++
}

// drop forgets who was woken in a queue: the next look at it is at all its readers. The caller
// holds mu.
func (w *wakes) drop(name string) {
	if t := w.told[name]; t != nil {
		w.size -= 1 + len(t.awake)
		t.awake = nil
	}
	delete(w.told, name)
	delete(w.old, name)
}

// forget forgets who was woken more than an hour ago: a call may come to nothing, and whoever
// waits for one for ever would lose what comes later, too. It takes a look that failed up again.
func (w *wakes) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rotate()
	if w.later != nil && w.scan == nil {
		w.begin(w.later)
		w.later = nil
		w.note()
	}
}

// run looks at what was noted, and at everything else in between.
func (w *wakes) run() {
	for {
		select {
		case <-w.notes:
		case <-w.ended:
			return
		}
		for {
			w.mu.Lock()
			queues, gone, from := w.queues, w.gone, w.scan
			w.queues, w.gone = nil, nil
			w.busy = len(queues)+len(gone) > 0 || from != nil
			idle := !w.busy || w.stopped
			w.mu.Unlock()
			if idle {
				break
			}
			for b, knows := range gone {
				w.lookAt(sleeper{b, knows})
			}
			for name := range queues {
				w.look(name)
			}
			if from != nil {
				began := time.Now()
				w.step(from)
				w.pause(min(time.Since(began), scanPause)) // so it takes half of one processor at most
			}
		}
	}
}

// step looks at the next queues of a scan.
func (w *wakes) step(from []byte) {
	var names []string
	var next []byte
	err := w.shard.View(func(snap *shard.Snapshot) error {
		return snap.Keys([]byte{kindHeader}, from, func(key []byte) bool {
			if len(names) == wakeQueues {
				next = key
				return false
			}
			names = append(names, string(key[1:]))
			return true
		})
	})
	if err != nil {
		w.log.Error("looking for readers to wake", "error", err)
	}
	w.mu.Lock()
	switch {
	case err != nil && len(names) > 0: // go on behind what was read
		next = append(append([]byte{kindHeader}, names[len(names)-1]...), 0)
	case err != nil:
		w.later = from
	case next == nil && w.again:
		w.again = false
		w.counts.Scans++
		next = []byte{kindHeader}
	}
	w.scan = next
	w.mu.Unlock()
	for _, name := range names {
		w.look(name)
	}
}

// pause waits, and returns false when the store has stopped waking.
func (w *wakes) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.ended:
		return false
	}
}
