package httpserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/internal/fixture"
)

// serve opens a key server in dir and serves it on l until the returned function is called.
func serve(t testing.TB, dir string, l net.Listener, limits Limits) (pin certpin.Pin, stop func()) {
	t.Helper()
	dev := fixture.Must[*certpin.Development](t)(certpin.OpenDevelopment(dir, "127.0.0.1"))
	s := fixture.Must[*Server](t)(Open(Config{Dir: dir, Key: shard.Key{1}, Limits: limits, MinFree: 1}))
	h := s.HTTP(dev.ServerConfig())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := h.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	return dev.Pin(), func() {
		if err := errors.Join(h.Close(), s.Close()); err != nil {
			t.Error(err)
		}
		<-done
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	return fixture.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
}

func addressOf(l net.Addr, pin certpin.Pin) keyserver.Address {
	ap := netip.MustParseAddrPort(l.String())
	return keyserver.Address{Host: ap.Addr().String(), Port: ap.Port(), Pin: &pin}
}

// newClient starts a server and returns a client of it over real HTTPS.
func newClient(t testing.TB, limits Limits) (*keyserver.Client, keyserver.Address) {
	t.Helper()
	l := listen(t)
	pin, stop := serve(t, t.TempDir(), l, limits)
	c := keyserver.NewClient(addressOf(l.Addr(), pin), keyserver.Options{})
	t.Cleanup(func() { c.Close(); stop() })
	return c, addressOf(l.Addr(), pin)
}

func requestID() (id [32]byte) {
	rand.Read(id[:])
	return id
}

// upload puts packages into the pool of the person's first device.
func upload(t testing.TB, c *keyserver.Client, p *fixture.Person, packages [][]byte, last []byte) {
	t.Helper()
	ctx := context.Background()
	stock := fixture.Must[*keyserver.StockReply](t)(c.Stock(ctx, p.Devices[0], p.ID(), fixture.Suite))
	fixture.Must[*keyserver.StockReply](t)(c.Upload(ctx, p.Devices[0], p.ID(), fixture.Suite, stock.Incarnation, packages, last))
}

func TestConversationWithAServer(t *testing.T) {
	c, _ := newClient(t, Limits{})
	ctx := t.Context()
	bob := fixture.NewPerson(t, "bob")
	for range 2 {
		if id, err := c.Register(ctx, bob.Devices[0], "bob", bob.Chain[0]); err != nil || id != bob.ID() {
			t.Fatal(err)
		}
	}
	other := fixture.NewPerson(t, "bob")
	if _, err := c.Register(ctx, other.Devices[0], "bob", other.Chain[0]); !errors.Is(err, keyserver.ErrHandleTaken) {
		t.Fatalf("a handle in use: %v, want ErrHandleTaken", err)
	}
	for range 2 {
		if len(bob.Chain) == 1 {
			bob.AddDevice(t)
		}
		if err := c.AppendEntry(ctx, bob.ID(), bob.Chain[1]); err != nil {
			t.Fatal(err)
		}
	}
	found := fixture.Must[*keyserver.Listing](t)(c.Lookup(ctx, "bob"))
	byID := fixture.Must[*keyserver.Listing](t)(c.LookupID(ctx, bob.ID()))
	if found.Account.ID != bob.ID() || len(byID.Account.Devices) != 2 || byID.Handle != "bob" {
		t.Fatal("look-up finds another account")
	}
	now := time.Now()
	packages := bob.Packages(t, keyserver.MaxUpload, now)
	upload(t, c, bob, packages, bob.Draft(0, now).Package(t))
	id := requestID()
	for range 2 {
		got := fixture.Must[[]keyserver.Package](t)(c.Take(ctx, id, bob.ID(), fixture.Suite))
		if len(got) != 1 || !bytes.Equal(got[0].KeyPackage, packages[0]) {
			t.Fatal("not the oldest package")
		}
		fixture.Must[*keyserver.CheckedPackage](t)(keyserver.CheckPackage(got[0].KeyPackage, found.Account, got[0].Device, now))
	}
	stock := fixture.Must[*keyserver.StockReply](t)(c.Stock(ctx, bob.Devices[0], bob.ID(), fixture.Suite))
	if stock.OneTime != keyserver.MaxUpload-1 || !stock.LastResort || stock.Incarnation == [16]byte{} {
		t.Fatalf("stock is %d", stock.OneTime)
	}
	for _, chunk := range [][]byte{{1}, bytes.Repeat([]byte{2}, keyserver.MaxChunk)} {
		hash := fixture.Must[keyserver.ChunkHash](t)(c.PutChunk(ctx, chunk))
		if got := fixture.Must[[]byte](t)(c.GetChunk(ctx, hash)); !bytes.Equal(got, chunk) {
			t.Fatal("another chunk came back")
		}
	}
}

func TestRefusalsOverTheWire(t *testing.T) {
	c, _ := newClient(t, Limits{})
	ctx := t.Context()
	bob, eve := fixture.NewPerson(t, "bob"), fixture.NewPerson(t, "eve")
	now := time.Now()
	fixture.Must[keyserver.AccountID](t)(c.Register(ctx, bob.Devices[0], "bob", bob.Chain[0]))
	stock := fixture.Must[*keyserver.StockReply](t)(c.Stock(ctx, bob.Devices[0], bob.ID(), fixture.Suite))
	expired := bob.Draft(0, now)
	expired.NotAfter = now.Add(-time.Minute)
	tampered := bob.Draft(0, now).Package(t)
	tampered[60] ^= 1
	put := func(key int, packages ...[]byte) error {
		by := []*fixture.Person{bob, eve}[key].Devices[0]
		_, err := c.Upload(ctx, by, bob.ID(), fixture.Suite, stock.Incarnation, packages, nil)
		return err
	}
	one := bob.Draft(0, now).Package(t)
	for name, got := range map[string]struct{ err, want error }{
		"unknown handle":      {second(c.Lookup(ctx, "nobody")), keyserver.ErrNotFound},
		"unknown account":     {second(c.LookupID(ctx, eve.ID())), keyserver.ErrNotFound},
		"unknown chunk":       {second(c.GetChunk(ctx, keyserver.ChunkHash{})), keyserver.ErrNotFound},
		"take of a stranger":  {second(c.Take(ctx, requestID(), eve.ID(), fixture.Suite)), keyserver.ErrNotFound},
		"take of nothing":     {second(c.Take(ctx, requestID(), bob.ID(), fixture.Suite)), keyserver.ErrExhausted},
		"stock of a stranger": {second(c.Stock(ctx, eve.Devices[0], bob.ID(), fixture.Suite)), keyserver.ErrDenied},
		"wrong device":        {put(1, one), keyserver.ErrDenied},
		"expired":             {put(0, expired.Package(t)), keyserver.ErrExpired},
		"tampered":            {put(0, tampered), keyserver.ErrInvalid},
		"twice":               {put(0, one, one), keyserver.ErrInvalid},
		"too many":            {put(0, make([][]byte, keyserver.MaxUpload+1)...), keyserver.ErrTooLarge},
		"too large":           {second(c.PutChunk(ctx, make([]byte, keyserver.MaxChunk+1))), keyserver.ErrTooLarge},
		"empty":               {second(c.PutChunk(ctx, nil)), keyserver.ErrInvalid},
		"foreign entry":       {c.AppendEntry(ctx, bob.ID(), eve.AddDevice(t)), keyserver.ErrConflict},
	} {
		if !errors.Is(got.err, got.want) {
			t.Errorf("%s: %v, want %v", name, got.err, got.want)
		}
	}
	if stock := fixture.Must[*keyserver.StockReply](t)(c.Stock(ctx, bob.Devices[0], bob.ID(), fixture.Suite)); stock.OneTime != 0 {
		t.Errorf("refused uploads left %d packages", stock.OneTime)
	}
}

func second[T any](_ T, err error) error { return err }

// TestB12_BadBodies: what is no request at all is refused by HTTP, before it is read where
// its size says so.
func TestB12_BadBodies(t *testing.T) {
	_, addr := newClient(t, Limits{})
	h := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: certpin.ClientConfig(addr.Host, addr.Pin), ForceAttemptHTTP2: true}}
	defer h.CloseIdleConnections()
	base := strings.TrimSuffix(strings.SplitN(addr.String(), "?", 2)[0], "/")
	for name, c := range map[string]struct {
		method, path, media string
		body                io.Reader
		status              int
	}{
		"unknown path":   {"POST", "/v1/nothing", keyserver.MediaType, strings.NewReader(""), 404},
		"GET":            {"GET", "/v1/lookup", keyserver.MediaType, nil, 400},
		"other type":     {"POST", "/v1/lookup", "text/plain", strings.NewReader("x"), 400},
		"empty":          {"POST", "/v1/lookup", keyserver.MediaType, strings.NewReader(""), 400},
		"garbage":        {"POST", "/v1/upload", keyserver.MediaType, strings.NewReader("garbage"), 400},
		"unknown length": {"POST", "/v1/lookup", keyserver.MediaType, io.LimitReader(strings.NewReader("x"), 1), 400},
		"over its path":  {"POST", "/v1/lookup", keyserver.MediaType, bytes.NewReader(make([]byte, 1<<10)), 413},
		"megabytes":      {"POST", "/v1/upload", keyserver.MediaType, bytes.NewReader(make([]byte, 4<<20)), 413},
	} {
		req := fixture.Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), c.method, base+c.path, c.body))
		req.Header.Set("Content-Type", c.media)
		resp, err := h.Do(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b := fixture.Must[[]byte](t)(io.ReadAll(resp.Body))
		resp.Body.Close()
		var e keyserver.Error
		if err := wire.Unmarshal(b, &e); resp.StatusCode != c.status || e.Code.Status() != c.status || err != nil {
			t.Errorf("%s: status %d, code %d (%v), want %d", name, resp.StatusCode, e.Code, err, c.status)
		}
		if resp.ProtoMajor != 2 {
			t.Errorf("%s: answered over %s", name, resp.Proto)
		}
	}

	// A body that is announced as too large is refused although not a byte of it comes.
	silent, _ := io.Pipe()
	req := fixture.Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), "POST", base+"/v1/take", silent))
	req.ContentLength = 1 << 20
	req.Header.Set("Content-Type", keyserver.MediaType)
	resp := fixture.Must[*http.Response](t)(h.Do(req))
	resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("announced megabyte: status %d, want 413", resp.StatusCode)
	}
}

func TestOnlyThePinnedServer(t *testing.T) {
	_, addr := newClient(t, Limits{})
	addr.Pin = &certpin.Pin{1}
	c := keyserver.NewClient(addr, keyserver.Options{})
	defer c.Close()
	if _, err := c.Lookup(t.Context(), "bob"); !errors.Is(err, certpin.ErrMismatch) {
		t.Fatalf("a server with another key: %v, want ErrMismatch", err)
	}
	old := certpin.ClientConfig(addr.Host, nil)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	conn, err := tls.Dial("tcp", net.JoinHostPort(addr.Host, strconv.Itoa(int(addr.Port))), old)
	if err == nil {
		conn.Close()
		t.Fatal("the server speaks TLS 1.2")
	}
}

func TestLimits(t *testing.T) {
	hour := time.Hour
	c, _ := newClient(t, Limits{Lookup: Rate{3, hour}, Target: Rate{2, hour}, LastResort: Rate{2, hour}})
	ctx := t.Context()
	bob := fixture.NewPerson(t, "bob")
	fixture.Must[keyserver.AccountID](t)(c.Register(ctx, bob.Devices[0], "bob", bob.Chain[0]))
	for range 3 {
		fixture.Must[*keyserver.Listing](t)(c.Lookup(ctx, "bob"))
	}
	_, err := c.Lookup(ctx, "bob")
	if e, ok := errors.AsType[*keyserver.Error](err); !errors.Is(err, keyserver.ErrLimited) || !ok || e.RetryAfter <= 0 || e.RetryAfter > hour {
		t.Fatalf("look-up 4 of 3: %v, want ErrLimited for up to an hour", err)
	}

	// The target's rate spares its one-time packages and lets retries through (B07).
	now := time.Now()
	upload(t, c, bob, bob.Packages(t, 5, now), nil)
	ids := [][32]byte{requestID(), requestID(), requestID()}
	for _, id := range [][32]byte{ids[0], ids[0], ids[0], ids[1]} {
		fixture.Must[[]keyserver.Package](t)(c.Take(ctx, id, bob.ID(), fixture.Suite))
	}
	if _, err := c.Take(ctx, ids[2], bob.ID(), fixture.Suite); !errors.Is(err, keyserver.ErrLimited) {
		t.Fatalf("over the target's rate and no last resort: %v, want ErrLimited", err)
	}
	upload(t, c, bob, bob.Packages(t, 1, now), bob.Draft(0, now).Package(t))
	for _, id := range ids {
		got := fixture.Must[[]keyserver.Package](t)(c.Take(ctx, id, bob.ID(), fixture.Suite))
		if last := got[0].LastResort; last != (id == ids[2]) {
			t.Errorf("last resort is %v", last)
		}
	}
	if stock := fixture.Must[*keyserver.StockReply](t)(c.Stock(ctx, bob.Devices[0], bob.ID(), fixture.Suite)); stock.OneTime != 4 {
		t.Errorf("%d packages are left, want 4", stock.OneTime)
	}
	if _, err := c.Take(ctx, requestID(), bob.ID(), fixture.Suite); !errors.Is(err, keyserver.ErrLimited) {
		t.Errorf("last resort 3 of 2: %v, want ErrLimited", err)
	}
	fixture.Must[[]keyserver.Package](t)(c.Take(ctx, ids[2], bob.ID(), fixture.Suite)) // a retry is free
}

func TestLimiter(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newLimiters(Limits{Take: Rate{2, time.Second}}, func() time.Time { return now }).take
	spend := func(key string, want time.Duration) {
		t.Helper()
		if got := l.spend(key); got != want {
			t.Errorf("wait is %v, want %v", got, want)
		}
	}
	spend("a", 0)
	spend("a", 0)
	spend("a", time.Second)
	spend("b", 0)
	now = now.Add(time.Second)
	spend("a", 0)
	spend("a", time.Second)
	for i := len(l.buckets); i < maxBuckets; i++ {
		l.buckets[string([]byte{1, byte(i >> 8), byte(i)})] = now.Add(time.Minute)
	}
	spend("new", 0) // in place of b's, which is full again
	spend("stranger 1", 0)
	spend("stranger 2", 0)
	spend("stranger 3", time.Second) // these share one bucket while all others are in use
	if len(l.buckets) > maxBuckets {
		t.Errorf("%d buckets", len(l.buckets))
	}
	now = now.Add(time.Hour)
	spend("later", 0)
	if len(l.buckets) != 1 {
		t.Errorf("%d buckets are kept after an hour", len(l.buckets))
	}
	for remote, want := range map[string]string{
		"192.0.2.7:1": "192.0.2.7", "[::ffff:192.0.2.7]:1": "192.0.2.7",
		"[2001:db8:1:2ff:3::4]:5": "2001:db8:1:200::", "[fe80::1%eth0]:1": "fe80::",
	} {
		if got := prefix(remote); got != string(netip.MustParseAddr(want).AsSlice()) {
			t.Errorf("prefix of %s is %x", remote, got)
		}
	}
	if prefix("@") != "" {
		t.Error("a socket without an address has one")
	}
}

// FuzzHandler: no body makes the server fail, and none that is refused is answered with
// anything but a refusal.
func FuzzHandler(f *testing.F) {
	s := fixture.Must[*Server](f)(Open(Config{Dir: f.TempDir(), Key: shard.Key{1}, MinFree: 1, Limits: Limits{
		Register: Rate{1 << 30, 1}, Append: Rate{1 << 30, 1}, Lookup: Rate{1 << 30, 1}, Upload: Rate{1 << 30, 1}, Take: Rate{1 << 30, 1},
		Stock: Rate{1 << 30, 1}, PutChunk: Rate{1 << 30, 1}, GetChunk: Rate{1 << 30, 1},
	}}))
	f.Cleanup(func() { s.Close() })
	h := s.Handler()
	paths := []keyserver.Endpoint{
		keyserver.EndpointRegister, keyserver.EndpointAppend, keyserver.EndpointLookup, keyserver.EndpointUpload,
		keyserver.EndpointTake, keyserver.EndpointStock, keyserver.EndpointPutChunk, keyserver.EndpointGetChunk,
	}
	bob := fixture.NewPerson(f, "bob")
	seed := func(path byte, m wire.Marshaler) { f.Add(path, fixture.Must[[]byte](f)(wire.Marshal(m))) }
	seed(0, fixture.Must[*keyserver.RegisterRequest](f)(keyserver.SignRegister(bob.Devices[0], "bob", bob.Chain[0])))
	seed(1, &keyserver.AppendRequest{Account: bob.ID(), Entry: bob.AddDevice(f)})
	seed(2, &keyserver.LookupRequest{Handle: "bob"})
	up := &keyserver.UploadRequest{Account: bob.ID(), Suite: fixture.Suite, Incarnation: s.directory.Incarnation(), Packages: bob.Packages(f, 1, time.Now())}
	up.Sign(bob.Devices[0], time.Now())
	seed(3, up)
	seed(4, &keyserver.TakeRequest{Account: bob.ID(), Suite: fixture.Suite})
	stock := &keyserver.StockRequest{Account: bob.ID(), Suite: fixture.Suite}
	stock.Sign(bob.Devices[0], time.Now())
	seed(5, stock)
	seed(6, &keyserver.Chunk{Data: []byte("chunk")})
	seed(7, &keyserver.ChunkName{Hash: keyserver.HashChunk([]byte("chunk"))})
	f.Fuzz(func(t *testing.T, path byte, body []byte) {
		r := httptest.NewRequest("POST", paths[int(path)%len(paths)].Path, bytes.NewReader(body))
		r.Header.Set("Content-Type", keyserver.MediaType)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("status %d for %x", w.Code, body)
		}
		if w.Code != 200 {
			if err := wire.Unmarshal(w.Body.Bytes(), new(keyserver.Error)); err != nil {
				t.Fatalf("status %d without a refusal: %v", w.Code, err)
			}
		}
	})
}
