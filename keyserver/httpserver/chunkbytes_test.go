package httpserver

import (
	"bytes"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/keyserver/internal/fixture"
)

// TestB12_ChunkBytes: one network fills only its share of the store; chunks that are there
// already cost nothing, and neither others nor this machine are held up.
func TestB12_ChunkBytes(t *testing.T) {
	s := fixture.Must[*Server](t)(Open(Config{Dir: t.TempDir(), Key: shard.Key{1}, MinFree: 1, Limits: Limits{ChunkBytes: Rate{100, time.Minute}}}))
	t.Cleanup(func() { s.Close() })
	h := s.Handler()
	put := func(from string, chunk []byte) int {
		body := fixture.Must[[]byte](t)(wire.Marshal(&keyserver.Chunk{Data: chunk}))
		r := httptest.NewRequest("POST", keyserver.EndpointPutChunk.Path, bytes.NewReader(body))
		r.Header.Set("Content-Type", keyserver.MediaType)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == 200 {
			return 0
		}
		var e keyserver.Error
		if err := wire.Unmarshal(w.Body.Bytes(), &e); err != nil || e.RetryAfter <= 0 {
			t.Errorf("refusal %v, %v", e, err)
		}
		return int(e.Code)
	}
	for i, c := range []struct {
		from string
		size int
		want keyserver.Code
	}{
		{"192.0.2.1:1", 60, 0}, {"192.0.2.1:2", 60, 0}, {"192.0.2.1:1", 61, keyserver.CodeLimited},
		{"192.0.2.1:1", 40, 0}, {"192.0.2.1:1", 41, keyserver.CodeLimited}, {"192.0.2.1:1", 60, 0},
		{"192.0.2.2:1", 61, keyserver.CodeLimited}, {"192.0.3.2:1", 61, 0},
		{"[2001:db8:1:100::1]:1", 62, 0}, {"[2001:db8:1:200::1]:1", 63, keyserver.CodeLimited}, {"[2001:db8:2::1]:1", 63, 0},
		{"127.0.0.1:1", 99, 0}, {"127.0.0.1:1", 98, 0}, {"[::1]:1", 97, 0},
	} {
		if got := put(c.from, make([]byte, c.size)); got != int(c.want) {
			t.Errorf("put %d: code %d, want %d", i, got, c.want)
		}
	}
}
