package relayserver

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// TestR37_DrainLosesNothingAccepted: writers pipeline while the server is told to go: each
// session ends with GOAWAY and CLOSE draining, every ACCEPTED is in the log after it is
// opened again, and what was not answered can be sent again.
func TestR37_DrainLosesNothingAccepted(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		dir := t.TempDir()
		s := open(t, dir, nil)
		h := listen(t, s)
		const writers = 4
		var clients [writers]*client
		var all [writers][][]relay.Frame
		for w := range writers {
			c, q := dial(t, h), queueID(200+byte(w))
			c.must(create(q))
			c.must(proveWrite(q, group))
			clients[w] = c
			for n := range 150 {
				var batch []relay.Frame
				for i := range 10 {
					batch = append(batch, c.sign(appendTo(q, group, envelope(512, byte(n*10+i)))))
				}
				all[w] = append(all[w], batch)
			}
		}
		var accepted [writers]map[uint64]byte
		started := make(chan struct{}, writers)
		var wg sync.WaitGroup
		for w, c := range clients {
			wg.Go(func() {
				for _, b := range all[w] {
					if c.s.WriteFrames(b...) != nil {
						return
					}
				}
			})
			wg.Go(func() { accepted[w] = untilClosed(t, c, all[w], started) })
		}
		<-started
		err := s.Shutdown(t.Context())
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		h2 := listen(t, open(t, dir, nil))
		for w, answers := range accepted {
			c, q := dial(t, h2), queueID(200+byte(w))
			a := c.attach(q, bob, nil, 1<<20)
			l := newLog(c, q)
			for l.seq < a.Head.Seq {
				l.take(event[*relay.Deliver](c))
				c.write(&relay.Ack{Attachment: a.Attachment, Seq: l.seq})
			}
			for seq, mark := range answers {
				if seq > l.seq || l.entries[seq-1].Envelope[0] != mark {
					t.Fatalf("writer %d: entry %d was accepted and is not in the log of %d", w, seq, l.seq)
				}
			}
			if uint64(len(answers)) != l.seq {
				t.Errorf("writer %d: %d accepted and %d in the log: what was read is answered", w, len(answers), l.seq)
			}
		}
	})
}

// untilClosed collects the accepted appends of batches, seq to first byte, and ends the session.
func untilClosed(t *testing.T, c *client, batches [][]relay.Frame, started chan<- struct{}) map[uint64]byte {
	marks := make(map[uint64]byte)
	for _, b := range batches {
		for _, f := range b {
			a := f.(*relay.Append)
			marks[a.Request] = a.Envelope[0]
		}
	}
	accepted := make(map[uint64]byte)
	defer func() {
		_ = c.s.Close() // the server waits for that
		if len(accepted) == 0 {
			started <- struct{}{} // whoever waits for the first would wait for ever
		}
	}()
	goAway := false
	for {
		f, err := c.s.ReadFrame()
		if err != nil {
			t.Errorf("the session ended without CLOSE: %v", err)
			return accepted
		}
		switch f := f.(type) {
		case *relay.Accepted:
			if accepted[f.Position.Seq] = marks[f.Request]; len(accepted) == 1 {
				started <- struct{}{}
			}
		case *relay.Refused:
			if f.Refusal.Code != relay.CodeDraining {
				t.Errorf("refused: %v", &f.Refusal)
			}
		case *relay.GoAway:
			goAway = true
		case *relay.Close:
			if f.Code != relay.CloseDraining || !goAway {
				t.Errorf("CLOSE %v, GOAWAY before it: %v", f.Code, goAway)
			}
			return accepted
		}
	}
}

// shutdown drains s while the test goes on. The function that it returns waits for the end; so
// does the test's own end, whichever way it comes.
func shutdown(t *testing.T, s *Server) (drained func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(wg.Wait)
	return wg.Wait
}

// TestDrainTellsReaders: an attached reader is detached, advised and closed; new sessions
// are refused.
func TestDrainTellsReaders(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		s := open(t, t.TempDir(), nil)
		h := listen(t, s)
		q := queueID(210)
		c := dial(t, h)
		c.must(create(q))
		a := c.attach(q, alice, nil, 1<<20)
		drained := shutdown(t, s)
		if d := event[*relay.Detached](c); d.Reason != relay.DetachDraining || d.Attachment != a.Attachment {
			t.Errorf("detached for reason %d", d.Reason)
		}
		if g := event[*relay.GoAway](c); g.Reconnect <= 0 {
			t.Error("no advice when to reconnect")
		}
		c.ended(relay.CloseDraining)
		drained()
		if _, err := tryDial(t, h); err == nil {
			t.Error("a session after the drain")
		}
	})
}

// TestShutdownCutsThoseWhoDoNotEnd: a peer that does not read does not hold up the end.
func TestShutdownCutsThoseWhoDoNotEnd(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	_, _, gone := dialPipe(t, s) // nobody reads GOAWAY from this pipe
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); err == nil {
		t.Error("a drain that was cut says that it was complete")
	}
	<-gone
}

// TestR37_DrainDoesNotWaitForPings: a client that only asks and asks, and never leaves, hears
// the end as soon as what it was owed is written.
func TestR37_DrainDoesNotWaitForPings(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		s := open(t, t.TempDir(), nil)
		c := dial(t, listen(t, s))
		var pings sync.WaitGroup
		pings.Go(func() {
			for c.s.WriteFrames(&relay.Ping{}, &relay.Ping{}) == nil {
			}
		})
		event[*relay.Pong](c)
		drained := shutdown(t, s)
		c.ended(relay.CloseDraining)
		_ = c.s.Close()
		drained()
		pings.Wait()
	})
}

// TestR37_LateRequestsHoldUpNothing: what came after the drain began is answered together with
// the end, not waited for.
func TestR37_LateRequestsHoldUpNothing(t *testing.T) {
	p := newPeer(open(t, t.TempDir(), nil), nil, netip.Prefix{})
	early, _ := p.inFlight.take(0)
	p.drain(time.Second)
	late, _ := p.inFlight.take(0)
	p.send(outgoing{frame: &relay.Pong{}, room: &late})
	drained := false
	for range 2 {
		if p.next(&drained).last {
			t.Fatal("the end, and a request that came in time is not answered")
		}
	}
	p.send(outgoing{frame: &relay.Pong{}, room: &early})
	answers := p.next(&drained)
	if len(answers.frames) != 1 || answers.last {
		t.Fatalf("%d frames, and the last is %v", len(answers.frames), answers.last)
	}
	p.inFlight.give(answers.room)
	p.send(outgoing{frame: &relay.Pong{}, room: &late})
	if end := p.next(&drained); !end.last || len(end.frames) != 2 {
		t.Errorf("the end is %d frames, last is %v", len(end.frames), end.last)
	}
}

// TestR37_ReconnectsArePaced: the clients of a relay are asked back over as long as it takes
// at the rate that it can bear, none of them at once.
func TestR37_ReconnectsArePaced(t *testing.T) {
	s := open(t, t.TempDir(), func(c *Config) { c.Limits.ReconnectsPerSecond = 100 })
	perSecond := make(map[time.Duration]int)
	for _, after := range s.advice(1000) {
		if after < time.Second || after > 13*time.Second {
			t.Errorf("a client is asked back after %v", after)
		}
		perSecond[after/time.Second]++
	}
	for second, n := range perSecond {
		if n > 200 {
			t.Errorf("%d clients in second %d", n, second)
		}
	}
	const sessions = 20
	h := listen(t, s)
	var all []*client
	for range sessions {
		c := dial(t, h)
		c.write(&relay.Ping{})
		event[*relay.Pong](c) // the server, too, is through with the handshake
		all = append(all, c)
	}
	drained := shutdown(t, s)
	told := make(map[time.Duration]bool)
	for _, c := range all {
		told[event[*relay.GoAway](c).Reconnect] = true
		c.ended(relay.CloseDraining)
	}
	if len(told) < sessions/2 {
		t.Errorf("%d clients are given %d different times", sessions, len(told))
	}
	drained()
}
