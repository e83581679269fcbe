package relayclient

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// Four writers pipeline thousands of APPENDs: one PROVE for each key, never
// more in flight than the relay reads, each Call resolved with its own answer.
func TestThousandsPipelined(t *testing.T) {
	const writers, each = 4, 1500
	most, proofs := 0, 0
	over(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		most, proofs = 0, 0
		start := time.Now()
		var wg sync.WaitGroup
		var mu sync.Mutex
		seen := map[uint64]bool{}
		for w := range writers {
			wg.Go(func() {
				writer := key(string(rune('a' + w)))
				calls := make([]*Call, 0, each)
				for i := range each {
					calls = append(calls, conn.Append(queue, id(uint64(w*each+i)), writer, envelope(uint64(i))))
				}
				last := uint64(0)
				for _, call := range calls {
					pos, err := call.Result()
					if err != nil {
						t.Error(err)
						return
					}
					if pos.Seq <= last {
						t.Errorf("a writer's order was lost: %d after %d", pos.Seq, last)
					}
					last = pos.Seq
					mu.Lock()
					if seen[pos.Seq] {
						t.Errorf("seq %d answered twice", pos.Seq)
					}
					seen[pos.Seq] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d != 0 && conn.Transport() != WebTransport { // QUIC has a pace of its own
			t.Errorf("the writer slept for %v beside waiting requests", d)
		}
		conn.Close()
		if proofs != writers {
			t.Errorf("%d PROVEs, want one for each of %d keys", proofs, writers)
		}
		if most > maxInFlight {
			t.Errorf("%d requests in flight, over %d", most, maxInFlight)
		}
	}, func(l *link) {
		log := newLogbook(l.relayKey(), 0)
		var held []relay.Frame
		for done := 0; done < writers*each+writers; {
			f, err := l.ReadFrame()
			if err != nil {
				t.Error(err)
				return
			}
			switch f := f.(type) {
			case *relay.Prove:
				proofs++
				held = append(held, &relay.Proved{Request: f.Request})
			case *relay.Append:
				held = append(held, &relay.Accepted{Request: f.Request, Position: log.add(relay.KindMessage, f.Envelope)})
			}
			most = max(most, len(held))
			// Answered only when the client would otherwise wait for ever.
			if len(held) == maxInFlight || done+len(held) == writers*each+writers {
				done += len(held)
				l.send(held...)
				held = nil
			}
		}
		l.untilClosed()
	})
}

// A caller that is faster than the relay waits, and Close lets it go.
func TestBackpressure(t *testing.T) {
	over(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		sent := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ; sent < 100_000; sent++ {
				call := conn.Append(queue, id(uint64(sent)), key("writer"), envelope(0))
				select {
				case <-call.Done():
					return
				default:
				}
			}
		}()
		synctest.Wait()
		if sent < maxInFlight || sent > maxInFlight+maxWaiting {
			t.Errorf("%d calls were taken without an answer", sent)
		}
		conn.Close()
		<-done
	}, (*link).untilClosed)
}

func TestRefusals(t *testing.T) {
	head := relay.Position{Seq: 5}
	over(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		_, err := conn.Append(queue, id(1), key("writer"), envelope(0)).Result()
		if !errors.Is(err, relay.ErrBadProof) {
			t.Errorf("an APPEND after a refused proof: %v", err)
		}
		_, err = conn.Attach(queue, key("reader"), nil, 0).Result()
		if !errors.Is(err, relay.ErrRollback) {
			t.Errorf("ATTACH: %v", err)
		}
		_, err = conn.Commit(CommitParams{Queue: queue, ID: id(2), Reader: key("reader"), Envelope: envelope(1)}).Result()
		if r, ok := errors.AsType[*relay.Refusal](err); !ok || r.Code != relay.CodeConflict || *r.Position != head {
			t.Errorf("COMMIT: %v", err)
		}
		// What the relay would refuse without looking is not sent.
		if _, err := conn.Append(queue, id(3), key("writer"), make([]byte, 1<<20)).Result(); !errors.Is(err, relay.ErrTooLarge) {
			t.Errorf("too large: %v", err)
		}
		if _, err := conn.Append(queue, id(3), key("writer"), make([]byte, 513)).Result(); !errors.Is(err, relay.ErrMalformed) {
			t.Errorf("malformed: %v", err)
		}
		conn.Close()
	}, func(l *link) {
		prove := next[*relay.Prove](l)
		m := next[*relay.Append](l)
		l.send(&relay.Refused{Request: prove.Request, Refusal: relay.Refusal{Code: relay.CodeBadProof}},
			&relay.Refused{Request: m.Request, Refusal: relay.Refusal{Code: relay.CodeUnknown}})
		l.proved()
		a := next[*relay.Attach](l)
		l.send(&relay.Refused{Request: a.Request, Refusal: relay.Refusal{Code: relay.CodeRollback, Position: &head}})
		c := next[*relay.Commit](l)
		l.send(&relay.Refused{Request: c.Request, Refusal: relay.Refusal{Code: relay.CodeConflict, Position: &head}})
		l.untilClosed()
	})
}

// Every kind of mutation arrives signed for this session.
func TestMutationsAreSigned(t *testing.T) {
	admin, reader, ticket := key("admin"), key("reader"), key("ticket")
	over(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		leave, err := SignLeave(p.addr.Key, queue, reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []*Call{
			conn.Create(CreateParams{Queue: queue, ID: id(1), Admin: admin, Admins: []relay.PublicKey{public(admin)}, Readers: []relay.PublicKey{public(reader)}}),
			conn.Configure(queue, id(2), admin, relay.AddReader{Key: public(ticket)}),
			conn.Commit(CommitParams{Queue: queue, ID: id(3), Reader: reader, Envelope: envelope(0),
				Admins: &AdminChange{Admins: []relay.PublicKey{public(admin)}, Admin: admin}}),
			conn.Leave(queue, id(4), public(reader), leave),
			conn.Rekey(queue, id(5), ticket, reader),
			conn.Knock(queue, id(6), reader, relay.ClassKnock, envelope(0)),
			conn.Delete(queue, id(7), admin),
		} {
			if _, err := call.Result(); err != nil {
				t.Error(err)
			}
		}
		if _, err := conn.AppendNamed(queue, id(8), key("writer"), reader, envelope(0)).Result(); err != nil {
			t.Error(err)
		}
		conn.Close()
	}, func(l *link) {
		for range 7 {
			m := next[relay.Mutation](l)
			if err := m.Verify(l.Binding()); err != nil {
				t.Errorf("%T: %v", m, err)
			}
			l.send(&relay.Accepted{Request: m.RequestNumber(), Position: relay.Position{Seq: 1}})
		}
		if w, r := l.proved(), l.proved(); w.Purpose != relay.ProveWrite || r.Purpose != relay.ProveRead {
			t.Error("named writing needs a proof to write and one to read")
		}
		m := next[*relay.Append](l)
		l.send(&relay.Accepted{Request: m.Request})
		l.untilClosed()
	})
}

// The reply to an APPEND is lost with its session; the caller learns that the
// outcome is unknown, repeats it over another one, and hears the first answer.
func TestQ05_LostReplyOverANewSession(t *testing.T) {
	var log *logbook
	var digest relay.Hash
	over(t, func(t *testing.T, p *peer) {
		first := p.dial()
		_, err := first.Append(queue, id(1), key("writer"), envelope(0)).Result()
		if !errors.Is(err, ErrDisconnected) {
			t.Fatalf("a lost reply: %v", err)
		}
		if _, refused := errors.AsType[*relay.Refusal](err); refused {
			t.Error("an unknown outcome looks like a refusal")
		}
		if _, err := first.Append(queue, id(2), key("writer"), envelope(0)).Result(); !errors.Is(err, ErrDisconnected) {
			t.Errorf("on an ended Conn: %v", err)
		}
		first.Close()
		second := p.dial()
		pos, err := second.Append(queue, id(1), key("writer"), envelope(0)).Result()
		if err != nil || pos != log.at(1) {
			t.Errorf("the retry got %v, %v", pos, err)
		}
		second.Close()
	}, func(l *link) {
		log = newLogbook(l.relayKey(), 0)
		l.proved()
		m := next[*relay.Append](l)
		digest = m.Digest()
		log.add(relay.KindMessage, m.Envelope)
	}, func(l *link) {
		l.proved()
		m := next[*relay.Append](l)
		if m.Digest() != digest || m.ID != id(1) {
			t.Error("the retry differs from the first attempt")
		}
		l.send(&relay.Accepted{Request: m.Request, Position: log.at(1)})
		l.untilClosed()
	})
}

func TestSupersededAndGoAway(t *testing.T) {
	over(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		s, err := conn.Attach(queue, key("reader"), nil, 0).Result()
		if err != nil {
			t.Fatal(err)
		}
		if all := collect(s); len(all) != 1 || all[0] != (Detached{Reason: relay.DetachSuperseded}) {
			t.Errorf("events %v", all)
		}
		if advice := <-conn.GoAway(); advice != 1500*time.Millisecond {
			t.Errorf("advice %v", advice)
		}
		<-conn.Done()
		if e, ok := errors.AsType[*CloseError](conn.Err()); !ok || e.Code != relay.CloseDraining {
			t.Errorf("ended by %v", conn.Err())
		}
		conn.Close()
		if _, ok := errors.AsType[*CloseError](conn.Err()); !ok {
			t.Errorf("Close replaced the reason by %v", conn.Err())
		}
	}, func(l *link) {
		l.attach(7, relay.Position{}, relay.Position{})
		l.send(&relay.Detached{Attachment: 7, Reason: relay.DetachSuperseded}, &relay.GoAway{Reconnect: 1500 * time.Millisecond},
			&relay.GoAway{Reconnect: time.Hour}, &relay.Close{Code: relay.CloseDraining})
		l.untilClosed()
	})
}

// Whatever a relay may not say ends the session, and every Call with it.
func TestProtocolViolations(t *testing.T) {
	for name, bad := range map[string]relay.Frame{
		"an answer to nothing":     &relay.Accepted{Request: 77},
		"a PROVED for an APPEND":   &relay.Proved{Request: 2},
		"an ATTACHED for a PROVE":  &relay.Attached{Request: 1},
		"entries of no attachment": &relay.Deliver{Attachment: 5, Entries: []relay.Entry{{Seq: 1, Envelope: envelope(0)}}},
		"DETACHED of none":         &relay.Detached{Attachment: 5, Reason: relay.DetachAsked},
		"a client's frame":         &relay.Ping{},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, p *peer) {
				conn := p.dial()
				_, err := conn.Append(queue, id(1), key("writer"), envelope(0)).Result()
				<-conn.Done()
				if !errors.Is(err, ErrDisconnected) || !errors.Is(err, ErrProtocol) || !errors.Is(conn.Err(), ErrProtocol) {
					t.Errorf("call %v, conn %v", err, conn.Err())
				}
				conn.Close()
			}, func(l *link) {
				next[*relay.Prove](l)
				next[*relay.Append](l)
				l.send(bad)
				l.untilClosed()
			})
		})
	}
}

// A silent session is kept alive by PINGs and given up when they stay without
// an answer; nothing of it is left.
func TestKeepAlive(t *testing.T) {
	over(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		call := conn.Append(queue, id(1), key("writer"), envelope(0))
		start := time.Now()
		<-conn.Done()
		from, to := 10*pingEvery+deadAfter, 10*pingEvery+deadAfter
		if conn.Transport() == WebTransport { // a request waits, so it asks more often
			from, to = 10*probeAfter+probeFor, 14*probeAfter+probeFor
		}
		if lived := time.Since(start); lived < from || lived > to {
			t.Errorf("it lived %v", lived)
		}
		if !errors.Is(conn.Err(), ErrTimeout) {
			t.Errorf("ended by %v", conn.Err())
		}
		if _, err := call.Result(); !errors.Is(err, ErrDisconnected) || !errors.Is(err, ErrTimeout) {
			t.Errorf("the call: %v", err)
		}
		conn.Close()
	}, func(l *link) {
		next[*relay.Prove](l)
		next[*relay.Append](l)
		for range 10 {
			l.send(&relay.Pong{Value: next[*relay.Ping](l).Value})
		}
		l.untilClosed()
	})
}

// A peer that stops reading holds a writer for 30 seconds, no longer.
func TestStalledWrite(t *testing.T) {
	for _, kind := range []Transport{WebTransport, WebSocket} { // of long polling: TestPollStalls
		t.Run(kind.String(), func(t *testing.T) {
			bubbleOf(t, []Transport{kind}, func(t *testing.T, p *peer) {
				conn := p.dial()
				start := time.Now()
				var last *Call
				for i := range 8 { // more than QUIC takes ahead of its reader
					last = conn.Append(queue, id(uint64(i)), key("writer"), make([]byte, relay.MaxEnvelope))
				}
				_, err := last.Result()
				if d := time.Since(start); !errors.Is(err, ErrTimeout) || d < writeTimeout || d > writeTimeout+5*time.Second {
					t.Errorf("after %v: %v", d, err)
				}
				conn.Close()
			}, func(l *link) {
				<-time.After(time.Minute) // of the bubble; nothing is read
			})
		})
	}
}

// Close sends what is queued, ACKs above all, also when the writer has not
// begun to.
func TestCloseSendsAcks(t *testing.T) {
	acked := 0
	over(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		s, err := conn.Attach(queue, key("reader"), nil, 0).Result()
		if err != nil {
			t.Fatal(err)
		}
		<-s.Events()
		s.acked, s.ackDue = 1, true
		conn.mu.Lock()
		conn.acks[s] = struct{}{} // Ack, at the moment before it wakes the writer
		conn.mu.Unlock()
		conn.Close()
		conn.Close()
		if _, open := <-s.Events(); open || !errors.Is(s.Err(), ErrClosed) || !errors.Is(conn.Err(), ErrClosed) {
			t.Errorf("stream %v, conn %v", s.Err(), conn.Err())
		}
	}, func(l *link) {
		log := newLogbook(l.relayKey(), 1)
		l.attach(7, log.head(), relay.Position{})
		l.send(log.deliver(7, 1, 1))
		if next[*relay.Ack](l).Seq == 1 {
			acked++
		}
		l.untilClosed()
	})
	if acked != len(all) {
		t.Errorf("%d of %d ACKs were sent", acked, len(all))
	}
}

// Close waits no longer than a second for a peer that does not read.
func TestCloseEnds(t *testing.T) {
	over(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		call := conn.Append(queue, id(1), key("writer"), make([]byte, relay.MaxEnvelope))
		start := time.Now()
		conn.Close()
		if d := time.Since(start); d > closeTimeout {
			t.Errorf("Close took %v", d)
		}
		if _, err := call.Result(); !errors.Is(err, ErrDisconnected) {
			t.Errorf("the call: %v", err)
		}
	}, func(l *link) {
		<-time.After(time.Minute) // of the bubble; nothing is read
	})
}

// The tap sees the frames of both directions as they are under Noise.
func TestFrameTap(t *testing.T) {
	var mu sync.Mutex
	var got []relay.FrameType
	over(t, func(t *testing.T, p *peer) {
		p.opt.FrameTap = func(sent bool, frame []byte) {
			f, err := relay.ParseFrame(frame[4:])
			if err != nil || sent != f.Type().FromClient() {
				t.Errorf("tapped %x, sent %v: %v", frame[:5], sent, err)
				return
			}
			mu.Lock()
			got = append(got, f.Type())
			mu.Unlock()
		}
		got = nil
		conn := p.dial()
		conn.Append(queue, id(1), key("writer"), envelope(0)).Wait(context.Background())
		conn.Close()
		if len(got) != 4 {
			t.Errorf("the tap saw %x", got)
		}
	}, func(l *link) {
		l.proved()
		l.send(&relay.Accepted{Request: next[*relay.Append](l).Request})
		l.untilClosed()
	})
}

// A session over UDP that waits for nothing notices by its PINGs that nobody is there, sooner
// than the others: no reset comes, and the race finds another way.
func TestSilentUDP(t *testing.T) {
	bubbleOf(t, []Transport{WebTransport}, func(t *testing.T, p *peer) {
		conn := p.dial()
		start := time.Now()
		<-conn.Done()
		if d := time.Since(start); !errors.Is(conn.Err(), ErrTimeout) || d < 2*udpPingEvery+probeFor || d > 2*udpPingEvery+probeFor+3*probeAfter {
			t.Errorf("after %v: %v", d, conn.Err())
		}
		conn.Close()
	}, func(l *link) {
		l.send(&relay.Pong{Value: next[*relay.Ping](l).Value})
		l.untilClosed()
	})
}
