package keyserver_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/internal/fixture"
)

// evil is a key server that gives one answer to everything.
type evil struct {
	status int
	media  string
	body   []byte
}

// says answers with m.
func says(t *testing.T, m wire.Marshaler) evil {
	return evil{200, keyserver.MediaType, fixture.Must[[]byte](t)(wire.Marshal(m))}
}

// client returns a client of the evil server, over TLS.
func (e evil) client(t *testing.T) *keyserver.Client {
	t.Helper()
	ts := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", e.media)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(e.status)
		w.Write(e.body)
	}))
	t.Cleanup(ts.Close)
	addr := fixture.Must[keyserver.Address](t)(keyserver.ParseAddress(ts.URL))
	addr.Pin = new(certpin.Of(ts.Certificate()))
	c := keyserver.NewClient(addr, keyserver.Options{Timeout: 5 * time.Second})
	t.Cleanup(c.Close)
	return c
}

// TestB14_OtherChunk: a server that gives a tampered, cut, exchanged or earlier chunk is
// found out by the chunk's name.
func TestB14_OtherChunk(t *testing.T) {
	chunk := bytes.Repeat([]byte("tree"), 1000)
	hash := keyserver.HashChunk(chunk)
	flipped := bytes.Clone(chunk)
	flipped[2000] ^= 1
	for name, other := range map[string][]byte{
		"one bit":          flipped,
		"cut":              chunk[:len(chunk)-1],
		"longer":           append(bytes.Clone(chunk), 0),
		"an earlier epoch": bytes.Repeat([]byte("eert"), 1000),
		"empty":            {},
		"over the size":    make([]byte, keyserver.MaxChunk+1),
	} {
		if b, err := says(t, &keyserver.Chunk{Data: other}).client(t).GetChunk(t.Context(), hash); !errors.Is(err, keyserver.ErrLied) || b != nil {
			t.Errorf("%s: %v, want ErrLied", name, err)
		}
	}
	if b, err := says(t, &keyserver.Chunk{Data: chunk}).client(t).GetChunk(t.Context(), hash); err != nil || !bytes.Equal(b, chunk) {
		t.Errorf("the chunk itself: %v", err)
	}
	if _, err := says(t, &keyserver.ChunkName{}).client(t).PutChunk(t.Context(), chunk); !errors.Is(err, keyserver.ErrLied) {
		t.Errorf("stored under another name: %v, want ErrLied", err)
	}
}

// TestB01_GhostDeviceOverTheWire: in every form of look-up, a device that no device of the
// account signed for is refused.
func TestB01_GhostDeviceOverTheWire(t *testing.T) {
	bob, eve := fixture.NewPerson(t, "bob"), fixture.NewPerson(t, "eve")
	ghost := [][]byte{bob.Chain[0], eve.AddDevice(t)}
	for name, c := range map[string]struct {
		reply keyserver.LookupReply
		want  error
	}{
		"ghost device":       {keyserver.LookupReply{Account: bob.ID(), Handle: "bob", Entries: ghost}, keyserver.ErrChain},
		"no chain":           {keyserver.LookupReply{Account: bob.ID(), Handle: "bob"}, keyserver.ErrChain},
		"another's chain":    {keyserver.LookupReply{Account: bob.ID(), Handle: "bob", Entries: eve.Chain}, keyserver.ErrLied},
		"another as a whole": {keyserver.LookupReply{Account: eve.ID(), Handle: "eve", Entries: eve.Chain}, keyserver.ErrLied},
	} {
		client := says(t, &c.reply).client(t)
		_, byHandle := client.Lookup(t.Context(), "bob")
		_, byID := client.LookupID(t.Context(), bob.ID())
		if !errors.Is(byHandle, c.want) || !errors.Is(byID, c.want) {
			t.Errorf("%s: %v and %v, want %v", name, byHandle, byID, c.want)
		}
	}
	client := says(t, &keyserver.RegisterReply{Account: eve.ID()}).client(t)
	if _, err := client.Register(t.Context(), bob.Devices[0], "bob", bob.Chain[0]); !errors.Is(err, keyserver.ErrLied) {
		t.Errorf("registered as another account: %v, want ErrLied", err)
	}
}

// TestAnswersOfNoServer: what is no answer of this protocol is neither a success nor a
// refusal that the caller would act on, and its size is bounded.
func TestAnswersOfNoServer(t *testing.T) {
	media := keyserver.MediaType
	for name, c := range map[string]struct {
		evil
		want error
	}{
		"a portal's page":      {evil{200, "text/html", []byte("<html>")}, keyserver.ErrUnavailable},
		"redirect":             {evil{307, "text/html", nil}, keyserver.ErrUnavailable},
		"redirect with a body": {evil{307, media, nil}, keyserver.ErrLied},
		"empty success":        {evil{200, media, nil}, keyserver.ErrLied},
		"trailing bytes":       {evil{200, media, make([]byte, 200)}, keyserver.ErrLied},
		"empty refusal":        {evil{404, media, nil}, keyserver.ErrLied},
		"endless success":      {evil{200, media, make([]byte, 1<<20)}, keyserver.ErrLied},
		"endless refusal":      {evil{404, media, make([]byte, 1<<20)}, keyserver.ErrLied},
	} {
		bob := fixture.NewPerson(t, "bob")
		_, err := c.client(t).Register(t.Context(), bob.Devices[0], "bob", bob.Chain[0])
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		for _, acted := range []error{keyserver.ErrNotFound, keyserver.ErrHandleTaken, keyserver.ErrTooLarge, keyserver.ErrInvalid} {
			if errors.Is(err, acted) {
				t.Errorf("%s: passes for %v", name, acted)
			}
		}
	}
	many := new(keyserver.TakeReply)
	for i := range 2 {
		many.Packages = append(many.Packages, keyserver.Package{Device: keyserver.DeviceID{1}, KeyPackage: []byte{byte(i)}})
	}
	if _, err := says(t, many).client(t).Take(t.Context(), [32]byte{1}, keyserver.AccountID{}, 1); !errors.Is(err, keyserver.ErrLied) {
		t.Errorf("two packages of one device: %v, want ErrLied", err)
	}
}
