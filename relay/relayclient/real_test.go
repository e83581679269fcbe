package relayclient_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// These tests run against a real relay: its sessions, its store on disk, TCP and UDP on
// loopback.

// overTCP dials so that the end of a relay is noticed at once: nobody tells of it over UDP.
var overTCP = relayclient.Options{Transports: []relayclient.Transport{relayclient.WebSocket}}

// over runs test over each transport.
func over(t *testing.T, test func(t *testing.T, opt relayclient.Options)) {
	for _, kind := range []relayclient.Transport{relayclient.WebTransport, relayclient.WebSocket, relayclient.LongPolling} {
		t.Run(kind.String(), func(t *testing.T) { test(t, relayclient.Options{Transports: []relayclient.Transport{kind}}) })
	}
}

func dial(t *testing.T, addr relay.Address, opt relayclient.Options) *relayclient.Conn {
	t.Helper()
	c, err := relayclient.Dial(t.Context(), addr, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func must(t *testing.T, call *relayclient.Call) relay.Position {
	t.Helper()
	pos, err := call.Result()
	if err != nil {
		t.Fatal(err)
	}
	return pos
}

// group makes a queue with the readers "ann" and "bob" and the writer key
// "epoch 1", and returns the beginning of its log.
func group(t *testing.T, c *relayclient.Conn, queue relay.QueueID) relay.Position {
	t.Helper()
	return must(t, c.Create(relayclient.CreateParams{
		Queue: queue, ID: relay.IdempotencyID{1}, Admin: key("admin"), Admins: []relay.PublicKey{public(key("admin"))},
		Writer: new(public(key("epoch 1"))), Readers: []relay.PublicKey{public(key("ann")), public(key("bob"))},
	}))
}

func message512(n byte) []byte {
	b := make([]byte, relay.MinEnvelope)
	b[0] = n
	return b
}

// attach starts reading after pos.
func attach(t *testing.T, c *relayclient.Conn, queue relay.QueueID, reader ed25519.PrivateKey, pos relay.Position) *relayclient.Stream {
	t.Helper()
	s, err := c.Attach(queue, reader, &pos, 0).Result()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// take returns the next n entries; any other event fails the test.
func take(t *testing.T, s *relayclient.Stream, n int) (all []relayclient.Entry) {
	t.Helper()
	for len(all) < n {
		switch e := (<-s.Events()).(type) {
		case relayclient.Delivery:
			all = append(all, e.Entries...)
		default:
			t.Fatalf("event %T %v, stream %v, after %d of %d entries", e, e, s.Err(), len(all), n)
		}
	}
	return all
}

// deafConn stops hearing when told so: requests go out, answers do not come in.
type deafConn struct {
	net.Conn
	deaf *atomic.Bool
}

func (c deafConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && c.deaf.Load() {
		c.Close()
		return 0, errors.New("the line is cut")
	}
	return n, err
}

// ATTACKS Q05: the answer to an APPEND and to a COMMIT is lost. Both are sent
// again over a new session, after the relay was restarted, after the writer key
// changed: each gets the first answer, and stands in the log once.
func TestQ05_LostReplyAfterRestartAndNewWriter(t *testing.T) {
	dir, queue := t.TempDir(), relay.QueueID{5}
	r := relayHere(t, dir, "127.0.0.1:0")
	var deaf atomic.Bool
	lossy := relayclient.Options{Transports: overTCP.Transports, DialNet: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return deafConn{c, &deaf}, err
	}}
	good := dial(t, r.addr, relayclient.Options{})
	start := group(t, good, queue)
	watch := attach(t, good, queue, key("ann"), start)
	commit := func(c *relayclient.Conn) *relayclient.Call {
		return c.Commit(relayclient.CommitParams{
			Queue: queue, ID: relay.IdempotencyID{3}, Reader: key("bob"), NextWriter: public(key("epoch 2")), Envelope: message512(2),
		})
	}
	send := func(c *relayclient.Conn) *relayclient.Call {
		return c.Append(queue, relay.IdempotencyID{2}, key("epoch 1"), message512(1))
	}
	for i, request := range []func(*relayclient.Conn) *relayclient.Call{send, commit} {
		c := dial(t, r.addr, lossy)
		deaf.Store(true)
		if _, err := request(c).Result(); !errors.Is(err, relayclient.ErrDisconnected) {
			t.Fatalf("request %d without an answer: %v", i, err)
		}
		deaf.Store(false)
	}
	entries := take(t, watch, 2) // both were taken
	if _, err := good.Append(queue, relay.IdempotencyID{4}, key("epoch 1"), message512(3)).Result(); !errors.Is(err, relay.ErrStale) {
		t.Errorf("the old writer key is still good: %v", err)
	}
	good.Close()
	if err := r.stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	r = relayHere(t, dir, "127.0.0.1:0")
	again := dial(t, r.addr, relayclient.Options{})
	for i, request := range []func(*relayclient.Conn) *relayclient.Call{send, commit} {
		if pos := must(t, request(again)); pos != entries[i].Position {
			t.Errorf("request %d: the retry was answered %d, the log has it at %d", i, pos.Seq, entries[i].Position.Seq)
		}
	}
	must(t, again.Append(queue, relay.IdempotencyID{6}, key("epoch 2"), message512(4)))
	log := take(t, attach(t, again, queue, key("bob"), start), 3)
	for i, want := range []byte{1, 2, 4} {
		if log[i].Envelope[0] != want {
			t.Errorf("entry %d holds message %d, want %d", i+1, log[i].Envelope[0], want)
		}
	}
	again.Close()
	if err := r.stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// ATTACKS R02: the same reader in a second session gets the stream, and the
// first is told.
func TestR02_SecondSessionTakesTheStream(t *testing.T) { over(t, secondSessionTakesTheStream) }

func secondSessionTakesTheStream(t *testing.T, opt relayclient.Options) {
	queue := relay.QueueID{2}
	r := relayHere(t, t.TempDir(), "127.0.0.1:0")
	first, second := dial(t, r.addr, opt), dial(t, r.addr, opt)
	start := group(t, first, queue)
	old := attach(t, first, queue, key("ann"), start)
	other := attach(t, first, queue, key("bob"), start)
	now := attach(t, second, queue, key("ann"), start)
	if e := <-old.Events(); e != (relayclient.Detached{Reason: relay.DetachSuperseded}) {
		t.Errorf("the first session got %v", e)
	}
	must(t, first.Append(queue, relay.IdempotencyID{2}, key("epoch 1"), message512(1)))
	take(t, now, 1)
	take(t, other, 1)

	// A stranger's key, and a stranger's session, hear the same as for no queue.
	_, known := second.Attach(queue, key("stranger"), nil, 0).Result()
	_, unknown := second.Attach(relay.QueueID{99}, key("stranger"), nil, 0).Result()
	if !errors.Is(known, relay.ErrUnknown) || known.Error() != unknown.Error() {
		t.Errorf("a stranger hears %v, and %v for no queue", known, unknown)
	}
	first.Close()
	second.Close()
	if err := r.stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// A relay that goes away says so, answers what it has read, and loses nothing;
// its clients come back to where they were.
func TestDrainAndReturn(t *testing.T) { over(t, drainAndReturn) }

func drainAndReturn(t *testing.T, opt relayclient.Options) {
	dir, queue := t.TempDir(), relay.QueueID{3}
	r := relayHere(t, dir, "127.0.0.1:0")
	c := dial(t, r.addr, opt)
	start := group(t, c, queue)
	s := attach(t, c, queue, key("ann"), start)
	var calls []*relayclient.Call
	for i := range byte(100) {
		calls = append(calls, c.Append(queue, relay.IdempotencyID{2, i}, key("epoch 1"), message512(i)))
	}
	must(t, calls[0])
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop(context.Background()) }()
	accepted := make(map[byte]relay.Position)
	for i, call := range calls {
		pos, err := call.Result()
		switch {
		case err == nil:
			accepted[byte(i)] = pos
		case !errors.Is(err, relay.ErrDraining) && !errors.Is(err, relayclient.ErrDisconnected):
			t.Errorf("call %d: %v", i, err)
		}
	}
	<-c.Done()
	select {
	case advice := <-c.GoAway():
		if advice <= 0 {
			t.Errorf("advice %v", advice)
		}
	default:
		t.Errorf("the session ended without GOAWAY: %v", c.Err())
	}
	pos := start
	for e := range s.Events() {
		if d, ok := e.(relayclient.Delivery); ok {
			pos = d.Entries[len(d.Entries)-1].Position
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}

	r = relayHere(t, dir, "127.0.0.1:0")
	c = dial(t, r.addr, opt)
	if c.Incarnation() != start.Incarnation {
		t.Error("a drained relay came back under another incarnation")
	}
	for i := range byte(100) {
		p := must(t, c.Append(queue, relay.IdempotencyID{2, i}, key("epoch 1"), message512(i)))
		if before, ok := accepted[i]; ok && before != p {
			t.Errorf("message %d was accepted at %d and at %d", i, before.Seq, p.Seq)
		}
	}
	s = attach(t, c, queue, key("ann"), pos)
	if n := 100 - int(pos.Seq); n > 0 {
		take(t, s, n)
	}
	if s.Head.Seq != 100 && len(accepted) == 100 {
		t.Errorf("the head is %d after 100 messages", s.Head.Seq)
	}
	c.Close()
	if err := r.stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// What all readers have acked is erased; a reader that asks for it again is told
// the range and the reason.
func TestAckedEntriesAreToldAsAGap(t *testing.T) { over(t, ackedEntriesAreToldAsAGap) }

func ackedEntriesAreToldAsAGap(t *testing.T, opt relayclient.Options) {
	dir, queue := t.TempDir(), relay.QueueID{4}
	r := relayHere(t, dir, "127.0.0.1:0")
	c := dial(t, r.addr, opt)
	start := group(t, c, queue)
	for i := range byte(10) {
		must(t, c.Append(queue, relay.IdempotencyID{2, i}, key("epoch 1"), message512(i)))
	}
	var at relay.Position
	for _, reader := range []string{"ann", "bob"} {
		s := attach(t, c, queue, key(reader), start)
		all := take(t, s, 10)
		at = all[6].Position
		s.Ack(at.Seq)
	}
	must(t, c.Append(queue, relay.IdempotencyID{2, 0}, key("epoch 1"), message512(0))) // the ACKs went ahead of it
	c.Close()
	if err := r.stop(t.Context()); err != nil { // writes the last acks
		t.Fatal(err)
	}
	r = relayHere(t, dir, "127.0.0.1:0")
	c = dial(t, r.addr, opt)
	for name, pos := range map[string]*relay.Position{"with an old position": &start, "without a position": nil} {
		s, err := c.Attach(queue, key("ann"), pos, 0).Result()
		if err != nil {
			t.Fatal(err)
		}
		g, ok := (<-s.Events()).(relayclient.Gap)
		if !ok || g.From != 1 || g.To != at.Seq || g.Reason != relay.GapAcked || g.Position != at {
			t.Errorf("%s: got %v, stream %v", name, g, s.Err())
			continue
		}
		if all := take(t, s, 3); all[2].Position.Seq != 10 {
			t.Errorf("%s: the rest ends at %d", name, all[2].Position.Seq)
		}
	}
	c.Close()
	if err := r.stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// Thousands of requests in one session are answered, and delivered, in order.
func TestThousandsAreAnswered(t *testing.T) { over(t, thousandsAreAnswered) }

func thousandsAreAnswered(t *testing.T, opt relayclient.Options) {
	const n = 3000
	queue := relay.QueueID(sha256.Sum256([]byte("thousands")))
	r := relayHere(t, t.TempDir(), "127.0.0.1:0")
	c := dial(t, r.addr, opt)
	start := group(t, c, queue)
	s := attach(t, c, queue, key("ann"), start)
	calls := make([]*relayclient.Call, n)
	for i := range calls {
		calls[i] = c.Append(queue, relay.IdempotencyID{2, byte(i), byte(i >> 8)}, key("epoch 1"), message512(byte(i)))
	}
	for seen := 0; seen < n; {
		all := take(t, s, 1)
		seen += len(all)
		s.Ack(all[len(all)-1].Position.Seq)
	}
	for i, call := range calls {
		if pos := must(t, call); pos.Seq != uint64(i)+1 {
			t.Fatalf("message %d of one writer is at %d", i+1, pos.Seq)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c.Close()
	if err := r.stop(ctx); err != nil {
		t.Error(err)
	}
}
