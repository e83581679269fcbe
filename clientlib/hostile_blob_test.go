package clientlib

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/sealedfile"
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
	"github.com/sealpost/sealpost/relay/session"
)

// large has the user stage a commit of about size bytes; hold keeps its COMMIT from leaving.
func (u *user) large(id ConversationID, size int, change uint64, hold bool) (pend *pendingCommit) {
	u.t.Helper()
	u.must(u.eng.call(u.ctx(), func() (err error) {
		e, g := u.eng, u.eng.primary(id)
		pend, err = e.stage(g, &pendingChange{id: change}, &mls.CommitParams{Path: true, AAD: make([]byte, size), Now: time.Now()}, nil)
		if err != nil {
			return err
		}
		err = e.update(func(tx *state.Tx) error {
			if err := putRecord(tx, bucketPending, g.id[:], pend); err != nil {
				return err
			}
			return u.eng.saveMLS(tx, g)
		})
		if g.pend = pend; hold {
			g.holdCommits(time.Hour)
		}
		e.advance(g)
		return err
	}))
	return pend
}

// awaiting reports whether the user's log stands before a COMMIT whose blob has not come.
func (u *user) awaiting(id ConversationID) (waits bool) {
	u.t.Helper()
	u.must(u.eng.call(u.ctx(), func() error { waits = u.eng.primary(id).await != nil; return nil }))
	return waits
}

// together wants the users to be in one epoch.
func together(id ConversationID, users ...*user) {
	t := users[0].t
	t.Helper()
	n, authenticator := users[0].epoch(id)
	for _, u := range users[1:] {
		u.until("the epoch of "+users[0].name, func() bool { at, _ := u.epoch(id); return at >= n })
		if at, own := u.epoch(id); at != n || own != authenticator {
			t.Errorf("%s is in epoch %d, %s in %d, or they are apart", u.name, at, users[0].name, n)
		}
	}
}

// TestA01_CommitWithoutItsBlobIsNobodys: the relay writes a COMMIT into the log without the blob
// that its author named. The others cannot follow, so its author does not go on alone.
func TestA01_CommitWithoutItsBlobIsNobodys(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	bob.quiet()
	together(id, alice, bob)
	pend := alice.large(id, 100<<10, 0, true)
	for _, kept := range [][]relay.Hash{nil, {{1}}} {
		for _, u := range []*user{alice, bob} {
			u.must(u.eng.call(u.ctx(), func() error {
				g := u.eng.primary(id)
				at := relay.Position{Incarnation: g.cursor.Incarnation, Seq: g.cursor.Seq + 1, Chain: relay.Hash{byte(len(kept))}}
				u.eng.deliver(g, g.stream, []relayclient.Entry{{Position: at, Kind: relay.KindCommit, Envelope: pend.Envelope, Blobs: kept}})
				return nil
			}))
		}
		together(id, alice, bob)
	}
}

// TestA01_RelayGivesAnotherBlob: a relay gives one member other bytes, or another size, under the
// name of a commit's blob, or nothing. That member is told and waits: it never passes over a
// commit that the others follow. When the relay is honest again, it goes on where it was.
func TestA01_RelayGivesAnotherBlob(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	alice.quiet()
	l := s.liar(bob)
	var blob []byte
	for i, lie := range []func() func(relay.Frame) relay.Frame{
		func() func(relay.Frame) relay.Frame { return giving(make([]byte, len(blob))) },
		func() func(relay.Frame) relay.Frame { return giving(append(bytes.Clone(blob), 0)) },
		func() func(relay.Frame) relay.Frame { return giving(nil) },
		func() func(relay.Frame) relay.Frame { return refusing(relay.CodeUnknown) },
	} {
		pend := alice.large(id, 100<<10, 0, true)
		blob = pend.Blob
		l.lies(lie())
		alice.must(alice.eng.call(alice.ctx(), func() error {
			g := alice.eng.primary(id)
			g.quiet = time.Time{}
			alice.eng.advance(g)
			return nil
		}))
		bob.awaitKind(EventCannotFollow, i+1)
		together(id, alice, carol)
		told := l.asked.Load()
		bob.until("more lies", func() bool { return l.asked.Load() > told+1 })
		if !bob.awaiting(id) {
			t.Fatalf("case %d: bob has passed over a commit that the others follow", i)
		}
		l.on.Store(false)
		together(id, alice, bob)
	}
	bob.say(id, "together again")
	alice.awaitText("together again")
	if n := bob.count(bob.events, EventCannotFollow); n != 4 {
		t.Errorf("bob was told %d times of 4 lies", n)
	}
}

// TestQ01_BadBlobs: a member pins blobs that are not what its COMMIT says: of another size,
// under another key, or no sealed files. Each is a dud, for all alike, and nobody is told of
// more than there is.
func TestQ01_BadBlobs(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	for _, u := range []*user{alice, bob, carol} {
		u.quiet()
	}
	d := carol.defect(id)
	carol.close()
	since := []int{alice.told(), bob.told()}
	message := need[*mls.StagedCommit](t)(d.mls.Clone().Commit(mls.CommitParams{Path: true, AAD: make([]byte, 90<<10), Now: time.Now()})).Message()
	seal := func() ([]byte, sealedfile.Info) {
		var out bytes.Buffer
		info := need[sealedfile.Info](t)(sealedfile.Seal(&out, bytes.NewReader(message), 0))
		return out.Bytes(), info
	}
	rows := map[string]func(*sealedfile.Info){
		"a smaller size":     func(i *sealedfile.Info) { i.Plain /= 2 },
		"a larger size":      func(i *sealedfile.Info) { i.Plain = maxCommit },
		"no bytes":           func(i *sealedfile.Info) { i.Plain = 0 },
		"a byte more inside": func(i *sealedfile.Info) { i.Plain++ },
		"another key":        func(i *sealedfile.Info) { i.Key[0] ^= 1 },
	}
	for name, change := range rows {
		blob, info := seal()
		change(&info)
		d.last.Blobs = []relay.Hash{info.Hash}
		d.u.must(d.conn.Upload(d.u.ctx(), relayclient.UploadParams{
			Queue: d.last.Queue, Key: d.last.Reader, Blob: info.Hash, Size: uint64(len(blob)), Source: bytes.NewReader(blob),
		}))
		content := need[[]byte](t)(wire.Marshal(&commitContent{blob: &info}))
		d.last.ID, d.last.NextWriter = newIdempotencyID(), publicKey(newSecret().signer())
		d.last.Envelope = need[[]byte](t)(d.keys.seal(relay.KindCommit, content))
		at, err := d.conn.Commit(d.last).Wait(d.u.ctx())
		if d.last.Expect = at; err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	sameGroup(id, []*user{alice, bob}, since, alice.id, bob.id, carol.id)
	for _, u := range []*user{alice, bob} {
		if _, skipped := u.logged(id); skipped != uint64(len(rows)) {
			t.Errorf("%s passed over %d of %d commits", u.name, skipped, len(rows))
		}
	}
}

// TestR09_GapsBehindABlob: a relay that withholds a commit's blob sends gaps without end, which
// no window bounds. What is held back is bounded, and the log is read again later.
func TestR09_GapsBehindABlob(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	l := s.liar(bob)
	l.lies(refusing(relay.CodeUnknown))
	alice.large(id, 100<<10, 0, false)
	bob.until("the COMMIT", func() bool { return bob.awaiting(id) })
	bob.must(bob.eng.call(bob.ctx(), func() error {
		g := bob.eng.primary(id)
		stream := g.stream
		for n := range maxLater + 1 {
			if g.await == nil {
				t.Fatalf("left after %d gaps", n)
			}
			bob.eng.streamEvent(g, stream, relayclient.Gap{From: uint64(n), To: uint64(n)})
		}
		if g.await != nil || g.stream != nil {
			t.Error("all the gaps are in memory")
		}
		return nil
	}))
	l.on.Store(false)
	bob.must(bob.eng.call(bob.ctx(), func() error { bob.eng.advance(bob.eng.primary(id)); return nil }))
	together(id, alice, bob)
}

// TestR09_NobodyFetchesForNobody: who leaves a group while a commit's blob is withheld stops
// asking for it; so does a member whose pending commit is no more.
func TestR09_NobodyFetchesForNobody(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	l := s.liar(alice, bob)
	alice.large(id, 100<<10, 0, true)
	l.lies(refusing(relay.CodeLimit))
	alice.must(alice.eng.call(alice.ctx(), func() error {
		g := alice.eng.primary(id)
		alice.eng.storeCommit(alice.eng.links[g.rec.Relay], g, g.pend)
		return nil
	}))
	alice.until("tries", func() bool { return l.asked.Load() > 1 })
	alice.must(alice.eng.call(alice.ctx(), func() error { alice.eng.dropCommit(alice.eng.primary(id)); return nil }))
	alice.until("the end of it", func() (over bool) {
		alice.must(alice.eng.call(alice.ctx(), func() error { over = alice.eng.primary(id).storing == nil; return nil }))
		return over
	})

	l.lies(refusing(relay.CodeUnknown))
	var g *group
	bob.must(bob.eng.call(bob.ctx(), func() error {
		g = bob.eng.primary(id)
		at := g.cursor
		at.Seq++
		bob.eng.awaitCommit(g, g.stream, []relayclient.Entry{{Position: at, Kind: relay.KindCommit}}, &sealedfile.Info{Hash: [32]byte{1}})
		return nil
	}))
	bob.until("tries", func() bool { return l.asked.Load() > 1 })
	bob.must(bob.eng.call(bob.ctx(), func() error { bob.eng.leaveQueue(g, "test"); return nil }))
	bob.until("the end of it", func() (over bool) {
		bob.must(bob.eng.call(bob.ctx(), func() error { over = len(g.fetching) == 0; return nil }))
		return over
	})
}

// TestQ10_FullQuota: a member has filled the queue's quota of blobs. Large commits go in their
// envelopes; one that is too large for that holds up neither messages nor its own removal.
func TestQ10_FullQuota(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	s.queues.QueueBlobBytes = 1 // no blob fits
	s.start()
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	alice.quiet()
	before, _ := alice.epoch(id)
	members := alice.crowd(40)
	alice.must(alice.AddMembers(alice.ctx(), id, members...))
	alice.until("forty more", func() bool { return alice.members(id) == 43 })
	if now, _ := alice.epoch(id); now != before+1 {
		t.Errorf("forty were added by %d commits", now-before)
	}
	together(id, alice, bob)

	var adding uint64
	empty := alice.empty("empty")
	alice.must(alice.eng.call(alice.ctx(), func() error {
		e, g := alice.eng, alice.eng.primary(id)
		err := e.update(func(tx *state.Tx) error {
			return e.queueChange(tx, change{Group: g.id, Kind: changeAdd, Accounts: []keyserver.AccountID{empty}})
		})
		adding = e.changes[len(e.changes)-1].id
		return err
	}))
	alice.large(id, 600<<10, adding, false)
	alice.say(id, "does not wait")
	bob.awaitText("does not wait")
	alice.must(alice.eng.call(alice.ctx(), func() error {
		if alice.eng.primary(id).pend == nil {
			return errors.New("the large commit is gone")
		}
		return nil
	}))
	alice.must(alice.RemoveMember(alice.ctx(), id, carol.id))
	carol.awaitKind(EventRemoved, 1)
}

// TestA20_SilentBlobs: a relay answers PINGs and nothing else in a session for a blob. The
// session is given up.
func TestA20_SilentBlobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ls := &pipes{conns: make(chan net.Conn), over: make(chan struct{})}
		cert := need[*certpin.Development](t)(certpin.OpenDevelopment(t.TempDir()))
		key := need[session.PrivateKey](t)(session.NewPrivateKey([32]byte(newSecret())))
		l := newLiar(t, ls, cert, key, ls.dial)
		l.lies(silent)
		e := &engine{cfg: Config{DialContext: ls.dial, Transports: []Transport{WebSocket}}}
		addr := relay.Address{Host: "localhost:443", Key: key.Public(), Pin: new(relay.Hash(cert.Pin()))}
		start := time.Now()
		if err := e.getBlob(t.Context(), addr, relay.QueueID{1}, relay.Hash{1}, &arriving{want: 1024}); !errors.Is(err, errStalled) || !relayFault(err) {
			t.Errorf("down: %v", err)
		}
		blob := make([]byte, 1024)
		err := e.putBlob(t.Context(), addr, relay.QueueID{1}, newSecret().signer(), sha256.Sum256(blob), blob)
		if d := time.Since(start); !errors.Is(err, errStalled) || d > 2*blobStall+10*time.Second {
			t.Errorf("up: %v after %v", err, d)
		}
		close(ls.over)
	})
}

// pipes is a listener in memory, for a bubble with a fake clock.
type pipes struct {
	conns chan net.Conn
	over  chan struct{}
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case p.conns <- b:
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { return nil }
func (p *pipes) Addr() net.Addr { return &net.IPAddr{} }
