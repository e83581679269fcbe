package directory

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/internal/fixture"
	"github.com/sealpost/sealpost/mls"
)

const day = 24 * time.Hour

func TestTake(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	packages, last := bob.Packages(t, 3, w.Now()), bob.Draft(0, w.Now()).Package(t)
	if _, err := w.take(bob, 1); !errors.Is(err, keyserver.ErrExhausted) {
		t.Fatalf("an empty pool: %v, want ErrExhausted", err)
	}
	w.mustUpload(bob, 0, packages, last)
	for i, want := range packages {
		got := w.mustTake(bob, byte(i))
		if len(got) != 1 || !bytes.Equal(got[0].KeyPackage, want) || got[0].LastResort || got[0].Device != keyserver.DeviceOf(bob.Devices[0]) {
			t.Fatalf("take %d is not package %d", i, i)
		}
		w.reopen(false)
		if again := w.mustTake(bob, byte(i)); !samePackages(again, got) {
			t.Fatalf("take %d again, after a restart, gets another package", i)
		}
	}
	for id := byte(10); id < 13; id++ {
		if got := w.mustTake(bob, id); len(got) != 1 || !got[0].LastResort || !bytes.Equal(got[0].KeyPackage, last) {
			t.Fatal("an empty pool does not give the last resort")
		}
	}
	if n, has := w.stock(bob, 0); n != 0 || !has {
		t.Fatalf("stock is %d, last resort %v", n, has)
	}
	w.mustUpload(bob, 0, packages, nil)
	if n, _ := w.stock(bob, 0); n != 0 {
		t.Fatal("used packages came back by being uploaded again")
	}
	stranger := fixture.NewPerson(t, "zed")
	if _, err := w.take(stranger, 1); !errors.Is(err, keyserver.ErrNotFound) {
		t.Fatalf("an account that is not there: %v, want ErrNotFound", err)
	}
}

// wantUsed checks that the first n packages of a device's pool are used up on disk, and that
// nothing can be read of them.
func (w *world) wantUsed(p *fixture.Person, device, n int) {
	w.Helper()
	o := owner{p.ID(), keyserver.DeviceOf(p.Devices[device]), fixture.Suite}
	err := w.store.View(func(snap *shard.Snapshot) error {
		for seq := range n {
			rec, err := load[packageRecord](snap, names(w.store.Name).pack(o, uint64(seq)))
			if err != nil {
				return err
			}
			if rec == nil || !rec.used || len(rec.bytes) != 0 {
				w.Errorf("package %d of device %d is not marked as used, or has bytes", seq, device)
			}
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

func TestTakeOfEveryDevice(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	w.addDevice(bob)
	w.addDevice(bob)
	now := w.Now()
	w.mustUpload(bob, 0, [][]byte{bob.Draft(0, now).Package(t)}, nil)
	w.mustUpload(bob, 1, [][]byte{bob.Draft(1, now).Package(t), bob.Draft(1, now).Package(t)}, nil)
	first := w.mustTake(bob, 1)
	if len(first) != 2 || first[0].Device != keyserver.DeviceOf(bob.Devices[0]) || first[1].Device != keyserver.DeviceOf(bob.Devices[1]) {
		t.Fatalf("%d packages; want one of each device that has any", len(first))
	}
	removal := fixture.Must[[]byte](t)(keyserver.RemoveDevice(bob.Chain, bob.Devices[0], keyserver.DeviceOf(bob.Devices[1])))
	if _, err := w.Append(t.Context(), &keyserver.AppendRequest{Account: bob.ID(), Entry: removal}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.take(bob, 2); !errors.Is(err, keyserver.ErrExhausted) {
		t.Fatalf("a removed device's package was handed out: %v", err)
	}
	w.wantUsed(bob, 1, 2)
	if again := w.mustTake(bob, 1); !samePackages(again, first) {
		t.Fatal("the removal changed what an earlier request gets")
	}
	if _, err := w.upload(bob, 1, [][]byte{bob.Draft(1, now).Package(t)}, nil); !errors.Is(err, keyserver.ErrDenied) {
		t.Fatalf("upload by a removed device: %v, want ErrDenied", err)
	}
}

// TestB07_LastResortOnly: an account that is asked for too often keeps its one-time packages.
func TestB07_LastResortOnly(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	last := bob.Draft(0, w.Now()).Package(t)
	w.mustUpload(bob, 0, bob.Packages(t, 2, w.Now()), last)
	q := &keyserver.TakeRequest{RequestID: [32]byte{1}, Account: bob.ID(), Suite: fixture.Suite}
	for range 2 {
		got := fixture.Must[*keyserver.TakeReply](t)(w.Take(t.Context(), q, true)).Packages
		if len(got) != 1 || !got[0].LastResort || !bytes.Equal(got[0].KeyPackage, last) {
			t.Fatal("not the last resort")
		}
		if again := w.mustTake(bob, 1); !samePackages(again, got) {
			t.Fatal("the same request in better times gets another package")
		}
	}
	if n, _ := w.stock(bob, 0); n != 2 {
		t.Fatalf("stock is %d, want 2", n)
	}
}

// TestB07_LastResortsCostNextToNothing: however often a last resort is asked for, its bytes
// are kept once; every request gets it again, also when it was replaced since or its device
// was removed.
func TestB07_LastResortsCostNextToNothing(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	w.addDevice(bob)
	old := bob.Draft(1, w.Now()).Package(t)
	w.mustUpload(bob, 1, nil, old)
	for id := range byte(20) {
		w.mustTake(bob, id)
	}
	kept := 0
	if err := w.store.View(func(snap *shard.Snapshot) error {
		return snap.Scan([]byte{kindTaken}, nil, func(_, value []byte) bool {
			kept += len(value)
			return true
		})
	}); err != nil {
		t.Fatal(err)
	}
	if kept == 0 || kept > 20*64 {
		t.Errorf("20 takes of a last resort of %d bytes keep %d bytes", len(old), kept)
	}
	again := func(when string) {
		t.Helper()
		if got := w.mustTake(bob, 7); len(got) != 1 || !got[0].LastResort || !bytes.Equal(got[0].KeyPackage, old) {
			t.Errorf("%s the same request gets another package", when)
		}
	}
	w.mustUpload(bob, 1, nil, bob.Draft(1, w.Now()).Package(t))
	again("after a replacement")
	removal := fixture.Must[[]byte](t)(keyserver.RemoveDevice(bob.Chain, bob.Devices[0], keyserver.DeviceOf(bob.Devices[1])))
	if _, err := w.Append(t.Context(), &keyserver.AppendRequest{Account: bob.ID(), Entry: removal}); err != nil {
		t.Fatal(err)
	}
	w.reopen(false)
	again("after a removal")
	if _, err := w.take(bob, 99); !errors.Is(err, keyserver.ErrExhausted) {
		t.Errorf("a new request gets a removed device's last resort: %v", err)
	}
}

// TestB09_StalePackageIsNotServed: what expired in the pool is passed over, by the package's
// end or its credential's.
func TestB09_StalePackageIsNotServed(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	short, credential := bob.Draft(0, w.Now()), bob.Draft(0, w.Now())
	short.NotAfter = w.Now().Add(day)
	credential.CredentialEnd = w.Now().Add(day)
	long := bob.Draft(0, w.Now()).Package(t)
	w.mustUpload(bob, 0, [][]byte{short.Package(t), credential.Package(t), long}, short.Package(t))
	w.Add(day + time.Second)
	if n, has := w.stock(bob, 0); n != 1 || has {
		t.Fatalf("stock is %d, last resort %v; want 1 and none", n, has)
	}
	if got := w.mustTake(bob, 1); len(got) != 1 || !bytes.Equal(got[0].KeyPackage, long) {
		t.Fatal("not the package that is still good")
	}
	if _, err := w.take(bob, 2); !errors.Is(err, keyserver.ErrExhausted) {
		t.Fatalf("expired packages are left: %v, want ErrExhausted", err)
	}
}

// TestB12_UploadRefused: every upload that must not be stored leaves no trace.
func TestB12_UploadRefused(t *testing.T) {
	w := newWorld(t)
	bob, eve := w.person("bob"), w.person("eve")
	now := w.Now()
	stored := bob.Draft(0, now).Package(t)
	oldLast, newLast := bob.Draft(0, now).Package(t), bob.Draft(0, now).Package(t)
	w.mustUpload(bob, 0, [][]byte{stored}, oldLast)
	w.mustUpload(bob, 0, nil, newLast)
	good := bob.Draft(0, now).Package(t)
	draft := func(change func(*fixture.Draft)) []byte {
		d := bob.Draft(0, now)
		change(&d)
		return d.Package(t)
	}
	tampered := bytes.Clone(good)
	tampered[40] ^= 1
	repeats := draft(func(d *fixture.Draft) { d.InitKeyOf = good })
	type request = keyserver.UploadRequest
	for name, c := range map[string]struct {
		change func(*request)
		want   error
	}{
		"tampered package": {func(q *request) { q.Packages = [][]byte{good, tampered} }, keyserver.ErrPackage},
		"expired package":  {func(q *request) { q.Packages[0] = draft(func(d *fixture.Draft) { d.NotAfter = now.Add(-time.Second) }) }, keyserver.ErrExpired},
		"endless package": {func(q *request) {
			q.Packages[0] = draft(func(d *fixture.Draft) { d.NotAfter = now.Add(28*day + 2*time.Hour) })
		}, keyserver.ErrExpired},
		"package of another":     {func(q *request) { q.Packages = append(q.Packages, eve.Draft(0, now).Package(t)) }, keyserver.ErrPackage},
		"garbage":                {func(q *request) { q.Packages = append(q.Packages, []byte("garbage")) }, keyserver.ErrPackage},
		"oversize package":       {func(q *request) { q.Packages[0] = make([]byte, keyserver.MaxPackage+1) }, keyserver.ErrTooLarge},
		"package twice":          {func(q *request) { q.Packages = [][]byte{good, good} }, keyserver.ErrInvalid},
		"init key twice":         {func(q *request) { q.Packages = [][]byte{good, repeats} }, keyserver.ErrInvalid},
		"init key of the pool's": {func(q *request) { q.Packages[0] = draft(func(d *fixture.Draft) { d.InitKeyOf = stored }) }, keyserver.ErrInvalid},
		"also as last resort":    {func(q *request) { q.LastResort = good }, keyserver.ErrInvalid},
		"last resort as one":     {func(q *request) { q.Packages = [][]byte{newLast} }, keyserver.ErrInvalid},
		"one as last resort":     {func(q *request) { q.LastResort = stored }, keyserver.ErrInvalid},
		"replaced last resort":   {func(q *request) { q.LastResort = oldLast }, keyserver.ErrInvalid},
		"bad last resort":        {func(q *request) { q.LastResort = tampered }, keyserver.ErrPackage},
		"of a suite not stated": {func(q *request) {
			q.Packages[0] = draft(func(d *fixture.Draft) {
				d.Suite, d.CredentialSuite = mls.SuiteP256AES128P256, uint16(mls.SuiteP256AES128P256)
			})
		}, keyserver.ErrPackage},
		"as of another suite": {func(q *request) { q.Suite = mls.SuiteP256AES128P256 }, keyserver.ErrPackage},
		"nothing":             {func(q *request) { q.Packages = nil }, keyserver.ErrInvalid},
		"old incarnation":     {func(q *request) { q.Incarnation[0] ^= 1 }, keyserver.ErrIncarnation},
	} {
		q := &request{Account: bob.ID(), Suite: fixture.Suite, Incarnation: w.Incarnation(), Packages: [][]byte{good}}
		c.change(q)
		q.Sign(bob.Devices[0], now)
		if _, err := w.Upload(t.Context(), q); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if n, has := w.stock(bob, 0); n != 1 || !has {
			t.Fatalf("%s: left a trace: %d packages, last resort %v", name, n, has)
		}
	}
	if got := w.mustTake(bob, 1); !bytes.Equal(got[0].KeyPackage, stored) {
		t.Error("the pool's package was replaced")
	}
	if got := w.mustTake(bob, 2); !bytes.Equal(got[0].KeyPackage, newLast) {
		t.Error("the last resort was replaced")
	}
	w.mustUpload(bob, 0, [][]byte{good}, nil) // nothing of the refused uploads stands in its way
}

func TestUploadBySomebodyElse(t *testing.T) {
	w := newWorld(t)
	bob, eve := w.person("bob"), w.person("eve")
	now := w.Now()
	stranger := fixture.NewPerson(t, "zed")
	request := func(account keyserver.AccountID, at time.Time) *keyserver.UploadRequest {
		q := &keyserver.UploadRequest{Account: account, Suite: fixture.Suite, Incarnation: w.Incarnation(), Packages: bob.Packages(t, 1, now)}
		q.Sign(bob.Devices[0], at)
		return q
	}
	byEve := request(bob.ID(), now)
	byEve.Sign(eve.Devices[0], now)
	claimed := request(bob.ID(), now)
	claimed.Sign(eve.Devices[0], now)
	claimed.Device = keyserver.DeviceOf(bob.Devices[0])
	changed := request(bob.ID(), now)
	changed.Packages[0][50] ^= 1
	for name, c := range map[string]struct {
		q    *keyserver.UploadRequest
		want error
	}{
		"wrong device":         {byEve, keyserver.ErrDenied},
		"wrong signature":      {claimed, keyserver.ErrDenied},
		"changed on the way":   {changed, keyserver.ErrDenied},
		"unknown account":      {request(stranger.ID(), now), keyserver.ErrDenied},
		"another's account":    {request(eve.ID(), now), keyserver.ErrDenied},
		"captured long ago":    {request(bob.ID(), now.Add(-keyserver.MaxSkew-time.Second)), keyserver.ErrExpired},
		"signed in the future": {request(bob.ID(), now.Add(keyserver.MaxSkew+time.Second)), keyserver.ErrExpired},
	} {
		if _, err := w.Upload(t.Context(), c.q); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if n, _ := w.stock(bob, 0); n != 0 {
		t.Fatalf("%d packages were stored", n)
	}
	s := &keyserver.StockRequest{Account: bob.ID(), Suite: fixture.Suite}
	s.Sign(eve.Devices[0], now)
	if _, err := w.Stock(s); !errors.Is(err, keyserver.ErrDenied) {
		t.Errorf("a stranger asks for the stock: %v, want ErrDenied", err)
	}
}

func TestPoolQuota(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	for range keyserver.MaxPool / keyserver.MaxUpload {
		w.mustUpload(bob, 0, bob.Packages(t, keyserver.MaxUpload, w.Now()), nil)
	}
	one := bob.Packages(t, 1, w.Now())
	if _, err := w.upload(bob, 0, one, nil); !errors.Is(err, keyserver.ErrQuota) {
		t.Fatalf("package %d: %v, want ErrQuota", keyserver.MaxPool+1, err)
	}
	w.mustTake(bob, 1)
	w.mustUpload(bob, 0, one, nil)
	if n, _ := w.stock(bob, 0); n != keyserver.MaxPool {
		t.Fatalf("stock is %d, want %d", n, keyserver.MaxPool)
	}
}

// TestA14_RestoreDropsOneTimePackages: after a restore from a backup, packages that may have
// been handed out since are dropped, and uploads signed before it are refused.
func TestA14_RestoreDropsOneTimePackages(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	packages := bob.Packages(t, 3, w.Now())
	w.mustUpload(bob, 0, packages, bob.Draft(0, w.Now()).Package(t))
	taken := w.mustTake(bob, 1)
	late := &keyserver.UploadRequest{Account: bob.ID(), Suite: fixture.Suite, Incarnation: w.Incarnation(), Packages: bob.Packages(t, 1, w.Now())}
	late.Sign(bob.Devices[0], w.Now())
	w.reopen(true)

	if n, has := w.stock(bob, 0); n != 0 || !has {
		t.Fatalf("stock is %d, last resort %v; want 0 and one", n, has)
	}
	if got := w.mustTake(bob, 2); len(got) != 1 || !got[0].LastResort {
		t.Fatal("a one-time package from before the restore was handed out")
	}
	w.wantUsed(bob, 0, 3)
	if again := w.mustTake(bob, 1); !samePackages(again, taken) {
		t.Fatal("a request that the backup knows gets another package")
	}
	if _, err := w.Upload(t.Context(), late); !errors.Is(err, keyserver.ErrIncarnation) {
		t.Fatalf("an upload from before the restore: %v, want ErrIncarnation", err)
	}
	w.mustUpload(bob, 0, packages, nil)
	if n, _ := w.stock(bob, 0); n != 0 {
		t.Fatal("dropped packages came back by being uploaded again")
	}
	fresh := bob.Packages(t, 1, w.Now())
	w.mustUpload(bob, 0, fresh, nil)
	w.reopen(false)
	if got := w.mustTake(bob, 3); !bytes.Equal(got[0].KeyPackage, fresh[0]) {
		t.Fatal("a fresh package was not kept")
	}
}

// TestR24_Sweep: what is over goes, without a trace, but not because the clock jumped.
func TestR24_Sweep(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	now := w.Now()
	w.mustUpload(bob, 0, bob.Packages(t, 5, now), bob.Draft(0, now).Package(t))
	first := w.mustTake(bob, 1)
	w.Add(7*day - time.Second)
	if err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := w.mustTake(bob, 1); !samePackages(again, first) {
		t.Fatal("within 7 days the same request got other packages")
	}
	w.Add(30 * day) // a jump, which the store's day follows one sweep after the other
	if err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := w.mustTake(bob, 1); !samePackages(again, first) {
		t.Fatal("the clock jumped, and the same request got other packages")
	}
	for range 40 {
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.take(bob, 1); !errors.Is(err, keyserver.ErrExhausted) {
		t.Fatalf("after everything has expired: %v, want ErrExhausted", err)
	}
	w.mustUpload(bob, 0, bob.Packages(t, 1, w.Now()), nil)
	if err := w.Directory.Close(); err != nil {
		t.Fatal(err)
	}
	kinds := map[byte]int{}
	db := fixture.Must[*badger.DB](t)(badger.OpenManaged(badger.DefaultOptions(w.cfg.Dir + "/badger").WithLogger(nil)))
	defer db.Close()
	txn := db.NewTransactionAt(1<<62, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.DefaultIteratorOptions)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		kinds[key[0]]++
		if id := bob.ID(); bytes.Contains(key, id[:8]) || bytes.Contains(key, []byte("bob")) {
			t.Error("a key holds an id in clear")
		}
		if err := it.Item().Value(func(v []byte) error {
			if bytes.Contains(v, []byte("bob")) {
				t.Error("a value holds the handle in clear")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for kind, want := range map[byte]int{kindAccount: 1, kindHandle: 1, kindPool: 1, kindPackage: 1, kindRef: 1, kindInit: 1, kindTaken: 0, kindDue: 1, kindDay: 1} {
		if kinds[kind] != want {
			t.Errorf("%d records of kind %c are left, want %d", kinds[kind], kind, want)
		}
	}
}

// TestPoolsOfSuites: a device has a pool for each suite that it states. What it no longer states
// is gone, and does not come back when it states it again.
func TestPoolsOfSuites(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	other := mls.SuiteP256AES128P256
	of := func(s mls.Suite) []byte {
		d := bob.Draft(0, w.Now())
		d.Suite, d.CredentialSuite = s, uint16(s)
		return d.Package(t)
	}
	state := func(suites ...mls.Suite) {
		t.Helper()
		entry := fixture.Must[[]byte](t)(keyserver.StateSuites(bob.Chain, bob.Devices[0], suites...))
		bob.Chain = append(bob.Chain, entry)
		fixture.Must[[32]byte](t)(w.Append(t.Context(), &keyserver.AppendRequest{Account: bob.ID(), Entry: entry}))
	}
	put := func(s mls.Suite, packages [][]byte, last []byte) error {
		q := &keyserver.UploadRequest{Account: bob.ID(), Suite: s, Incarnation: w.Incarnation(), Packages: packages, LastResort: last}
		q.Sign(bob.Devices[0], w.Now())
		_, err := w.Upload(t.Context(), q)
		return err
	}
	take := func(id byte, s mls.Suite) ([]keyserver.Package, error) {
		r, err := w.Take(t.Context(), &keyserver.TakeRequest{RequestID: [32]byte{id}, Account: bob.ID(), Suite: s}, false)
		if err != nil {
			return nil, err
		}
		return r.Packages, nil
	}
	if err := put(other, [][]byte{of(other)}, nil); !errors.Is(err, keyserver.ErrPackage) {
		t.Errorf("before it is stated: %v, want ErrPackage", err)
	}
	state(fixture.Suite, other)
	old, last, classic := of(other), of(other), of(fixture.Suite)
	for _, err := range []error{put(other, [][]byte{old}, last), put(fixture.Suite, [][]byte{classic}, nil)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, err := take(1, fixture.Suite); err != nil || len(got) != 1 || !bytes.Equal(got[0].KeyPackage, classic) {
		t.Errorf("of the first suite: %v, %v", got, err)
	}
	if _, err := take(2, fixture.Suite); !errors.Is(err, keyserver.ErrExhausted) {
		t.Errorf("of the first suite again: %v, want ErrExhausted, and nothing of another suite", err)
	}
	if got, err := take(1, other); err != nil || len(got) != 1 || !bytes.Equal(got[0].KeyPackage, old) {
		t.Errorf("of the other, under the same request id: %v, %v", got, err)
	}
	if got, err := take(3, other); err != nil || !got[0].LastResort || !bytes.Equal(got[0].KeyPackage, last) {
		t.Errorf("last resort: %v, %v", got, err)
	}
	if err := put(other, [][]byte{of(other)}, nil); err != nil {
		t.Fatal(err)
	}
	state(fixture.Suite)
	state(fixture.Suite, other)
	if _, err := take(4, other); !errors.Is(err, keyserver.ErrExhausted) {
		t.Errorf("withdrawn and stated again: %v, want ErrExhausted", err)
	}
	if got, err := take(3, other); err != nil || !bytes.Equal(got[0].KeyPackage, last) {
		t.Errorf("the request that had the last resort: %v, %v", got, err)
	}
	fresh := of(other)
	if err := put(other, [][]byte{fresh}, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := take(5, other); err != nil || !bytes.Equal(got[0].KeyPackage, fresh) {
		t.Errorf("a fresh one: %v, %v", got, err)
	}
}
