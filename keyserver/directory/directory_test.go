package directory

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/internal/fixture"
)

// clock is a time that tests move. It is safe for concurrent use.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a directory over a real store that can be closed and opened again.
type world struct {
	testing.TB
	clock
	cfg Config
	*Directory
}

// Failed is the test's; the Directory has one, too.
func (w *world) Failed() bool { return w.TB.Failed() }

func newWorld(t testing.TB) *world {
	w := &world{TB: t, clock: clock{now: time.Unix(1_800_000_000, 0)}}
	w.cfg = Config{Dir: t.TempDir(), Key: shard.Key{1}, Clock: w.Now, MinFree: 1}
	w.open()
	t.Cleanup(func() {
		w.sound()
		w.Directory.Close()
	})
	return w
}

// sound fails the test if a check finds anything.
func (w *world) sound() {
	w.Helper()
	err := w.Check(context.Background(), func(f shard.Finding) { w.Errorf("%s: %s", f.Where, f.What) })
	if err != nil && !errors.Is(err, shard.ErrClosed) {
		w.Error(err)
	}
}

func (w *world) open() {
	w.Helper()
	w.Directory = fixture.Must[*Directory](w)(Open(w.cfg))
}

func (w *world) reopen(restored bool) {
	w.Helper()
	if err := w.Directory.Close(); err != nil {
		w.Fatal(err)
	}
	w.cfg.Restored = restored
	w.open()
	w.cfg.Restored = false
}

func (w *world) register(p *fixture.Person) error {
	w.Helper()
	q := fixture.Must[*keyserver.RegisterRequest](w)(keyserver.SignRegister(p.Devices[0], p.Handle, p.Chain[0]))
	_, err := w.Register(context.Background(), q)
	return err
}

// person registers somebody new.
func (w *world) person(handle string) *fixture.Person {
	w.Helper()
	p := fixture.NewPerson(w, handle)
	if err := w.register(p); err != nil {
		w.Fatal(err)
	}
	return p
}

// append adds a device to the person's chain, here and there.
func (w *world) addDevice(p *fixture.Person) {
	w.Helper()
	if _, err := w.Append(context.Background(), &keyserver.AppendRequest{Account: p.ID(), Entry: p.AddDevice(w)}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) upload(p *fixture.Person, device int, packages [][]byte, last []byte) (*keyserver.StockReply, error) {
	q := &keyserver.UploadRequest{Account: p.ID(), Suite: fixture.Suite, Incarnation: w.Incarnation(), Packages: packages, LastResort: last}
	q.Sign(p.Devices[device], w.Now())
	return w.Upload(context.Background(), q)
}

func (w *world) mustUpload(p *fixture.Person, device int, packages [][]byte, last []byte) {
	w.Helper()
	fixture.Must[*keyserver.StockReply](w)(w.upload(p, device, packages, last))
}

func (w *world) stock(p *fixture.Person, device int) (int, bool) {
	w.Helper()
	q := &keyserver.StockRequest{Account: p.ID(), Suite: fixture.Suite}
	q.Sign(p.Devices[device], w.Now())
	s := fixture.Must[*keyserver.StockReply](w)(w.Stock(q))
	return int(s.OneTime), s.LastResort
}

func (w *world) take(p *fixture.Person, id byte) ([]keyserver.Package, error) {
	r, err := w.Take(context.Background(), &keyserver.TakeRequest{RequestID: [32]byte{id}, Account: p.ID(), Suite: fixture.Suite}, false)
	if err != nil {
		return nil, err
	}
	return r.Packages, nil
}

func (w *world) mustTake(p *fixture.Person, id byte) []keyserver.Package {
	w.Helper()
	return fixture.Must[[]keyserver.Package](w)(w.take(p, id))
}

func samePackages(a, b []keyserver.Package) bool {
	return slices.EqualFunc(a, b, func(x, y keyserver.Package) bool {
		return x.Device == y.Device && x.LastResort == y.LastResort && bytes.Equal(x.KeyPackage, y.KeyPackage)
	})
}

func TestRegisterAndLookup(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	if err := w.register(bob); err != nil {
		t.Fatalf("the same registration again: %v", err)
	}
	other := fixture.NewPerson(t, "bob")
	if err := w.register(other); !errors.Is(err, keyserver.ErrHandleTaken) {
		t.Fatalf("another account with the handle: %v, want ErrHandleTaken", err)
	}
	bob.Handle = "bobby"
	if err := w.register(bob); !errors.Is(err, keyserver.ErrConflict) {
		t.Fatalf("a second handle: %v, want ErrConflict", err)
	}
	stolen := fixture.Must[*keyserver.RegisterRequest](t)(keyserver.SignRegister(bob.Devices[0], "bob", bob.Chain[0]))
	stolen.Handle = "mallory"
	if _, err := w.Register(t.Context(), stolen); !errors.Is(err, keyserver.ErrDenied) {
		t.Fatalf("a chain under a handle that its device did not sign: %v, want ErrDenied", err)
	}
	for range 2 {
		for name, q := range map[string]*keyserver.LookupRequest{"handle": {Handle: "bob"}, "id": {Account: bob.ID()}} {
			found := fixture.Must[*keyserver.LookupReply](t)(w.Lookup(q))
			a := fixture.Must[*keyserver.Account](t)(found.Verify())
			if a.ID != bob.ID() || found.Handle != "bob" {
				t.Errorf("look-up by %s finds handle %q", name, found.Handle)
			}
		}
		w.reopen(false)
	}
	for _, q := range []*keyserver.LookupRequest{{Handle: "bobby"}, {Handle: "mallory"}, {Account: other.ID()}} {
		if _, err := w.Lookup(q); !errors.Is(err, keyserver.ErrNotFound) {
			t.Errorf("look-up of a stranger: %v, want ErrNotFound", err)
		}
	}
}

// TestHandleRace: of many accounts that ask for one handle at the same moment, one has it.
func TestHandleRace(t *testing.T) {
	w := newWorld(t)
	people := make([]*fixture.Person, 32)
	for i := range people {
		people[i] = fixture.NewPerson(t, "alice")
	}
	results := make([]error, len(people))
	var wg sync.WaitGroup
	for i, p := range people {
		wg.Go(func() { results[i] = w.register(p) })
	}
	wg.Wait()
	winner := -1
	for i, err := range results {
		switch {
		case err == nil && winner < 0:
			winner = i
		case err == nil:
			t.Fatal("two accounts have one handle")
		case !errors.Is(err, keyserver.ErrHandleTaken):
			t.Fatal(err)
		}
	}
	found := fixture.Must[*keyserver.LookupReply](t)(w.Lookup(&keyserver.LookupRequest{Handle: "alice"}))
	if winner < 0 || found.Account != people[winner].ID() {
		t.Fatal("the handle is not the winner's")
	}
}

func TestAppend(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	ctx, id := t.Context(), bob.ID()
	before := slices.Clone(bob.Chain)
	w.addDevice(bob)
	head := keyserver.EntryHash(bob.Chain[1])
	if got, err := w.Append(ctx, &keyserver.AppendRequest{Account: id, Entry: bob.Chain[1]}); err != nil || got != head {
		t.Fatalf("the same entry again: %v", err)
	}
	loser := fixture.Must[[]byte](t)(keyserver.AddDevice(before, bob.Devices[0], fixture.Key(t)))
	if _, err := w.Append(ctx, &keyserver.AppendRequest{Account: id, Entry: loser}); !errors.Is(err, keyserver.ErrConflict) {
		t.Fatalf("an entry for the head before: %v, want ErrConflict", err)
	}
	eve := w.person("eve")
	ghost := eve.AddDevice(t)
	if _, err := w.Append(ctx, &keyserver.AppendRequest{Account: id, Entry: ghost}); err == nil {
		t.Fatal("an entry of another chain was accepted")
	}
	forged := bytes.Clone(fixture.Must[[]byte](t)(keyserver.AddDevice(bob.Chain, bob.Devices[0], fixture.Key(t))))
	forged[len(forged)-1] ^= 1
	if _, err := w.Append(ctx, &keyserver.AppendRequest{Account: id, Entry: forged}); !errors.Is(err, keyserver.ErrChain) {
		t.Fatalf("a forged entry: %v, want ErrChain", err)
	}
	stranger := fixture.NewPerson(t, "zed")
	if _, err := w.Append(ctx, &keyserver.AppendRequest{Account: stranger.ID(), Entry: stranger.AddDevice(t)}); !errors.Is(err, keyserver.ErrNotFound) {
		t.Fatalf("an account that is not there: %v, want ErrNotFound", err)
	}
	found := fixture.Must[*keyserver.LookupReply](t)(w.Lookup(&keyserver.LookupRequest{Account: id}))
	if !slices.EqualFunc(found.Entries, bob.Chain, bytes.Equal) {
		t.Fatal("a refused entry left a trace")
	}
}

// TestAppendRace: of many entries for one head, one is accepted and the others are told.
func TestAppendRace(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	results, entries := make([]error, 64), make([][]byte, 64)
	for i := range entries {
		entries[i] = fixture.Must[[]byte](t)(keyserver.AddDevice(bob.Chain, bob.Devices[0], fixture.Key(t)))
	}
	var wg sync.WaitGroup
	for i, entry := range entries {
		wg.Go(func() {
			_, results[i] = w.Append(context.Background(), &keyserver.AppendRequest{Account: bob.ID(), Entry: entry})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
		} else if !errors.Is(err, keyserver.ErrConflict) {
			t.Fatal(err)
		}
	}
	if found := fixture.Must[*keyserver.LookupReply](t)(w.Lookup(&keyserver.LookupRequest{Handle: "bob"})); won != 1 || len(found.Entries) != 2 {
		t.Fatalf("%d entries won, the chain has %d", won, len(found.Entries))
	}
}
