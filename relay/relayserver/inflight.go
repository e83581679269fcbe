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
	ended    bool
}

func newInFlight() *inFlight {
	f := &inFlight{}
	f.room.L = &f.mu
	return f
}

// take waits for room for a request of n bytes; false if the session ended meanwhile. A
// request larger than the bound has room when it is alone.
func (f *inFlight) take(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.ended && (f.requests >= relay.MaxInFlight || f.requests > 0 && f.bytes+n > maxInFlightBytes) {
		f.room.Wait()
	}
	if f.ended {
		return false
	}
	f.requests++
	f.bytes += n
	return true
}

// give returns the room of requests that were answered, with n bytes in all.
func (f *inFlight) give(requests, n int) {
	f.mu.Lock()
	f.requests -= requests
	f.bytes -= n
	f.mu.Unlock()
	f.room.Broadcast()
}

// empty reports whether every request was answered.
func (f *inFlight) empty() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests == 0
}

// end wakes whoever waits in take.
func (f *inFlight) end() {
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	f.room.Broadcast()
}
