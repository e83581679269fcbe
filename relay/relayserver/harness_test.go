package relayserver

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// private is a private key of the tests, named by a byte.
func private(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

func public(b byte) relay.PublicKey {
	return relay.PublicKey(private(b).Public().(ed25519.PublicKey))
}

// The cast of the tests.
const (
	admin byte = iota + 1
	alice      // a reader
	bob        // another
	group      // the group's writer
	stranger
	ticket
)

var signer = sync.OnceValue(func() relay.Signer {
	var all []ed25519.PrivateKey
	for b := range byte(64) {
		all = append(all, private(b))
	}
	return relay.Keys(all...)
})

func relayKey(t testing.TB) session.PrivateKey {
	t.Helper()
	k, err := session.NewPrivateKey([32]byte{42})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// open opens a server on dir; the test shuts it down if it has not done so.
func open(t testing.TB, dir string, change func(*Config)) *Server {
	t.Helper()
	cfg := Config{Dir: dir, StorageKey: [32]byte{7}, Key: relayKey(t)}
	if change != nil {
		change(&cfg)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.mu.Lock()
		down := s.draining
		s.mu.Unlock()
		if !down {
			_ = s.Shutdown(context.Background())
		}
	})
	return s
}

// client is one session of a test, used by one goroutine.
type client struct {
	t       testing.TB
	s       *session.Session
	request uint64
	events  []relay.Frame // what came while waiting for an answer
}

func (c *client) write(frames ...relay.Frame) {
	c.t.Helper()
	if err := c.s.WriteFrames(frames...); err != nil {
		c.t.Fatalf("writing: %v", err)
	}
}

// sign numbers r and signs it for this session, if it has a signature.
func (c *client) sign(r relay.Request) relay.Request {
	c.t.Helper()
	c.request++
	r.SetRequest(c.request)
	if s, ok := r.(interface {
		Sign(relay.Binding, relay.Signer) error
	}); ok {
		if err := s.Sign(c.s.Binding(), signer()); err != nil {
			c.t.Fatal(err)
		}
	}
	return r
}

// call sends r, signed, and returns its answer. What comes before that is kept as events.
func (c *client) call(r relay.Request) relay.Frame {
	c.t.Helper()
	c.write(c.sign(r))
	return c.answer(r.RequestNumber())
}

func (c *client) answer(request uint64) relay.Frame {
	c.t.Helper()
	for {
		f := c.read()
		if a, ok := f.(interface{ RequestNumber() uint64 }); ok && a.RequestNumber() == request {
			return f
		}
		c.events = append(c.events, f)
	}
}

func (c *client) read() relay.Frame {
	c.t.Helper()
	f, err := c.s.ReadFrame()
	if err != nil {
		c.t.Fatalf("reading: %v", err)
	}
	return f
}

// next returns the next frame that is no answer.
func (c *client) next() relay.Frame {
	c.t.Helper()
	if len(c.events) > 0 {
		f := c.events[0]
		c.events = c.events[1:]
		return f
	}
	return c.read()
}

// must sends r and expects it to be taken.
func (c *client) must(r relay.Request) relay.Position {
	c.t.Helper()
	switch a := c.call(r).(type) {
	case *relay.Accepted:
		return a.Position
	case *relay.Proved:
		return relay.Position{}
	case *relay.Refused:
		c.t.Fatalf("%T: %v", r, &a.Refusal)
	}
	c.t.Fatalf("%T: an answer of another kind", r)
	return relay.Position{}
}

// refused sends r and expects the refusal.
func (c *client) refused(r relay.Request, want relay.RefusalCode) *relay.Refused {
	c.t.Helper()
	a, ok := c.call(r).(*relay.Refused)
	if !ok || a.Refusal.Code != want {
		c.t.Fatalf("%T: answered %+v, want refusal %v", r, a, want)
	}
	if counted := want == relay.CodeLimit || want == relay.CodeQuota; counted && (a.Refusal.Limit == relay.LimitNone || a.Refusal.RetryAfter <= 0) {
		c.t.Errorf("%T: refused with %+v", r, a.Refusal)
	}
	return a
}

// event expects the next frame that is no answer to be a T.
func event[T relay.Frame](c *client) T {
	c.t.Helper()
	f := c.next()
	e, ok := f.(T)
	if !ok {
		c.t.Fatalf("got %T, want %T", f, e)
	}
	return e
}

// ended expects the session to end, with CLOSE of this code if it is nonzero, and ends it here.
func (c *client) ended(code relay.CloseCode) {
	c.t.Helper()
	defer c.s.Close()
	var last relay.Frame
	for {
		f, err := c.s.ReadFrame()
		if err != nil {
			break
		}
		last = f
	}
	closed, ok := last.(*relay.Close)
	if code != 0 && (!ok || closed.Code != code) {
		c.t.Errorf("the session ended with %T %+v, want CLOSE %v", last, last, code)
	}
	if code == 0 && ok {
		c.t.Errorf("the session ended with CLOSE %v, want none", closed.Code)
	}
}

// Requests that the tests use again and again.

func id(n uint64) (id relay.IdempotencyID) {
	for i := range 8 {
		id[i] = byte(n >> (8 * i))
	}
	return id
}

var lastID uint64

func newID() relay.IdempotencyID {
	lastID++
	return id(lastID)
}

func queueID(b byte) relay.QueueID { return relay.QueueID{b, 0xca, 0xfe, b} }

func create(q relay.QueueID) *relay.Create {
	return &relay.Create{ID: newID(), Queue: q, Key: public(admin), Admins: []relay.PublicKey{public(admin)},
		Writer: new(public(group)), Readers: []relay.PublicKey{public(alice), public(bob)}}
}

func proveRead(q relay.QueueID, k byte) *relay.Prove {
	return &relay.Prove{Purpose: relay.ProveRead, Queue: q, Key: public(k)}
}

func proveWrite(q relay.QueueID, k byte) *relay.Prove {
	return &relay.Prove{Purpose: relay.ProveWrite, Queue: q, Key: public(k)}
}

func appendTo(q relay.QueueID, k byte, envelope []byte) *relay.Append {
	return &relay.Append{ID: newID(), Queue: q, Writer: public(k), Envelope: envelope}
}

func envelope(size int, mark byte) []byte { return bytes.Repeat([]byte{mark}, size) }

// rawFrame is a frame of any type with any body.
type rawFrame struct {
	typ  relay.FrameType
	body []byte
}

func (f rawFrame) Type() relay.FrameType        { return f.typ }
func (f rawFrame) MarshalWire(w *wire.Writer)   { w.Raw(f.body) }
func (f rawFrame) UnmarshalWire(r *wire.Reader) {}
