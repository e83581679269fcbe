package relayserver

import (
	"sync"

	"github.com/sealpost/sealpost/relay"
)

// inFlight bounds the requests of a session that are not answered yet, by number and by
// bytes. What happens when it is full: the session is not read from (backpressure).
type inFlight struct {
	mu       sync.Mutex
	room     sync.Cond
	requests int
	bytes    int
	draining bool
	owed     int // of requests, those that came before the drain
	ended    bool
}

// place is what one request holds in flight.
type place struct {
	bytes int
	late  bool // it came when the session was draining, and holds up nothing
}

func newInFlight() *inFlight {
	f := &inFlight{}
	f.room.L = &f.mu
	return f
}

// take waits for room for a request of n bytes; false if the session ended meanwhile. A
// request larger than the bound has room when it is alone.
func (f *inFlight) take(n int) (place, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.ended && (f.requests >= relay.MaxInFlight || f.requests > 0 && f.bytes+n > maxInFlightBytes) {
		f.room.Wait()
	}
	if f.ended {
		return place{}, false
	}
	f.requests++
	f.bytes += n
	return place{n, f.draining}, true
}

// give returns the room of requests whose answers were written.
func (f *inFlight) give(places []place) {
	if len(places) == 0 {
		return
	}
	f.mu.Lock()
	for _, t := range places {
		f.requests--
		f.bytes -= t.bytes
		if f.draining && !t.late {
			f.owed--
		}
	}
	f.mu.Unlock()
	f.room.Broadcast()
}

// drain counts what is in flight now as owed. Call it once.
func (f *inFlight) drain() {
	f.mu.Lock()
	f.draining, f.owed = true, f.requests
	f.mu.Unlock()
}

// settled reports whether everything owed was answered.
func (f *inFlight) settled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.draining && f.owed == 0
}

// end wakes whoever waits in take.
func (f *inFlight) end() {
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	f.room.Broadcast()
}
