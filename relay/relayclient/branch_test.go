package relayclient

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/webtransport-go"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// branched runs test over WebTransport, the one transport with branches.
func branched(t *testing.T, test func(t *testing.T, p *peer), scripts ...func(*link)) {
	bubbleOf(t, []Transport{WebTransport}, test, scripts...)
}

// twig is the peer's end of a branch.
type twig struct {
	*session.Session
	stream *webtransport.SendStream
}

type sendOnly struct{ *webtransport.SendStream }

func (sendOnly) Read([]byte) (int, error) { return 0, io.EOF }

var (
	branchName = [16]byte{4, 4}
	branchKey  = relay.StreamKey{7, 7}
)

// open begins a stream for a branch.
func (l *link) open(name []byte, key relay.StreamKey) twig {
	s, err := l.branches.OpenUniStream()
	if err == nil {
		_, err = s.Write(name)
	}
	if err != nil {
		l.t.Errorf("opening a branch: %v", err)
	}
	return twig{l.Send(sendOnly{s}, key), s}
}

func (b twig) send(frames ...relay.Frame) { _ = b.WriteFrames(frames...) }

// grow answers an ATTACH with a branch.
func (l *link) grow(attachment uint64, head relay.Position) twig {
	l.proved()
	f := next[*relay.Attach](l)
	l.send(&relay.Attached{Request: f.Request, Attachment: attachment, Head: head},
		&relay.Stream{Attachment: attachment, Name: branchName, Key: branchKey})
	return l.open(branchName[:], branchKey)
}

// An attachment's frames come on a branch, verified as always, whichever of STREAM and the
// stream is first, while the session's own stream goes on; after DETACHED the session lives.
func TestBranch(t *testing.T) {
	for _, early := range []bool{false, true} {
		branched(t, func(t *testing.T, p *peer) {
			conn := p.dial()
			s, err := conn.Attach(queue, key("reader"), nil, 0).Result()
			if err != nil {
				t.Fatal(err)
			}
			all := collect(s)
			if len(all) != 4 || all[3] != (Detached{Reason: relay.DetachAsked}) {
				t.Fatalf("events %v", all)
			}
			if entries := append(all[0].(Delivery).Entries, all[2].(Delivery).Entries...); len(entries) != 3 || entries[2].Position.Seq != 3 {
				t.Errorf("entries %v", entries)
			}
			if _, ok := all[1].(Signalled); !ok {
				t.Errorf("event %T", all[1])
			}
			if _, err := conn.Append(queue, id(1), key("writer"), envelope(0)).Result(); err != nil {
				t.Errorf("the session ended with the branch: %v", err)
			}
			// The name is free again, and so is its place.
			if s, err = conn.Attach(queue, key("reader"), nil, 0).Result(); err != nil {
				t.Fatal(err)
			}
			if all := collect(s); len(all) != 1 || conn.Err() != nil {
				t.Errorf("events %v, %v", all, conn.Err())
			}
			conn.Close()
		}, func(l *link) {
			if !l.Takes(session.FeatureStreams) {
				t.Error("the client does not say that it takes branches")
			}
			log := newLogbook(l.relayKey(), 3)
			l.proved()
			f := next[*relay.Attach](l)
			attached := []relay.Frame{
				&relay.Attached{Request: f.Request, Attachment: 7, Head: log.head()},
				&relay.Stream{Attachment: 7, Name: branchName, Key: branchKey},
			}
			var b twig
			if early {
				b = l.open(branchName[:], branchKey)
				b.send(log.deliver(7, 1, 2))
				<-time.After(branchWithin / 2)
				l.send(attached...)
			} else {
				l.send(attached...)
				<-time.After(branchWithin / 2)
				b = l.open(branchName[:], branchKey)
				b.send(log.deliver(7, 1, 2))
			}
			b.send(&relay.Signalled{Attachment: 7})
			b.send(log.deliver(7, 3, 3), &relay.Detached{Attachment: 7, Reason: relay.DetachAsked})
			b.stream.Close()
			l.proved()
			l.send(&relay.Accepted{Request: next[*relay.Append](l).Request, Position: log.head()})
			f = next[*relay.Attach](l)
			l.send(&relay.Attached{Request: f.Request, Attachment: 8, Head: log.head()},
				&relay.Stream{Attachment: 8, Name: branchName, Key: branchKey})
			b = l.open(branchName[:], branchKey)
			b.send(&relay.Detached{Attachment: 8, Reason: relay.DetachAsked})
			b.stream.Close()
			l.untilClosed()
		})
	}
}

// A long backlog that crawls does not hold up the answers of the session's own stream, and its
// bytes are signs of life.
func TestBranchBeside(t *testing.T) {
	branched(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		s, err := conn.Attach(queue, key("reader"), nil, 0).Result()
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if _, err := conn.Append(queue, id(uint64(i)), key("writer"), envelope(0)).Result(); err != nil {
				t.Fatal(err)
			}
		}
		if len(s.Events()) != 0 {
			t.Error("nothing was shown of the backlog's slowness")
		}
		for range 10 {
			if _, open := <-s.Events(); !open {
				t.Fatalf("the session ended: %v", s.Err())
			}
		}
		conn.Close()
	}, func(l *link) {
		log := newLogbook(l.relayKey(), 10)
		b := l.grow(7, log.head())
		go func() {
			for seq := range uint64(10) {
				<-time.After(probeFor - 3*time.Second)
				b.send(log.deliver(7, seq+1, seq+1))
			}
		}()
		l.proved()
		for range 10 {
			l.send(&relay.Accepted{Request: next[*relay.Append](l).Request})
		}
		l.untilClosed() // and without any PONG
	})
}

// stream is the STREAM of an attachment.
func stream(attachment uint64) *relay.Stream {
	return &relay.Stream{Attachment: attachment, Name: branchName, Key: branchKey}
}

// violations are what goes wrong with branches, and how the session ends.
var violations = map[string]struct {
	want error
	do   func(l *link, log *logbook)
}{
	"STREAM of no attachment": {ErrProtocol, func(l *link, log *logbook) {
		l.attach(7, log.head(), relay.Position{})
		l.send(stream(8))
	}},
	"STREAM without ATTACHED": {ErrProtocol, func(l *link, log *logbook) {
		l.proved()
		next[*relay.Attach](l)
		l.send(stream(7))
	}},
	"STREAM not directly after ATTACHED": {ErrProtocol, func(l *link, log *logbook) {
		l.attach(7, log.head(), relay.Position{})
		l.send(&relay.Pong{}, stream(7))
	}},
	"STREAM twice": {ErrProtocol, func(l *link, log *logbook) {
		l.grow(7, log.head())
		l.send(stream(7))
	}},
	"the stream never comes": {ErrTimeout, func(l *link, log *logbook) {
		l.attach(7, log.head(), relay.Position{})
		l.send(stream(7))
	}},
	"the stream has another name": {ErrTimeout, func(l *link, log *logbook) {
		l.attach(7, log.head(), relay.Position{})
		l.send(stream(7))
		<-time.After(time.Second)
		l.open(make([]byte, 16), branchKey)
	}},
	"a stream that nobody names": {ErrProtocol, func(l *link, log *logbook) {
		l.attach(7, log.head(), relay.Position{})
		l.open(make([]byte, 16), branchKey)
	}},
	"a stream without a name": {ErrProtocol, func(l *link, log *logbook) {
		l.attach(7, log.head(), relay.Position{})
		l.open(make([]byte, 15), branchKey)
	}},
	"a stream with half a name": {ErrProtocol, func(l *link, log *logbook) {
		l.attach(7, log.head(), relay.Position{})
		l.open(make([]byte, 8), branchKey).stream.Close()
	}},
	"a delivery beside the branch": {ErrProtocol, func(l *link, log *logbook) {
		l.grow(7, log.head())
		l.send(log.deliver(7, 1, 1))
	}},
	"DETACHED beside the branch": {ErrProtocol, func(l *link, log *logbook) {
		l.grow(7, log.head())
		l.send(&relay.Detached{Attachment: 7})
	}},
	"another attachment's frame on the branch": {ErrProtocol, func(l *link, log *logbook) {
		l.grow(7, log.head()).send(log.deliver(8, 1, 1))
	}},
	"an answer on the branch": {ErrProtocol, func(l *link, log *logbook) {
		l.grow(7, log.head()).send(&relay.Proved{Request: 1})
	}},
	"a PONG on the branch": {ErrProtocol, func(l *link, log *logbook) {
		l.grow(7, log.head()).send(&relay.Pong{})
	}},
	"the branch ends early": {ErrProtocol, func(l *link, log *logbook) {
		l.grow(7, log.head()).stream.Close()
	}},
	"the branch is reset": {nil, func(l *link, log *logbook) {
		l.grow(7, log.head()).stream.CancelWrite(1)
	}},
	"a record that does not open": {ErrProtocol, func(l *link, log *logbook) {
		l.grow(7, log.head()).stream.Write(make([]byte, 100))
	}},
	"the branch is sealed with another key": {ErrProtocol, func(l *link, log *logbook) {
		l.attach(7, log.head(), relay.Position{})
		l.send(stream(7))
		l.open(branchName[:], relay.StreamKey{}).send(log.deliver(7, 1, 1))
	}},
	"the branch is replayed beside itself": {ErrProtocol, func(l *link, log *logbook) {
		l.grow(7, log.head())
		l.open(branchName[:], branchKey)
	}},
	"the branch is replayed after its end": {ErrProtocol, func(l *link, log *logbook) {
		l.grow(7, log.head()).send(&relay.Detached{Attachment: 7})
		<-time.After(time.Second)
		l.open(branchName[:], branchKey).send(&relay.Detached{Attachment: 7})
	}},
	"a seq above all": {ErrProtocol, func(l *link, log *logbook) {
		l.grow(7, log.head()).send(&relay.End{Attachment: 7, Position: relay.Position{Seq: 1 << 63}})
	}},
}

// ATTACKS Q09: whatever a relay, or whoever carries its streams, does wrong with branches ends
// the session, and nothing of it reaches the caller.
func TestQ09_BranchViolations(t *testing.T) {
	for name, c := range violations {
		t.Run(name, func(t *testing.T) {
			branched(t, func(t *testing.T, p *peer) {
				conn := p.dial()
				start := time.Now()
				attaching := conn.Attach(queue, key("reader"), nil, 0)
				<-conn.Done()
				if s, err := attaching.Result(); err == nil {
					for _, e := range collect(s) {
						if _, detached := e.(Detached); !detached {
							t.Errorf("event %T", e)
						}
					}
				}
				if d := time.Since(start); d > branchWithin+3*time.Second {
					t.Errorf("it lived %v", d)
				}
				if c.want == nil && errors.Is(conn.Err(), ErrClosed) || c.want != nil && !errors.Is(conn.Err(), c.want) {
					t.Errorf("ended by %v, want %v", conn.Err(), c.want)
				}
				conn.Close()
				synctest.Wait()
			}, func(l *link) {
				c.do(l, newLogbook(l.relayKey(), 3))
				l.untilClosed()
			})
		})
	}
}

// Over a transport without streams STREAM is no frame of the relay's.
func TestBranchOverWebSocket(t *testing.T) {
	bubble(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		conn.Attach(queue, key("reader"), nil, 0)
		<-conn.Done()
		if !errors.Is(conn.Err(), ErrProtocol) {
			t.Errorf("ended by %v", conn.Err())
		}
		conn.Close()
	}, func(l *link) {
		if l.Takes(session.FeatureStreams) {
			t.Error("the client takes branches over a WebSocket")
		}
		l.attach(7, relay.Position{}, relay.Position{})
		l.send(&relay.Stream{Attachment: 7, Name: branchName, Key: branchKey})
		l.untilClosed()
	})
}

// Closing and being cut off end every branch with the session, with its reason.
func TestBranchEndsWithSession(t *testing.T) {
	for _, closed := range []bool{false, true} {
		branched(t, func(t *testing.T, p *peer) {
			conn := p.dial()
			s, err := conn.Attach(queue, key("reader"), nil, 0).Result()
			if err != nil {
				t.Fatal(err)
			}
			<-s.Events()
			if closed {
				conn.Close()
			}
			<-conn.Done()
			code, ok := errors.AsType[*CloseError](conn.Err())
			if closed && !errors.Is(conn.Err(), ErrClosed) || !closed && (!ok || code.Code != relay.CloseDraining) {
				t.Errorf("ended by %v", conn.Err())
			}
			if _, open := <-s.Events(); open || !errors.Is(s.Err(), ErrDisconnected) {
				t.Errorf("the stream ended with %v", s.Err())
			}
			conn.Close()
		}, func(l *link) {
			log := newLogbook(l.relayKey(), 3)
			b := l.grow(7, log.head())
			b.send(log.deliver(7, 1, 1))
			if !closed {
				b.stream.CancelWrite(0) // what is lost is there before the reason
				<-time.After(closeTimeout / 2)
				l.send(&relay.Close{Code: relay.CloseDraining})
			}
			l.untilClosed()
		})
	}
}
