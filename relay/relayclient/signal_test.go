package relayclient

import (
	"testing"
	"testing/synctest"

	"github.com/sealpost/sealpost/relay"
)

func sealedSignal(n byte) (s [relay.SignalSize]byte) {
	s[0] = n
	return s
}

// TestSignalsYieldToTheLog: signals go both ways; a flood of them costs the log nothing, and
// a caller that is behind gets the log whole and few signals.
func TestSignalsYieldToTheLog(t *testing.T) {
	bubble(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		s, err := conn.Attach(queue, key("reader"), nil, 0).Result()
		if err != nil {
			t.Fatal(err)
		}
		s.Signal(sealedSignal(1))
		synctest.Wait() // the peer has answered, and nobody has read
		var signals, entries int
		for e := range s.Events() {
			switch e := e.(type) {
			case Signalled:
				if signals == 0 && e.Sealed != sealedSignal(0) {
					t.Errorf("the first signal is another")
				}
				signals++
			case Delivery:
				entries += len(e.Entries)
			}
			if entries == 2 {
				break
			}
		}
		if signals == 0 || signals > maxSignalsQueued || entries != 2 {
			t.Errorf("%d signals, %d entries", signals, entries)
		}
		conn.Close()
	}, func(l *link) {
		log := newLogbook(l.relayKey(), 2)
		l.attach(7, log.head(), relay.Position{})
		if f := next[*relay.Signal](l); f.Attachment != 7 || f.Sealed != sealedSignal(1) {
			t.Errorf("SIGNAL %v", f.Attachment)
		}
		for i := range 10_000 {
			l.send(&relay.Signalled{Attachment: 7, Sealed: sealedSignal(byte(i))})
		}
		l.send(log.deliver(7, 1, 2))
		l.untilClosed()
	})
}

// TestSignalForNoAttachment: it ends the session, as any frame for a stranger does.
func TestSignalForNoAttachment(t *testing.T) {
	bubble(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		<-conn.Done()
		conn.Close()
	}, func(l *link) {
		l.send(&relay.Signalled{Attachment: 7})
		l.untilClosed()
	})
}
