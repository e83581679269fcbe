package queue

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay"
)

var relayKey = relay.RelayKey{7}

// key makes a recognisable public key; this package never verifies signatures.
func key(name string) relay.PublicKey { return sha256.Sum256([]byte("key " + name)) }

func keys(names ...string) (out []relay.PublicKey) {
	for _, n := range names {
		out = append(out, key(n))
	}
	return out
}

func queueID(name string) relay.QueueID { return sha256.Sum256([]byte("queue " + name)) }

func envelope(text string, size int) []byte {
	return append([]byte(text), make([]byte, size-len(text))...)
}

// rig is a store under a clock of the test's own.
type rig struct {
	testing.TB
	dir string
	cfg Config
	*Store
	spoilt bool // its records were damaged: they need not be sound in the end

	mu  sync.Mutex
	now time.Time
	ids uint64
}

func newRig(t testing.TB, change ...func(*Config)) *rig {
	r := &rig{TB: t, dir: t.TempDir(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	r.cfg = Config{StorageKey: shard.Key{1}, RelayKey: relayKey, MinFree: 1, Clock: func() time.Time {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.now
	}}
	for _, c := range change {
		c(&r.cfg)
	}
	r.open()
	t.Cleanup(func() {
		r.sound()
		_ = r.Store.Close()
	})
	return r
}

// sound fails the test if a check finds anything in a store that nobody damaged.
func (r *rig) sound() {
	r.Helper()
	if r.spoilt || r.TB.Failed() {
		return
	}
	err := r.Check(context.Background(), r.cfg.Blobs, func(f shard.Finding) {
		if f.What != "the bytes of a blob are damaged" { // they are invented in these tests
			r.Errorf("%s: %s", f.Where, f.What)
		}
	})
	if err != nil && !errors.Is(err, shard.ErrClosed) {
		r.Error(err)
	}
}

func (r *rig) open() {
	r.Helper()
	r.cfg.Dir = r.dir
	s, err := Open(r.cfg)
	if err != nil {
		r.Fatal(err)
	}
	r.Store = s
}

func (r *rig) reopen() {
	r.Helper()
	if err := r.Store.Close(); err != nil {
		r.Fatal(err)
	}
	r.open()
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// days lets days pass, with a sweep on each.
func (r *rig) days(n int) {
	r.Helper()
	for range n {
		r.pass(24 * time.Hour)
		r.sweep()
	}
}

func (r *rig) sweep() {
	r.Helper()
	if err := r.Sweep(r.Context()); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) id() (id relay.IdempotencyID) {
	r.ids++
	binary.BigEndian.PutUint64(id[:], r.ids)
	return id
}

// try submits one mutation and waits.
func (r *rig) try(m relay.Mutation, a ...Authority) (relay.Position, error) {
	c := make(chan Answer, 1)
	r.Submit(m, append(a, Authority{})[0], func(a Answer) { c <- a })
	if a := <-c; a.Err != nil {
		return relay.Position{}, a.Err
	} else {
		return a.Position, nil
	}
}

func (r *rig) must(m relay.Mutation, a ...Authority) relay.Position {
	r.Helper()
	p, err := r.try(m, a...)
	if err != nil {
		r.Fatalf("%T: %v", m, err)
	}
	return p
}

// refused submits m, which must be refused with want.
func (r *rig) refused(want error, m relay.Mutation, a ...Authority) *relay.Refusal {
	r.Helper()
	_, err := r.try(m, a...)
	if !errors.Is(err, want) {
		r.Fatalf("%T: %v, want %v", m, err, want)
	}
	refusal, _ := errors.AsType[*relay.Refusal](err)
	r.saysWhich(refusal)
	return refusal
}

// saysWhich holds a refusal for a limit or a quota to saying which, and when to try again.
func (r *rig) saysWhich(refusal *relay.Refusal) {
	r.Helper()
	counted := refusal.Code == relay.CodeLimit || refusal.Code == relay.CodeQuota
	if counted != (refusal.Limit != relay.LimitNone) || counted && refusal.RetryAfter <= 0 {
		r.Errorf("refused: %v, limit %d, again in %v", refusal, refusal.Limit, refusal.RetryAfter)
	}
}

func (r *rig) flushAcks() { r.acks.flush() }

// group founds a queue of a group with the given readers; admin is an admin, w0 the writer.
func (r *rig) group(name string, readers ...string) relay.QueueID {
	r.Helper()
	q := queueID(name)
	r.must(&relay.Create{ID: r.id(), Queue: q, Key: key("admin"), Admins: keys("admin"), Writer: new(key("w0")), Readers: keys(readers...)})
	return q
}

// inbox founds an inbox of reader owner with a request writer.
func (r *rig) inbox(name string) relay.QueueID {
	r.Helper()
	q := queueID(name)
	r.must(&relay.Create{ID: r.id(), Queue: q, Key: key("admin"), Admins: keys("admin"), RequestWriter: new(key("request")), Readers: keys("owner")})
	return q
}

func (r *rig) append(q relay.QueueID, writer, text string) *relay.Append {
	return &relay.Append{ID: r.id(), Queue: q, Writer: key(writer), Envelope: envelope(text, 512)}
}

func (r *rig) commit(q relay.QueueID, reader string, expect relay.Position, next string, tickets ...string) *relay.Commit {
	return &relay.Commit{ID: r.id(), Queue: q, Reader: key(reader), Expect: expect, NextWriter: key(next),
		Tickets: keys(tickets...), Envelope: envelope("commit by "+reader, 512)}
}

func (r *rig) configure(q relay.QueueID, by string, changes ...relay.Change) *relay.Configure {
	return &relay.Configure{ID: r.id(), Queue: q, Key: key(by), Changes: changes}
}

// follower reads as a client does: it verifies that numbers and chain go on without a hole.
type follower struct {
	r     *rig
	a     *Attachment
	woken chan struct{}
	at    relay.Position
	blind bool // has no position yet
	texts []string
	seqs  []uint64
	gaps  []relay.Gap
	end   *relay.Position
}

func (r *rig) attach(q relay.QueueID, reader string, pos *relay.Position) (*follower, error) {
	woken := make(chan struct{}, 1)
	a, head, err := r.Attach(q, key(reader), pos, func() {
		select {
		case woken <- struct{}{}:
		default: // a token is there already
		}
	})
	if err != nil {
		return nil, err
	}
	f := &follower{r: r, a: a, woken: woken}
	if pos != nil {
		f.at = *pos
	} else {
		f.blind = true
		f.at = relay.Position{Incarnation: r.Incarnation(), Chain: relay.ChainStart(relayKey, q, r.Incarnation())}
	}
	if head.Head.Incarnation != r.Incarnation() {
		r.Errorf("ATTACHED names another incarnation than the store's")
	}
	return f, nil
}

func (r *rig) follow(q relay.QueueID, reader string, pos *relay.Position) *follower {
	r.Helper()
	f, err := r.attach(q, reader, pos)
	if err != nil {
		r.Fatalf("attach %s: %v", reader, err)
	}
	f.read()
	return f
}

// read reads to the end of what there is.
func (f *follower) read() *follower {
	f.r.Helper()
	for {
		b, err := f.a.Next(4096)
		if err != nil {
			f.r.Fatalf("next: %v", err)
		}
		switch {
		case b.Gap != nil:
			f.gap(*b.Gap)
		case b.End != nil:
			if f.end = b.End; *b.End != f.at {
				f.r.Errorf("END at %d, read up to %d", b.End.Seq, f.at.Seq)
			}
		case len(b.Entries) > 0:
			f.entries(b)
		default:
			return f
		}
		f.blind = false
	}
}

func (f *follower) entries(b Batch) {
	f.r.Helper()
	for _, e := range b.Entries {
		if e.Seq != f.at.Seq+1 {
			f.r.Fatalf("entry %d after %d", e.Seq, f.at.Seq)
		}
		f.at.Seq, f.at.Chain = e.Seq, relay.ChainNext(f.at.Chain, e.Seq, e.Kind, e.Envelope, e.Blobs...)
		text := string(bytes.TrimRight(e.Envelope, "\x00"))
		if e.Kind == relay.KindClosed {
			text = "closed"
		}
		f.texts = append(f.texts, text)
		f.seqs = append(f.seqs, e.Seq)
	}
	if b.Chain != f.at.Chain {
		f.r.Fatalf("chain breaks before %d", f.at.Seq)
	}
}

func (f *follower) gap(g relay.Gap) {
	f.r.Helper()
	if g.From != f.at.Seq+1 || g.To < g.From || g.After.Seq != g.To {
		f.r.Fatalf("gap %d to %d, after %d, stands at %d", g.From, g.To, g.After.Seq, f.at.Seq)
	}
	if !f.blind && g.After.Incarnation != f.at.Incarnation && g.Reason != relay.GapLost {
		f.r.Fatalf("gap of reason %d changes the incarnation", g.Reason)
	}
	f.gaps, f.at = append(f.gaps, g), g.After
}

func (f *follower) want(texts ...string) {
	f.r.Helper()
	if fmt.Sprint(f.texts) != fmt.Sprint(texts) {
		f.r.Errorf("read %q, want %q", f.texts, texts)
	}
}

// wantGaps compares gaps as from-to:reason.
func (f *follower) wantGaps(want ...string) {
	f.r.Helper()
	var got []string
	for _, g := range f.gaps {
		got = append(got, fmt.Sprintf("%d-%d:%d", g.From, g.To, g.Reason))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		f.r.Errorf("gaps %v, want %v", got, want)
	}
}

func (f *follower) ack() {
	f.r.Ack(f.a.queue, f.a.reader, f.at.Seq)
	f.r.flushAcks()
}

// copyDir copies a closed store's folder.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, p)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestMain keeps drawn tests to seconds: each case opens stores. The flag still rules.
func TestMain(m *testing.M) {
	_ = flag.Set("rapid.checks", "15")
	os.Exit(m.Run())
}
