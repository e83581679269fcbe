package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// sent is what a client of testKey's relay sent, cut into records.
type sent [][]byte

// tape records what is written to a connection.
type tape struct {
	net.Conn
	mu      sync.Mutex
	written bytes.Buffer
}

func (c *tape) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.written.Write(b)
	c.mu.Unlock()
	return c.Conn.Write(b)
}

func cut(b []byte) (out sent) {
	for len(b) >= 2 {
		n := 2 + int(binary.BigEndian.Uint16(b))
		out, b = append(out, b[:n]), b[n:]
	}
	return out
}

// serve plays bytes to a new server and returns how many frames it gave out, and its end.
func serve(t *testing.T, played []byte) (frames int, err error) {
	t.Helper()
	a, b := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(io.Discard, a) })
	wg.Go(func() {
		_, _ = a.Write(played)
		_ = a.Close()
	})
	defer wg.Wait()
	defer b.Close()
	s, err := Server(t.Context(), b, testKey(t), relay.Incarnation{})
	if err != nil {
		return 0, err
	}
	for {
		if _, err := s.ReadFrame(); err != nil {
			return frames, err
		}
		frames++
	}
}

// TestR04_RecordedSessionReplayed: whoever plays a recorded session to the relay again
// gets a handshake and nothing else: not one frame is taken.
func TestR04_RecordedSessionReplayed(t *testing.T) {
	a, b := net.Pipe()
	recorded := &tape{Conn: a}
	client, server := pair(t, recorded, b)
	for range 3 {
		go client.WriteFrames(&relay.Ping{Value: 1})
		if _, err := server.ReadFrame(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(cut(recorded.written.Bytes())); n != 4 {
		t.Fatalf("recorded %d records, want 4", n)
	}
	frames, err := serve(t, recorded.written.Bytes())
	if frames != 0 || !errors.Is(err, ErrRecord) {
		t.Errorf("the replay: %d frames, %v; want none and ErrRecord", frames, err)
	}
}

// interpose sits between client and server and changes the client's records; a nil record
// cuts the stream.
func interpose(t *testing.T, change func(i int, record []byte) [][]byte) (frames int, err error) {
	t.Helper()
	client, near := net.Pipe()
	far, end := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(near, far) })
	wg.Go(func() {
		defer far.Close()
		for i := 0; ; i++ {
			head := make([]byte, 2)
			if _, err := io.ReadFull(near, head); err != nil {
				return
			}
			record := append(head, make([]byte, binary.BigEndian.Uint16(head))...)
			if _, err := io.ReadFull(near, record[2:]); err != nil {
				return
			}
			for _, r := range change(i, record) {
				if _, err := far.Write(r); err != nil || r == nil {
					return
				}
			}
		}
	})
	wg.Go(func() {
		defer client.Close()
		s, err := Client(t.Context(), client, testKey(t).Public())
		if err != nil {
			return
		}
		for i := range uint64(4) {
			if s.WriteFrames(&relay.Ping{Value: i}) != nil {
				return
			}
		}
	})
	defer wg.Wait()
	defer near.Close()
	s, err := Server(t.Context(), end, testKey(t), relay.Incarnation{})
	for err == nil {
		var f relay.Frame
		if f, err = s.ReadFrame(); err == nil {
			if f.(*relay.Ping).Value != uint64(frames) {
				t.Errorf("frame %d came as number %d", f.(*relay.Ping).Value, frames)
			}
			frames++
		}
	}
	_ = end.Close()
	return frames, err
}

// TestQ09_RecordsChangedOnTheWay: whatever somebody in the middle does with records, the
// server takes what came before and not one frame more.
func TestQ09_RecordsChangedOnTheWay(t *testing.T) {
	if frames, err := interpose(t, func(_ int, r []byte) [][]byte { return [][]byte{r} }); frames != 4 || err != io.EOF {
		t.Fatalf("unchanged: %d frames, %v", frames, err)
	}
	const second = 3 // records 0 is the handshake, 1 the first frame; record 3 carries frame 2
	at := func(n int, do func(r []byte) [][]byte) func(int, []byte) [][]byte {
		return func(i int, r []byte) [][]byte {
			if i == n {
				return do(r)
			}
			return [][]byte{r}
		}
	}
	var earlier []byte
	for name, c := range map[string]struct {
		change func(int, []byte) [][]byte
		frames int
		want   error
	}{
		"dropped":  {at(second, func([]byte) [][]byte { return nil }), 2, ErrRecord},
		"repeated": {at(second, func(r []byte) [][]byte { return [][]byte{r, r} }), 3, ErrRecord},
		"an earlier one injected": {func(i int, r []byte) [][]byte {
			if i == 1 {
				earlier = r
			}
			if i == second {
				return [][]byte{earlier, r}
			}
			return [][]byte{r}
		}, 2, ErrRecord},
		"one made up":       {at(second, func(r []byte) [][]byte { return [][]byte{append([]byte{0, 40}, make([]byte, 40)...), r} }), 2, ErrRecord},
		"an empty one":      {at(second, func(r []byte) [][]byte { return [][]byte{{0, 0}, r} }), 2, ErrRecord},
		"a tag alone":       {at(second, func(r []byte) [][]byte { return [][]byte{append([]byte{0, 16}, make([]byte, 16)...), r} }), 2, ErrRecord},
		"split in two":      {at(second, func(r []byte) [][]byte { return split(r) }), 2, ErrRecord},
		"cut in its middle": {at(second, func(r []byte) [][]byte { return [][]byte{{0xff, 0xff, 1, 2}} }), 2, io.ErrUnexpectedEOF},
		"handshake huge":    {at(0, func([]byte) [][]byte { return [][]byte{{0xff, 0xff, 1, 2}} }), 0, ErrHandshake},
		"handshake tiny":    {at(0, func([]byte) [][]byte { return [][]byte{{0, 1, 2}} }), 0, ErrHandshake},
		"handshake twice":   {at(0, func(r []byte) [][]byte { return [][]byte{r, r} }), 0, ErrRecord},
	} {
		if frames, err := interpose(t, c.change); frames != c.frames || !errors.Is(err, c.want) {
			t.Errorf("%s: %d frames, %v; want %d, %v", name, frames, err, c.frames, c.want)
		}
	}
}

func split(record []byte) [][]byte {
	body := record[2:]
	half := len(body) / 2
	return [][]byte{append([]byte{0, byte(half)}, body[:half]...), append([]byte{0, byte(len(body) - half)}, body[half:]...)}
}

// TestQ09_EveryByteFlipped: each byte of the handshake and of a record, one at a time.
func TestQ09_EveryByteFlipped(t *testing.T) {
	for record, frames := range map[int]int{0: 0, 2: 1} {
		length := 2 // until the first run has told
		for at := 0; at < length; at++ {
			got, err := interpose(t, func(i int, r []byte) [][]byte {
				if i == record {
					length = len(r)
					r[at] ^= 0x01
				}
				if record == 0 && at < 2 && i == 0 {
					return [][]byte{r, nil} // else both would wait until the handshake's deadline
				}
				return [][]byte{r}
			})
			if got != frames {
				t.Fatalf("record %d, byte %d flipped: %d frames taken, want %d", record, at, got, frames)
			}
			typed := errors.Is(err, ErrHandshake) || errors.Is(err, ErrRecord) || errors.Is(err, io.ErrUnexpectedEOF)
			if !typed {
				t.Fatalf("record %d, byte %d flipped: %v", record, at, err)
			}
		}
	}
}

// TestQ09_AnswerAltered: a client whose handshake answer was changed has no session.
func TestQ09_AnswerAltered(t *testing.T) {
	for at := range 40 {
		a, b := net.Pipe()
		near, far := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			if s, err := Server(t.Context(), b, testKey(t), relay.Incarnation{}); err == nil {
				_ = s.Close()
			}
		})
		wg.Go(func() { _, _ = io.Copy(a, far) })
		wg.Go(func() {
			answer := make([]byte, 512)
			n, _ := a.Read(answer)
			answer[2+at] ^= 0x80
			_, _ = far.Write(answer[:n])
		})
		if _, err := Client(t.Context(), near, testKey(t).Public()); !errors.Is(err, ErrHandshake) {
			t.Fatalf("byte %d of the answer flipped: %v, want ErrHandshake", at, err)
		}
		_ = far.Close()
		_ = a.Close()
		wg.Wait()
	}
}

// FuzzServer: whatever a stranger sends, the server side ends with an error and no frame.
func FuzzServer(f *testing.F) {
	f.Add([]byte{0, 54, 1, 2, 3})
	f.Fuzz(func(t *testing.T, in []byte) {
		if frames, err := serve(t, in); frames != 0 || err == nil {
			t.Fatalf("%d frames, %v", frames, err)
		}
	})
}

// FuzzFrames: whatever plaintext a client with a good handshake sends, reading ends in an
// error and every frame before it encodes again.
func FuzzFrames(f *testing.F) {
	f.Add(frameBytes(0x0d, 1, 2, 3, 4, 5, 6, 7, 8))
	f.Add(frameBytes(0x80))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) == 0 || len(in) > maxPlain {
			return
		}
		a, b := net.Pipe()
		client, server := pair(t, a, b)
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			client.raw(t, in)
			client.Close()
		})
		for {
			frame, err := server.ReadFrame()
			if err != nil {
				return
			}
			if _, err := relay.AppendFrame(nil, frame); err != nil {
				t.Fatal(err)
			}
		}
	})
}
