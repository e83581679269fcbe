package relayclient

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// A Transport is a way to carry a session (PROTOCOL.md section 3). None is more trusted than
// another: the session is sealed above all of them.
type Transport uint8

// The transports, best first.
const (
	WebTransport Transport = 1 // QUIC: nothing waits behind a long backlog, and the address may change
	WebSocket    Transport = 2 // TLS over TCP; the only one in browsers
	LongPolling  Transport = 3 // plain HTTP requests, for networks that let nothing else through
)

// String names the transport.
func (t Transport) String() string {
	switch t {
	case WebTransport:
		return "WebTransport"
	case WebSocket:
		return "WebSocket"
	case LongPolling:
		return "long polling"
	}
	return fmt.Sprintf("transport %d", uint8(t))
}

// headStarts are when the first, second and third transport of a race start (PROTOCOL.md
// section 3.4): on a network that swallows what it does not know, a session stands well
// within a second.
var headStarts = [...]time.Duration{0, 200 * time.Millisecond, 600 * time.Millisecond}

// order returns the transports that can be raced here, each once, in the order of the race.
func (o *Options) order(relayKey relay.RelayKey) []Transport {
	all := o.Transports
	if all == nil {
		all = []Transport{WebTransport, WebSocket, LongPolling}
	}
	var usable []Transport
	for _, t := range all {
		if o.usable(t) && !slices.Contains(usable, t) {
			usable = append(usable, t)
		}
	}
	if o.Remember != nil {
		o.Remember.favour(relayKey, usable)
	}
	return usable
}

const (
	// maxMemory is how many relays a Memory knows. A client has one, and one for each relay
	// of a conversation.
	maxMemory = 256
	// memoryLasts bounds how long a transport that is not the caller's favourite goes first:
	// networks change, and what won in a hotel is slow at home. Then one Dial races anew.
	memoryLasts = 10 * time.Minute
)

// Memory remembers for each relay which transport won, so that the next Dial tries it first,
// and the others after the usual head starts: a network that swallows UDP costs its 200
// milliseconds once. It lives in memory only. The zero value is ready, and safe for
// concurrent use.
type Memory struct {
	mu  sync.Mutex
	won map[relay.RelayKey]winner
}

type winner struct {
	transport Transport
	at        time.Time
}

// favour moves what won to the front of order.
func (m *Memory) favour(relayKey relay.RelayKey, order []Transport) {
	m.mu.Lock()
	w := m.won[relayKey]
	m.mu.Unlock()
	i := slices.Index(order, w.transport)
	if i > 0 && time.Since(w.at) < memoryLasts {
		copy(order[1:i+1], order[:i])
		order[0] = w.transport
	}
}

// note remembers that t won. A winner that was favoured keeps its time, so that it comes to
// an end.
func (m *Memory) note(relayKey relay.RelayKey, t Transport, favoured bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w, ok := m.won[relayKey]; ok && w.transport == t && favoured {
		return
	}
	if m.won == nil {
		m.won = make(map[relay.RelayKey]winner)
	}
	if _, ok := m.won[relayKey]; !ok && len(m.won) >= maxMemory {
		for oldest := range m.won { // any one: it costs a head start
			delete(m.won, oldest)
			break
		}
	}
	m.won[relayKey] = winner{t, time.Now()}
}
