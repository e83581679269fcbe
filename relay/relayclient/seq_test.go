package relayclient

import (
	"errors"
	"math"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// beyond is the first seq that does not fit the 63 bits in which clients store one.
const beyond = uint64(math.MaxInt64)

// far is a position that a relay may make up: it needs no log to go with it.
func far(seq uint64) relay.Position { return relay.Position{Incarnation: incarnation, Seq: seq} }

// hugeSeqs are the places where a relay names a seq. The client has attached at
// the beginning, sent an APPEND and been delivered one entry.
var hugeSeqs = map[string]func(l *link, log *logbook, m *relay.Append){
	"ACCEPTED": func(l *link, _ *logbook, m *relay.Append) {
		l.send(&relay.Accepted{Request: m.Request, Position: far(beyond)})
	},
	"REFUSED": func(l *link, _ *logbook, m *relay.Append) {
		l.send(&relay.Refused{Request: m.Request, Refusal: relay.Refusal{Code: relay.CodeStale, Position: new(far(math.MaxUint64))}})
	},
	"DELIVER": func(l *link, log *logbook, _ *relay.Append) {
		// Where no gap led, a huge seq is a skip; after one to the last seq it is the next.
		l.send(&relay.Gap{Attachment: 7, From: 2, To: math.MaxInt64 - 1, Reason: relay.GapExpired, After: far(math.MaxInt64 - 1)})
		chain := relay.ChainNext(relay.Hash{}, beyond, relay.KindMessage, envelope(1))
		l.send(&relay.Deliver{Attachment: 7, Entries: []relay.Entry{{Seq: beyond, Kind: relay.KindMessage, Envelope: envelope(1)}}, Chain: chain})
	},
	"DELIVER, second entry": func(l *link, log *logbook, _ *relay.Append) {
		d := log.deliver(7, 2, 3)
		d.Entries = append([]relay.Entry(nil), d.Entries...)
		d.Entries[1].Seq = math.MaxUint64
		l.send(d)
	},
	"GAP": func(l *link, _ *logbook, _ *relay.Append) {
		l.send(&relay.Gap{Attachment: 7, From: 2, To: beyond, Reason: relay.GapLost, After: far(beyond)})
	},
	"END": func(l *link, _ *logbook, _ *relay.Append) {
		l.send(&relay.End{Attachment: 7, Position: far(beyond)})
	},
}

// A seq that clients cannot store ends the session, wherever the relay names it,
// and none of it reaches the caller.
func TestSeqsFitSixtyThreeBits(t *testing.T) {
	for name, lie := range hugeSeqs {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, p *peer) {
				conn := p.dial()
				s, err := conn.Attach(queue, key("reader"), nil, 0).Result()
				if err != nil {
					t.Fatal(err)
				}
				_, err = conn.Append(queue, id(1), key("writer"), envelope(1)).Result()
				if !errors.Is(err, ErrDisconnected) || !errors.Is(err, ErrProtocol) {
					t.Errorf("the open request ended in %v", err)
				}
				for _, e := range collect(s) {
					if g, ok := e.(Gap); ok && g.To == math.MaxInt64-1 {
						continue // the last seq that there may be
					}
					if d, ok := e.(Delivery); !ok || len(d.Entries) != 1 || d.Entries[0].Position.Seq != 1 {
						t.Errorf("the caller was given %+v", e)
					}
				}
				if !errors.Is(s.Err(), ErrProtocol) || !errors.Is(conn.Err(), ErrProtocol) {
					t.Errorf("stream %v, session %v, want ErrProtocol", s.Err(), conn.Err())
				}
				conn.Close()
			}, func(l *link) {
				log := newLogbook(l.relayKey(), 3)
				l.attach(7, log.start, relay.Position{})
				l.send(log.deliver(7, 1, 1))
				l.proved()
				lie(l, log, next[*relay.Append](l))
				l.untilClosed()
			})
		})
	}
	for name, positions := range map[string][2]relay.Position{
		"ATTACHED, head":        {far(beyond), {}},
		"ATTACHED, last commit": {far(5), far(math.MaxUint64)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, p *peer) {
				conn := p.dial()
				if _, err := conn.Attach(queue, key("reader"), nil, 0).Result(); !errors.Is(err, ErrProtocol) {
					t.Errorf("ATTACH ended in %v", err)
				}
				<-conn.Done()
				conn.Close()
			}, func(l *link) {
				l.attach(7, positions[0], positions[1])
				l.untilClosed()
			})
		})
	}
}
