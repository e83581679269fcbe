package relayserver

import (
	"bytes"
	"io"
	"sync"
	"testing"
)

// recorder is a client's stream, of which everything that the client writes is kept.
type recorder struct {
	io.ReadWriteCloser
	mu   sync.Mutex
	sent bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	r.sent.Write(p)
	r.mu.Unlock()
	return r.ReadWriteCloser.Write(p)
}

// TestR04_ReplayedStream: everything that a client sent, played to the relay again over the
// same transport, is a handshake and nothing more.
func TestR04_ReplayedStream(t *testing.T) {
	over(t, func(t *testing.T, listen func(testing.TB, *Server) *endpoint) {
		h := listen(t, open(t, t.TempDir(), nil))
		q := queueID(80)
		stream, err := h.connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		kept := &recorder{ReadWriteCloser: stream}
		c, err := newClient(t, kept)
		if err != nil {
			t.Fatal(err)
		}
		c.must(create(q))
		c.must(proveWrite(q, group))
		c.must(appendTo(q, group, envelope(512, 1)))
		_ = c.s.Close()

		again, err := h.connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all := kept.sent.Bytes()
		hello := 2 + int(all[0])<<8 + int(all[1])
		if _, err := again.Write(all[:hello]); err != nil {
			t.Fatal(err)
		}
		var length [2]byte
		if _, err := io.ReadFull(again, length[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, again, int64(length[0])<<8+int64(length[1])); err != nil {
			t.Fatal(err)
		}
		_, _ = again.Write(all[hello:]) // may fail: the relay ends the session at the first record
		if answer, _ := io.ReadAll(again); len(answer) > 0 {
			t.Errorf("the relay answers %d bytes to what was recorded", len(answer))
		}
		_ = again.Close()
		if n := head(t, h, q); n != 1 {
			t.Errorf("%d entries after the replay", n)
		}
	})
}
