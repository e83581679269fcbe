package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/relay"
)

func testKey(t testing.TB) PrivateKey {
	t.Helper()
	k, err := NewPrivateKey([32]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// counted counts the writes to a stream.
type counted struct {
	net.Conn
	writes int
}

func (c *counted) Write(b []byte) (int, error) {
	c.writes++
	return c.Conn.Write(b)
}

// pair returns both ends of a session over a pipe.
func pair(t *testing.T, clientEnd, serverEnd io.ReadWriteCloser) (client, server *Session) {
	t.Helper()
	key := testKey(t)
	var wg sync.WaitGroup
	var serverErr error
	wg.Go(func() { server, serverErr = Server(t.Context(), serverEnd, key, relay.Incarnation{7}) })
	client, err := Client(t.Context(), clientEnd, key.Public())
	wg.Wait()
	if err != nil || serverErr != nil {
		t.Fatalf("handshake: %v, %v", err, serverErr)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestFramesInBothDirections(t *testing.T) {
	a, b := net.Pipe()
	client, server := pair(t, a, b)
	if client.Binding() != server.Binding() || client.Binding().Handshake == (relay.Hash{}) {
		t.Error("the ends do not agree on what signatures are bound to")
	}
	if client.Incarnation() != (relay.Incarnation{7}) {
		t.Error("the client does not know the incarnation")
	}
	up := []relay.Frame{&relay.Ping{Value: 1}, &relay.Append{Request: 2, Envelope: make([]byte, relay.MaxEnvelope)},
		&relay.Ack{Attachment: 1, Seq: 2}, &relay.Append{Request: 3, Envelope: bytes.Repeat([]byte{9}, 1024)}}
	down := []relay.Frame{&relay.Pong{Value: 1}, &relay.Deliver{Entries: []relay.Entry{
		{Seq: 1, Envelope: make([]byte, relay.MaxEnvelope)}, {Seq: 2, Envelope: make([]byte, relay.MaxEnvelope/4)}}}}
	for _, way := range []struct {
		from, to *Session
		frames   []relay.Frame
	}{{client, server, up}, {server, client, down}, {client, server, up}} {
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := way.from.WriteFrames(way.frames...); err != nil {
				t.Error(err)
			}
		})
		for _, want := range way.frames {
			if got, err := way.to.ReadFrame(); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("read %T, %v; want %T", got, err, want)
			}
		}
		wg.Wait()
	}
	client.Close()
	if _, err := server.ReadFrame(); err != io.EOF {
		t.Errorf("after the peer closed: %v, want io.EOF", err)
	}
}

func TestManyFramesAreOneWrite(t *testing.T) {
	a, b := net.Pipe()
	out := &counted{Conn: b}
	client, server := pair(t, a, out)
	out.writes = 0
	frames := make([]relay.Frame, 500)
	for i := range frames {
		frames[i] = &relay.Accepted{Request: uint64(i)}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for range frames {
			if _, err := client.ReadFrame(); err != nil {
				t.Error(err)
			}
		}
	})
	if err := server.WriteFrames(frames...); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if out.writes != 1 {
		t.Errorf("500 answers took %d writes", out.writes)
	}
}

func TestConcurrentWritersKeepTheSessionInStep(t *testing.T) {
	a, b := net.Pipe()
	client, server := pair(t, a, b)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if err := client.WriteFrames(&relay.Ping{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 400 {
		if _, err := server.ReadFrame(); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

func TestOversizedFrameIsNotSent(t *testing.T) {
	a, b := net.Pipe()
	client, server := pair(t, a, b)
	big := &relay.Append{Envelope: make([]byte, relay.MaxClientFrame)}
	if err := client.WriteFrames(&relay.Ping{Value: 1}, big); !errors.Is(err, ErrFrameTooLarge) {
		t.Fatalf("%v, want ErrFrameTooLarge", err)
	}
	go client.WriteFrames(&relay.Ping{Value: 2})
	if f, err := server.ReadFrame(); err != nil || f.(*relay.Ping).Value != 2 {
		t.Errorf("the session did not go on: %v, %v", f, err)
	}
}

// raw sends plaintext bytes as they are.
func (s *Session) raw(t testing.TB, plain []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.sealRecord(plain); err != nil {
		t.Error(err)
	}
}

func frameBytes(typ byte, body ...byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(body)))
	return append(append(b, typ), body...)
}

// TestR16_BadFramesEndTheSession: each with its own error, which sticks.
func TestR16_BadFramesEndTheSession(t *testing.T) {
	pong, err := relay.AppendFrame(nil, &relay.Pong{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		plain []byte
		want  error
	}{
		"empty":           {[]byte{0, 0, 0, 0}, ErrMalformed},
		"unknown":         {frameBytes(0x20), ErrUnexpected},
		"wrong direction": {pong, ErrUnexpected},
		"cut short":       {frameBytes(byte(relay.TypePing), 1, 2, 3), ErrMalformed},
		"too long":        {frameBytes(byte(relay.TypePing), 1, 2, 3, 4, 5, 6, 7, 8, 9), ErrMalformed},
		"length bomb":     {[]byte{0xff, 0xff, 0xff, 0xff, 1}, ErrFrameTooLarge},
	} {
		a, b := net.Pipe()
		client, server := pair(t, a, b)
		go client.raw(t, append(frameBytes(0x80, 1, 2, 3), c.plain...)) // 0x80 is passed over
		for range 2 {
			if f, err := server.ReadFrame(); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, %v; want %v", name, f, err, c.want)
			}
		}
	}
}

func TestUnknownFramesFrom0x80AreSkipped(t *testing.T) {
	a, b := net.Pipe()
	client, server := pair(t, a, b)
	ping, _ := relay.AppendFrame(nil, &relay.Ping{Value: 5})
	go client.raw(t, append(append(frameBytes(0xff), frameBytes(0x90, make([]byte, 9000)...)...), ping...))
	if f, err := server.ReadFrame(); err != nil || f.(*relay.Ping).Value != 5 {
		t.Errorf("%v, %v", f, err)
	}
}

// TestR15_AnnouncedIsNotAllocated: a frame header that announces the largest frame costs
// nothing before its bytes come.
func TestR15_AnnouncedIsNotAllocated(t *testing.T) {
	a, b := net.Pipe()
	client, server := pair(t, a, b)
	go func() {
		client.raw(t, binary.BigEndian.AppendUint32(nil, relay.MaxClientFrame))
		client.Close()
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := server.ReadFrame()
	runtime.ReadMemStats(&after)
	if err != io.ErrUnexpectedEOF {
		t.Errorf("%v, want io.ErrUnexpectedEOF", err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > relay.MaxClientFrame/4 {
		t.Errorf("4 bytes allocated %d", grown)
	}
}

func TestWrongRelayKeyIsRefused(t *testing.T) {
	a, b := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := Server(t.Context(), b, testKey(t), relay.Incarnation{}); !errors.Is(err, ErrHandshake) {
			t.Errorf("server: %v, want ErrHandshake", err)
		}
	})
	if _, err := Client(t.Context(), a, relay.RelayKey{9, 9}); err == nil {
		t.Error("a client took another relay for its own")
	}
	wg.Wait()
	if _, err := Client(t.Context(), a, relay.RelayKey{}); !errors.Is(err, ErrHandshake) {
		t.Errorf("relay key of low order: %v, want ErrHandshake", err)
	}
}

func TestNoCommonVersion(t *testing.T) {
	for name, h := range map[string]clientHello{
		"later version":   {versions: []uint16{2, 3}, maxFrame: relay.MaxServerFrame},
		"no version":      {maxFrame: relay.MaxServerFrame},
		"small max_frame": {versions: []uint16{1}, maxFrame: leastFrame - 1},
	} {
		if a := h.answer(relay.Incarnation{}); a.version != 0 {
			t.Errorf("%s: agreed on version %d", name, a.version)
		}
	}
	h := clientHello{versions: []uint16{9, 1}, maxFrame: leastFrame, extensions: []extension{{77, []byte("later")}}}
	if a := h.answer(relay.Incarnation{}); a.version != 1 {
		t.Error("unknown versions and extensions are not ignored")
	}
}

// TestR10_SilentPeers: a handshake ends with its context, a record with its deadline, a
// stalled write with its own.
func TestR10_SilentPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := Server(ctx, b, testKey(t), relay.Incarnation{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("silent handshake: %v, want the context's error", err)
		}
		if _, err := a.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the stream is still open: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		_, server := pair(t, a, b)
		server.SetTimeouts(90*time.Second, 30*time.Second)
		begin := time.Now()
		if err := server.WriteFrames(&relay.Pong{}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("stalled write: %v", err)
		}
		if err := server.WriteFrames(&relay.Pong{}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a write after a failed one: %v", err)
		}
		go a.Write([]byte{0, 100, 1}) // begins a record and falls silent
		if _, err := server.ReadFrame(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("silent record: %v", err)
		}
		if took := time.Since(begin); took != 120*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

func TestC13_PrivateKeyDoesNotPrint(t *testing.T) {
	k := testKey(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d"} {
		if got := fmt.Sprintf(verb, k); got != "redacted" {
			t.Errorf("%s prints %q", verb, got)
		}
		if got := fmt.Sprintf(verb, struct{ K PrivateKey }{k}); bytes.Contains([]byte(got), []byte("0102")) {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}
