package queue

import (
	"testing"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay"
)

// gained returns what a batch adds: entries from one seq to another, of one size, behind before.
func gained(before relay.Hash, from, to uint64, text string, size int) *gains {
	g := &gains{before: before}
	for seq := from; seq <= to; seq++ {
		env := envelope(text, size)
		before = relay.ChainNext(before, seq, relay.KindMessage, env)
		g.entries = append(g.entries, &stored{seq: seq, entry: entry{Kind: relay.KindMessage, Chain: before, Envelope: env}})
	}
	return g
}

func (g *gains) chain() relay.Hash { return g.entries[len(g.entries)-1].Chain }

// TestTailIsTheLog: a tail gives what leads to a head that the store names, and nothing that an
// undone operation left, that lies behind a break, or that was erased.
func TestTailIsTheLog(t *testing.T) {
	var all tails
	at := func(seq uint64, chain relay.Hash) relay.Position { return relay.Position{Seq: seq, Chain: chain} }
	first := gained(relay.Hash{}, 1, 3, "a", 512)
	all.publish("q", first)
	got := all.since("q", at(0, relay.Hash{}), at(3, first.chain()))
	if len(got) != 3 || got[0].seq != 1 || got[2].Chain != first.chain() {
		t.Fatalf("%d entries", len(got))
	}
	if len(all.since("q", at(1, first.entries[0].Chain), at(2, first.entries[1].Chain))) != 1 {
		t.Error("a part of the tail is not given")
	}
	if all.since("q", at(0, relay.Hash{}), at(3, relay.Hash{9})) != nil || all.since("q", at(0, relay.Hash{}), at(4, first.chain())) != nil ||
		all.since("q", relay.Position{Incarnation: relay.Incarnation{1}}, at(3, first.chain())) != nil || all.since("other", at(0, relay.Hash{}), at(3, first.chain())) != nil {
		t.Error("entries are given that do not lead to the head")
	}
	// The last entry was undone, and another has its number.
	second := gained(first.entries[1].Chain, 3, 5, "b", 512)
	all.publish("q", second)
	if now := all.since("q", at(2, first.entries[1].Chain), at(5, second.chain())); len(now) != 3 || now[0].Envelope[0] != 'b' || got[2].Envelope[0] != 'a' {
		t.Errorf("%d entries behind the one that took another's place; whoever had it has %q", len(now), got[2].Envelope[:1])
	}
	all.publish("q", &gains{erased: 2})
	if all.between("q", 2, 5) != nil || len(all.between("q", 3, 5)) != 3 {
		t.Error("what was erased is given, or what was not is gone")
	}
	third := gained(second.chain(), 7, 7, "c", 512) // 6 is not there
	all.publish("q", third)
	if all.between("q", 3, 7) != nil || len(all.between("q", 7, 7)) != 1 {
		t.Error("entries are given across a break")
	}
	fourth := gained(relay.Hash{1}, 8, 8, "d", 512) // another incarnation's chain
	all.publish("q", fourth)
	if all.between("q", 7, 8) != nil || len(all.between("q", 8, 8)) != 1 {
		t.Error("entries are given across two chains")
	}
	all.publish("q", &gains{erased: 8})
	if len(all.of) != 0 || all.bytes != 0 {
		t.Errorf("%d tails, %d bytes are left of nothing", len(all.of), all.bytes)
	}
}

// TestTailsAreBounded: neither a queue nor all of them hold more than their share.
func TestTailsAreBounded(t *testing.T) {
	var all tails
	long := gained(relay.Hash{}, 1, 2*maxTail/512, "a", 512)
	all.publish("long", long)
	if all.bytes > maxTail || all.bytes < maxTail/4 {
		t.Errorf("%d bytes of one queue", all.bytes)
	}
	if n := len(long.entries); len(all.between("long", uint64(n), uint64(n))) != 1 {
		t.Error("the newest entry is gone")
	}
	all.publish("large", gained(relay.Hash{}, 1, 1, "a", relay.MaxEnvelope))
	for i := range 3 * maxTails / maxTail {
		all.publish(string(rune('A'+i)), gained(relay.Hash{}, 1, maxTail/2/(512+tailOverhead), "a", 512))
		sum := 0
		for _, q := range all.of {
			for _, e := range q.entries {
				sum += weigh(e)
			}
		}
		if sum != all.bytes || sum > maxTails {
			t.Fatalf("%d bytes are counted, %d are there", all.bytes, sum)
		}
	}
}

// TestAckBehindWhatWasDropped: strangers' entries that were dropped for newer ones in the same
// batch, or in the one that is being stored, are not erased once more when their reader acks them
// all: what is left is sound, and the reasons of the gaps are.
func TestAckBehindWhatWasDropped(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits.RequestAppends = Rate{1 << 20, 1} })
	q, other := r.inbox("inbox"), r.group("other", "reader")
	owner := r.follow(q, "owner", nil)
	for range ringEntries {
		r.must(r.append(q, "request", "m"))
	}
	owner.read()
	r.flushAcks()
	const dropped = 10
	held, release := make(chan struct{}), make(chan struct{})
	r.Submit(r.append(other, "w0", "m"), Authority{}, func(Answer) { // the store waits for whoever hears the answer
		close(held)
		<-release
	})
	<-held
	answered := make(chan any, dropped+1)
	for range dropped {
		r.Submit(r.append(q, "request", "m"), Authority{}, func(a Answer) { answered <- a.Err })
	}
	r.shard.SubmitFrom(&r.own, ackOp{{place: place{q, key("owner")}, seq: ringEntries}}, func(_ any, err error) { answered <- err })
	close(release)
	for range dropped + 1 {
		<-answered
	}
	err := r.shard.View(func(snap *shard.Snapshot) error {
		b, _, err := openQueue(snap, r.shard, relayKey, q)
		if err != nil {
			return err
		}
		first, err := b.gapAt(1)
		if err != nil {
			return err
		}
		second, err := b.gapAt(dropped + 1)
		if err == nil && (first.Reason != relay.GapQuota || first.last != dropped || second.Reason != relay.GapAcked || second.From != dropped+1 || second.last != ringEntries) {
			t.Errorf("the gaps are %+v and %+v", first, second)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
