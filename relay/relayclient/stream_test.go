package relayclient

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/sealpost/sealpost/relay"
)

// relayKey is the public key of every peer.
func (l *link) relayKey() relay.RelayKey { return l.Binding().RelayKey }

// collect takes events until the channel closes.
func collect(s *Stream) (all []Event) {
	for e := range s.Events() {
		all = append(all, e)
	}
	return all
}

// fork is the same log with another third entry.
func fork(l *logbook) *logbook {
	f := *l
	f.entries, f.after = l.entries[:2:2], l.after[:2:2]
	f.add(relay.KindMessage, envelope(99))
	f.add(relay.KindMessage, envelope(3))
	return &f
}

// lies are what a relay may do to a log of five entries whose first two it has
// delivered.
var lies = map[string]struct {
	how Violation
	lie func(l *link, log *logbook)
}{
	"an entry is left out": {how: Skipped, lie: func(l *link, log *logbook) {
		l.send(log.deliver(7, 1, 2), log.deliver(7, 4, 4))
	}},
	"an entry is left out within a frame": {how: Skipped, lie: func(l *link, log *logbook) {
		l.send(log.deliver(7, 1, 2), &relay.Deliver{Attachment: 7, Entries: []relay.Entry{log.entries[2], log.entries[4]}})
	}},
	"an entry comes twice": {how: Skipped, lie: func(l *link, log *logbook) {
		l.send(log.deliver(7, 1, 2), log.deliver(7, 2, 3))
	}},
	"an envelope is forged": {how: Forged, lie: func(l *link, log *logbook) {
		d := log.deliver(7, 3, 4)
		d.Entries = append([]relay.Entry(nil), d.Entries...)
		d.Entries[0].Envelope = envelope(99)
		l.send(log.deliver(7, 1, 2), d)
	}},
	"a kind is forged": {how: Forged, lie: func(l *link, log *logbook) {
		d := log.deliver(7, 3, 4)
		d.Entries = append([]relay.Entry(nil), d.Entries...)
		d.Entries[0].Kind = relay.KindCommit
		l.send(log.deliver(7, 1, 2), d)
	}},
	"another log than the head promised": {how: Disowned, lie: func(l *link, log *logbook) {
		fork := fork(log)
		fork.add(relay.KindMessage, envelope(4))
		l.send(log.deliver(7, 1, 2), fork.deliver(7, 3, 5))
	}},
	"a gap begins too late": {how: Skipped, lie: func(l *link, log *logbook) {
		l.send(log.deliver(7, 1, 2), &relay.Gap{Attachment: 7, From: 4, To: 4, Reason: relay.GapExpired, After: log.at(4)})
	}},
	"a gap begins too early": {how: Skipped, lie: func(l *link, log *logbook) {
		l.send(log.deliver(7, 1, 2), &relay.Gap{Attachment: 7, From: 2, To: 4, Reason: relay.GapExpired, After: log.at(4)})
	}},
	"a gap hides a fork": {how: Disowned, lie: func(l *link, log *logbook) {
		after := log.at(5)
		after.Chain[0] ^= 1
		l.send(log.deliver(7, 1, 2), &relay.Gap{Attachment: 7, From: 3, To: 5, Reason: relay.GapExpired, After: after})
	}},
	"an incarnation changes without a loss": {how: Renamed, lie: func(l *link, log *logbook) {
		after := log.at(4)
		after.Incarnation[0] ^= 1
		l.send(log.deliver(7, 1, 2), &relay.Gap{Attachment: 7, From: 3, To: 4, Reason: relay.GapAcked, After: after})
	}},
	"the end comes early": {how: Skipped, lie: func(l *link, log *logbook) {
		l.send(log.deliver(7, 1, 2), &relay.End{Attachment: 7, Position: log.at(4)})
	}},
}

// A relay that lies about a log is caught at the frame in which it lies: the
// event is evidence, nothing of that frame is yielded, the attachment is given
// up, and the session goes on.
func TestLiesAreCaught(t *testing.T) {
	for name, c := range lies {
		t.Run(name, func(t *testing.T) {
			script := func(l *link) {
				log := newLogbook(l.relayKey(), 5)
				l.attach(7, log.head(), relay.Position{})
				c.lie(l, log)
				if d := next[*relay.Detach](l); d.Attachment != 7 {
					t.Errorf("DETACH of %d", d.Attachment)
				}
				l.send(log.deliver(7, 5, 5)) // crosses the DETACH and is passed over
				l.send(&relay.Detached{Attachment: 7, Reason: relay.DetachAsked})
				next[*relay.Ping](l)
			}
			bubble(t, func(t *testing.T, p *peer) {
				conn := p.dial()
				s, err := conn.Attach(queue, key("reader"), nil, 0).Result()
				if err != nil {
					t.Fatal(err)
				}
				all := collect(s)
				if len(all) != 2 {
					t.Fatalf("%d events, want the honest delivery and the evidence: %v", len(all), all)
				}
				if d, ok := all[0].(Delivery); !ok || len(d.Entries) != 2 {
					t.Errorf("first event %v", all[0])
				}
				evidence, ok := all[1].(*ChainBroken)
				if !ok || evidence.Violation != c.how {
					t.Fatalf("last event %v, want %v", all[1], c.how)
				}
				if !errors.Is(s.Err(), evidence) {
					t.Errorf("Err() = %v", s.Err())
				}
				if evidence.Verified.Seq != 2 || evidence.Expected == evidence.Got {
					t.Errorf("evidence %+v", evidence)
				}
				if conn.Err() != nil {
					t.Errorf("the session ended: %v", conn.Err())
				}
				<-conn.Done() // the script waits for a PING and ends
				conn.Close()
			}, script)
		})
	}
}

// A head behind the caller's position, or another chain at it, is evidence
// before anything is delivered.
func TestRollbackAtAttach(t *testing.T) {
	for name, head := range map[string]func(*logbook) relay.Position{
		"shorter": func(l *logbook) relay.Position { return l.at(2) },
		"other":   func(l *logbook) relay.Position { p := l.at(3); p.Chain[0] ^= 1; return p },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, p *peer) {
				conn := p.dial()
				pos := newLogbook(p.addr.Key, 3).head()
				_, err := conn.Attach(queue, key("reader"), &pos, 0).Result()
				if evidence, ok := errors.AsType[*ChainBroken](err); !ok || evidence.Violation != RolledBack || evidence.Verified != pos {
					t.Errorf("got %v", err)
				}
				conn.Close()
			}, func(l *link) {
				l.attach(7, head(newLogbook(l.relayKey(), 3)), relay.Position{})
				next[*relay.Detach](l)
			})
		})
	}
}

// What the relay answered to an APPEND must be what it delivers, whichever
// comes first.
func TestAnswersArePromises(t *testing.T) {
	for name, deliverFirst := range map[string]bool{"answer first": false, "delivery first": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, p *peer) {
				conn := p.dial()
				s, err := conn.Attach(queue, key("reader"), nil, 0).Result()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Append(queue, id(1), key("writer"), envelope(1)).Result(); err != nil {
					t.Fatal(err)
				}
				all := collect(s)
				if evidence, ok := all[len(all)-1].(*ChainBroken); !ok || evidence.Violation != Disowned {
					t.Errorf("got %v", all)
				}
				conn.Close()
			}, func(l *link) {
				shown, answered := newLogbook(l.relayKey(), 1), newLogbook(l.relayKey(), 0)
				l.attach(7, shown.start, relay.Position{})
				l.proved()
				m := next[*relay.Append](l)
				answer := &relay.Accepted{Request: m.Request, Position: answered.add(relay.KindMessage, m.Envelope)}
				if deliverFirst {
					l.send(shown.deliver(7, 1, 1), answer)
				} else {
					l.send(answer, shown.deliver(7, 1, 1))
				}
				next[*relay.Detach](l)
				_ = l.WriteFrames(&relay.Detached{Attachment: 7, Reason: relay.DetachAsked}) // the client may be gone by now
				l.untilClosed()
			})
		})
	}
}

// The honest case: resumed at a position, with a gap, a loss that changes the
// incarnation, the end and the relay's reason for ending it.
func TestStreamInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		log := newLogbook(p.addr.Key, 6)
		pos := log.at(1)
		s, err := conn.Attach(queue, key("reader"), &pos, 0).Result()
		if err != nil {
			t.Fatal(err)
		}
		s.Ack(1) // again, for an ACK that an earlier session lost
		if s.Head != log.head() || s.LastCommit != log.at(5) {
			t.Error("head or last commit differ")
		}
		all := collect(s)
		if len(all) != 7 {
			t.Fatalf("events %v", all)
		}
		d := all[0].(Delivery)
		for i, e := range d.Entries {
			if e.Position != log.at(uint64(i+2)) || e.Kind != relay.KindMessage || e.Envelope[7] != byte(i+1) {
				t.Errorf("entry %d: %+v", i, e)
			}
		}
		if g := all[1].(Gap); g.From != 4 || g.To != 4 || g.Reason != relay.GapQuota || g.Position != log.at(4) {
			t.Errorf("gap %+v", g)
		}
		if g := all[3].(Gap); g.Reason != relay.GapLost || g.Position.Incarnation == incarnation {
			t.Errorf("loss %+v", g)
		}
		if e := all[4].(Delivery).Entries[0]; e.Position.Seq != 101 || e.Position.Incarnation == incarnation {
			t.Errorf("after the loss: %+v", e.Position)
		}
		if last := all[6].(Detached); last.Reason != relay.DetachRemoved {
			t.Errorf("last event %+v", last)
		}
		if s.Err() != nil {
			t.Errorf("Err() = %v after Detached", s.Err())
		}
		conn.Close()
	}, func(l *link) {
		log := newLogbook(l.relayKey(), 6)
		l.attach(7, log.head(), log.at(5))
		l.send(log.deliver(7, 2, 3))
		l.send(&relay.Gap{Attachment: 7, From: 4, To: 4, Reason: relay.GapQuota, After: log.at(4)})
		l.send(log.deliver(7, 5, 5))
		lost := relay.Position{Incarnation: relay.Incarnation{7}, Seq: 100}
		lost.Chain = relay.ChainStart(l.relayKey(), queue, lost.Incarnation)
		l.send(&relay.Gap{Attachment: 7, From: 6, To: 100, Reason: relay.GapLost, After: lost})
		end := relay.Position{Incarnation: lost.Incarnation, Seq: 101, Chain: relay.ChainNext(lost.Chain, 101, relay.KindKnock, envelope(0))}
		l.send(&relay.Deliver{Attachment: 7, Entries: []relay.Entry{{Seq: 101, Kind: relay.KindKnock, Envelope: envelope(0)}}, Chain: end.Chain})
		l.send(&relay.End{Attachment: 7, Position: end})
		if a := next[*relay.Ack](l); a.Seq != 1 {
			t.Errorf("ACK of %d", a.Seq)
		}
		l.send(&relay.Detached{Attachment: 7, Reason: relay.DetachRemoved})
		l.untilClosed()
	})
}

// The window bounds what a stream holds, and ACKs, merged and never beyond what
// was yielded, open it.
func TestWindow(t *testing.T) {
	bubble(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		s, err := conn.Attach(queue, key("reader"), nil, 8*relay.MinEnvelope).Result()
		if err != nil {
			t.Fatal(err)
		}
		<-s.Events()
		s.Ack(1 << 60) // counts as 1, which is what was yielded
		s.Ack(1)       // nothing new
		<-conn.Done()
		if !errors.Is(conn.Err(), ErrProtocol) {
			t.Errorf("a flood ended in %v", conn.Err())
		}
		if n := len(collect(s)); n != 2 {
			t.Errorf("%d more events, want the two that the window and one frame allow", n)
		}
		if !errors.Is(s.Err(), ErrDisconnected) {
			t.Errorf("Err() = %v", s.Err())
		}
		conn.Close()
	}, func(l *link) {
		log := newLogbook(l.relayKey(), 1)
		for range 5 {
			log.add(relay.KindMessage, make([]byte, relay.MaxEnvelope))
		}
		l.attach(7, log.head(), relay.Position{})
		l.send(log.deliver(7, 1, 1))
		if a := next[*relay.Ack](l); a.Seq != 1 {
			t.Errorf("ACK of %d, want what was yielded", a.Seq)
		}
		l.send(log.deliver(7, 2, 2), log.deliver(7, 3, 3))
		l.WriteFrames(log.deliver(7, 4, 4))
		l.untilClosed()
	})
}

func TestDetach(t *testing.T) {
	bubble(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		s, err := conn.Attach(queue, key("reader"), nil, 0).Result()
		if err != nil {
			t.Fatal(err)
		}
		<-s.Events()
		s.Ack(1)
		s.Detach()
		s.Detach()
		all := collect(s)
		if len(all) != 1 || all[0] != (Detached{Reason: relay.DetachAsked}) {
			t.Errorf("after Detach: %v", all)
		}
		s.Ack(1)
		s.Detach()
		synctest.Wait()
		conn.Close()
	}, func(l *link) {
		log := newLogbook(l.relayKey(), 2)
		l.attach(7, log.head(), relay.Position{})
		l.send(log.deliver(7, 1, 1))
		if f, _ := l.ReadFrame(); f != nil && f.Type() == relay.TypeAck {
			next[*relay.Detach](l)
		}
		l.send(log.deliver(7, 2, 2), &relay.Detached{Attachment: 7, Reason: relay.DetachAsked})
		if f, err := l.ReadFrame(); err == nil {
			t.Errorf("after DETACHED the client sent %T", f)
		}
	})
}
