package relayserver

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/quic-go/quic-go"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// largeBacklog makes q with a backlog of one small, one of the largest and then small entries,
// and returns the position of the first.
func (c *client) largeBacklog(q relay.QueueID, then int) (first relay.Position) {
	c.t.Helper()
	c.must(create(q))
	c.must(proveWrite(q, group))
	first = c.must(appendTo(q, group, envelope(512, 0)))
	c.must(appendTo(q, group, envelope(relay.MaxEnvelope, 1)))
	for range then {
		c.must(appendTo(q, group, envelope(512, 2)))
	}
	return first
}

// TestR09_LargeEntriesOnUnreadBranches: a client that leaves all its branches unread has the
// server hold one of the largest entries, not one for each; those who read get all of it.
func TestR09_LargeEntriesOnUnreadBranches(t *testing.T) {
	certificate()
	synctest.Test(t, func(t *testing.T) {
		s := openHere(t)
		wt := webTransportTo(t, s, &quic.Config{
			InitialStreamReceiveWindow: 16 << 10, MaxStreamReceiveWindow: 16 << 10,
			InitialConnectionReceiveWindow: 1 << 20, MaxConnectionReceiveWindow: 1 << 20,
		})
		c := sessionOn(t, wt, session.FeatureStreams)
		const branches = 8
		streams := make(map[[16]byte]*relay.Stream)
		logs := make(map[[16]byte]*log)
		for n := range byte(branches) {
			q := queueID(50 + n)
			first := c.largeBacklog(q, branchBacklog)
			c.attach(q, alice, &first, 1<<20)
			stream := event[*relay.Stream](c)
			l := newLog(c, q)
			l.seq, l.chain = first.Seq, first.Chain
			streams[stream.Name], logs[stream.Name] = stream, l
		}
		synctest.Wait()
		if held := s.kept.used.Load(); held > relay.MaxEnvelope+branches*branchTurn {
			t.Errorf("%d bytes are held for a client that reads none of its branches", held)
		}
		var reading sync.WaitGroup
		for range branches {
			b, name := anyBranch(t, c, wt, streams)
			reading.Go(func() { b.readUntil(logs[name], branchBacklog+2) })
		}
		reading.Wait()
	})
}
