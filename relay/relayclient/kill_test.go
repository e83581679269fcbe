package relayclient_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// The plain test is short; the long one is
//
//	go test -run TestR25 ./relay/relayclient -kills 50 -transports all
var (
	kills      = flag.Int("kills", 5, "R25: how often the relay is killed, over each transport")
	transports = flag.String("transports", "all", "R25: all, or a list of webtransport, websocket, polling and race")
)

const (
	writers  = 4
	readers  = 2
	pipeline = 48 // messages of a writer on their way at once
)

// load is four members writing to a queue and two reading it, through whatever
// happens to the relay.
type load struct {
	t           *testing.T
	addr        relay.Address
	write, read relayclient.Options // how writers and readers dial
	queue       relay.QueueID
	key         ed25519.PrivateKey // the group's writer key, which all members share

	accepted atomic.Int64
	refused  atomic.Int64  // BUSY
	opened   atomic.Int64  // sessions of writers and readers
	stop     chan struct{} // closed: write no new message
	done     context.Context
	more     []string // readers beside the usual ones

	mu      sync.Mutex
	written map[message]relay.Position // what was answered ACCEPTED
}

// message names a message by who wrote it as the how many-th.
type message struct{ writer, number uint64 }

func (m message) id() (id relay.IdempotencyID) {
	binary.BigEndian.PutUint64(id[:], m.writer)
	binary.BigEndian.PutUint64(id[8:], m.number)
	return id
}

// envelope is the message padded, of several sizes.
func (m message) envelope() []byte {
	b := make([]byte, relay.MinEnvelope<<(m.number%3))
	binary.BigEndian.PutUint64(b, m.writer)
	binary.BigEndian.PutUint64(b[8:], m.number)
	sum := sha256.Sum256(b[:16])
	copy(b[16:], sum[:])
	return b
}

func parseMessage(b []byte) (message, bool) {
	m := message{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
	return m, string(m.envelope()) == string(b)
}

// sessions runs use with one session after the other until it is satisfied, and
// pauses as a client does, but for less: the test is about the relay's crashes,
// not about waiting.
func (l *load) sessions(opt relayclient.Options, use func(*relayclient.Conn) (satisfied bool)) {
	b := relayclient.Backoff{Jitter: func(limit time.Duration) time.Duration { return rand.N(min(limit, time.Second) / 8) }}
	for l.done.Err() == nil {
		if c, err := relayclient.Dial(l.done, l.addr, opt); err == nil {
			l.opened.Add(1)
			satisfied := use(c)
			c.Close()
			if satisfied {
				return
			}
		}
		select {
		case <-time.After(b.Next(0, 0)):
		case <-l.done.Done():
		}
	}
}

// sent is a message without an answer.
type sent struct {
	message
	call *relayclient.Call
}

// writing pipelines messages; what has no outcome is sent again over the next
// session, with the same id and in the same order.
func (l *load) writing(writer uint64) {
	var open []sent
	next := uint64(0)
	l.sessions(l.write, func(c *relayclient.Conn) bool {
		for i := range open {
			open[i].call = c.Append(l.queue, open[i].id(), l.key, open[i].envelope())
		}
		// A message that was accepted long ago is sent once more in each session:
		// it must get its first answer, and come into the log no second time.
		if next > uint64(len(open)) {
			l.again(c, message{writer, rand.Uint64N(next - uint64(len(open)))})
		}
		for {
			stopping := false
			select {
			case <-l.stop:
				stopping = true
			default:
			}
			for len(open) < pipeline && !stopping {
				m := message{writer, next}
				next++
				open = append(open, sent{m, c.Append(l.queue, m.id(), l.key, m.envelope())})
			}
			if len(open) == 0 {
				return true
			}
			pos, err := open[0].call.Result()
			switch refusal, refused := errors.AsType[*relay.Refusal](err); {
			case err == nil:
				l.note(open[0].message, pos)
				open = open[1:]
			case refused && (refusal.RetryAfter > 0 || refusal.Code == relay.CodeQuota):
				// All that is behind it is settled one by one; this one goes last. Acks are
				// written after a second, which a relay in this test hardly lives: on a fast
				// machine the queue is full before one makes room.
				wait := max(refusal.RetryAfter, 50*time.Millisecond)
				if refusal.Code == relay.CodeQuota || refusal.Code == relay.CodeBusy {
					wait = 50 * time.Millisecond // the test has no time for what it advises
				}
				if refusal.Code == relay.CodeBusy {
					l.refused.Add(1)
				}
				<-time.After(wait)
				m := open[0].message
				open = append(open[1:], sent{m, c.Append(l.queue, m.id(), l.key, m.envelope())})
			case errors.Is(err, relayclient.ErrDisconnected):
				return false
			default:
				l.t.Errorf("message %v: %v", open[0].message, err)
				open = open[1:]
			}
		}
	})
}

func (l *load) note(m message, pos relay.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written[m] = pos
	l.accepted.Add(1)
}

func (l *load) again(c *relayclient.Conn, m message) {
	pos, err := c.Append(l.queue, m.id(), l.key, m.envelope()).Result()
	if err != nil {
		return // this session ended, or its rate
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if first, ok := l.written[m]; ok && first != pos {
		l.t.Errorf("message %v was answered %d first and %d later", m, first.Seq, pos.Seq)
	}
}

// reading collects the log through one reader's eyes. It ends with done.
func (l *load) reading(reader ed25519.PrivateKey, seen *view) {
	l.sessions(l.read, func(c *relayclient.Conn) bool {
		pos := seen.position()
		s, err := c.Attach(l.queue, reader, &pos, 64<<10).Result()
		if err != nil {
			if !errors.Is(err, relayclient.ErrDisconnected) {
				l.t.Errorf("attach at %d: %v", pos.Seq, err)
			}
			return false
		}
		s.Ack(pos.Seq) // again: the relay was killed before it wrote the last one
		for {
			select {
			case e, open := <-s.Events():
				if !open {
					return false
				}
				seen.event(l.t, e)
				s.Ack(seen.position().Seq)
			case <-l.done.Done():
				return true
			}
		}
	})
}

// view is what one reader was shown.
type view struct {
	mu      sync.Mutex
	at      relay.Position
	entries []relayclient.Entry // entries[i] has seq i+1
	gaps    int
	moved   chan struct{} // cap 1
}

func (g *view) position() relay.Position {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.at
}

func (g *view) event(t *testing.T, e relayclient.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch e := e.(type) {
	case relayclient.Delivery:
		for _, entry := range e.Entries {
			if entry.Position.Seq != uint64(len(g.entries))+1 {
				t.Errorf("seq %d was shown after %d", entry.Position.Seq, len(g.entries))
				continue
			}
			g.entries, g.at = append(g.entries, entry), entry.Position
		}
	case relayclient.Gap:
		g.gaps++
		t.Errorf("a gap from %d to %d, reason %d", e.From, e.To, e.Reason)
		g.at = e.Position
	case *relayclient.ChainBroken:
		t.Error(e)
	}
	select {
	case g.moved <- struct{}{}:
	default:
	}
}

// ways are the transports by their names in -transports. The race is what apps use.
var ways = map[string][]relayclient.Transport{
	"webtransport": {relayclient.WebTransport},
	"websocket":    {relayclient.WebSocket},
	"polling":      {relayclient.LongPolling},
	"race":         nil,
}

// ATTACKS R25: four members write and two read while the relay is killed
// at random moments. What was answered ACCEPTED is in the log, where the
// answer said, once; both readers see every seq once, in order, without a gap.
func TestR25_KilledManyTimes(t *testing.T) {
	names := strings.Split(*transports, ",")
	if *transports == "all" {
		names = slices.Sorted(maps.Keys(ways))
	}
	for _, name := range names {
		way, ok := ways[name]
		if !ok {
			t.Fatalf("-transports knows no %q", name)
		}
		t.Run(name, func(t *testing.T) { killed(t, relayclient.Options{Transports: way}) })
	}
}

func killed(t *testing.T, opt relayclient.Options) {
	dir, addr := t.TempDir(), freeAddr(t)
	seed := rand.New(rand.NewPCG(25, 25))
	relayProcess := startProcess(t, dir, addr)
	cert, err := certpin.OpenDevelopment(dir)
	if err != nil {
		t.Fatal(err)
	}
	// So that a hang is a failure here.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Duration(*kills)*10*time.Second)
	defer cancel()
	l := &load{
		t: t, write: opt, read: opt, queue: relay.QueueID(sha256.Sum256([]byte("R25"))), key: key("writer"),
		addr: relay.Address{Host: addr, Key: identity().Public(), Pin: new(relay.Hash(cert.Pin()))},
		stop: make(chan struct{}), done: ctx, written: make(map[message]relay.Position),
	}
	start := l.create()

	var writing, reading sync.WaitGroup
	for w := range uint64(writers) {
		writing.Go(func() { l.writing(w) })
	}
	logs := make([]*view, readers)
	for i := range logs {
		logs[i] = &view{at: start, moved: make(chan struct{}, 1)}
		reading.Go(func() { l.reading(key(readerName(i)), logs[i]) })
	}

	times := 0
	for ; times < *kills && !soonOver(t); times++ {
		before := l.accepted.Load()
		for l.accepted.Load() == before && ctx.Err() == nil {
			<-time.After(5 * time.Millisecond) // under load, not while it starts
		}
		<-time.After(time.Duration(200+seed.IntN(400)) * time.Millisecond)
		relayProcess.kill(t)
		relayProcess = startProcess(t, dir, addr)
	}
	close(l.stop)
	writing.Wait()
	if ctx.Err() != nil {
		t.Error("the test hung: nothing was accepted any more")
	}
	l.catchUp(logs)
	cancel()
	reading.Wait()
	if err := relayProcess.end(); err != nil {
		t.Errorf("the relay ended with %v", err)
	}
	for _, g := range logs {
		l.compare(g)
	}
	t.Logf("kills=%d accepted=%d lost=0 shown_twice=0 gaps=0, unless said above", times, len(l.written))
}

func readerName(i int) string { return "reader " + string(rune('a'+i)) }

// create makes the queue and returns the beginning of its log.
func (l *load) create() relay.Position {
	l.t.Helper()
	c, err := relayclient.Dial(l.done, l.addr, l.write)
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	p := relayclient.CreateParams{
		Queue: l.queue, Admin: key("admin"), Admins: []relay.PublicKey{public(key("admin"))}, Writer: new(public(l.key)),
	}
	for i := range readers {
		p.Readers = append(p.Readers, public(key(readerName(i))))
	}
	for _, name := range l.more {
		p.Readers = append(p.Readers, public(key(name)))
	}
	start, err := c.Create(p).Result()
	if err != nil {
		l.t.Fatal(err)
	}
	return start
}

// catchUp waits until every reader has seen the newest accepted entry.
func (l *load) catchUp(logs []*view) {
	newest := uint64(0)
	for _, pos := range l.written {
		newest = max(newest, pos.Seq)
	}
	for _, g := range logs {
		for g.position().Seq < newest {
			select {
			case <-g.moved:
			case <-l.done.Done():
				l.t.Errorf("a reader is at %d of %d", g.position().Seq, newest)
				return
			}
		}
	}
}

// compare checks one reader's log against what was accepted.
func (l *load) compare(g *view) {
	if len(l.written) == 0 {
		l.t.Error("nothing was accepted: the test shows nothing")
	}
	shown := make(map[message]bool)
	for _, e := range g.entries {
		m, whole := parseMessage(e.Envelope)
		switch pos, accepted := l.written[m]; {
		case !whole:
			l.t.Errorf("seq %d holds what nobody wrote", e.Position.Seq)
		case shown[m]:
			l.t.Errorf("message %v is in the log twice, again at %d", m, e.Position.Seq)
		case !accepted:
			l.t.Errorf("message %v is in the log and was never answered", m)
		case pos != e.Position:
			l.t.Errorf("message %v was accepted at %d and is at %d", m, pos.Seq, e.Position.Seq)
		}
		shown[m] = true
	}
	for m, pos := range l.written {
		if !shown[m] {
			l.t.Errorf("message %v, accepted at %d, is lost", m, pos.Seq)
		}
	}
}
