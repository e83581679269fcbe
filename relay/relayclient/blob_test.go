package relayclient

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/sealpost/sealpost/relay"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// blobStore is an honest relay's side of one blob.
type blobStore struct {
	name     relay.Hash
	size     uint64
	data     []byte
	backward bool // of the requests that are under way, the newest is answered first
	prompt   bool // each is answered at once

	days  uint16
	parts int // parts that came or were asked for
	most  int // bytes of them under way at once
}

// emptyStore has nothing of the blob data yet.
func emptyStore(data []byte) *blobStore {
	return &blobStore{name: sha256.Sum256(data), size: uint64(len(data))}
}

// serve answers whenever the client waits for it, until the session ends. It runs in a bubble,
// and only one at a time unless it is prompt.
func (b *blobStore) serve(l *link) {
	frames := make(chan relay.Frame)
	go func() {
		defer close(frames)
		for {
			f, err := l.ReadFrame()
			if err != nil {
				return
			}
			frames <- f
		}
	}()
	defer func() {
		for range frames { // until the client is gone
		}
	}()
	for f := range frames {
		var held []relay.Frame
		under := 0
		for more := true; more; {
			answer, n := b.answer(l, f)
			held = append(held, answer)
			under += n
			if b.prompt {
				break
			}
			synctest.Wait()
			select {
			case f, more = <-frames:
			default:
				more = false
			}
		}
		b.most = max(b.most, under)
		for i := range held {
			if b.backward {
				i = len(held) - 1 - i
			}
			if l.WriteFrames(held[i]) != nil {
				return
			}
		}
	}
}

func (b *blobStore) answer(l *link, f relay.Frame) (answer relay.Frame, n int) {
	has := func(request uint64) relay.Frame {
		return &relay.Blob{Request: request, Stored: uint64(len(b.data)), Complete: uint64(len(b.data)) == b.size}
	}
	switch f := f.(type) {
	case *relay.Prove:
		if f.Purpose != relay.ProveRead || f.Verify(l.Binding()) != nil {
			l.t.Error("not a reader's proof")
		}
		return &relay.Proved{Request: f.Request}, 0
	case *relay.StoreBlob:
		b.days = f.Days
		if f.Blob != b.name || f.Size != b.size || f.Key != public(key("reader")) {
			l.t.Error("not the blob that the test uploads")
		}
		return has(f.Request), 0
	case *relay.PutBlob:
		b.parts++
		if f.Blob != b.name || f.Queue != queue || f.Offset != uint64(len(b.data)) {
			l.t.Errorf("a part at %d, where the relay has %d", f.Offset, len(b.data))
		}
		b.data = append(b.data, f.Data...)
		return has(f.Request), len(f.Data)
	case *relay.GetBlob:
		b.parts++
		from, to := min(f.Offset, b.size), min(f.Offset+uint64(f.Length), b.size)
		return &relay.BlobData{Request: f.Request, Size: b.size, Data: b.data[from:to]}, int(f.Length)
	}
	l.t.Errorf("%T", f)
	return &relay.Pong{}, 0
}

// sink is an io.WriterAt in memory that takes no holes.
type sink struct{ data []byte }

func (s *sink) WriteAt(b []byte, at int64) (int, error) {
	if at != int64(len(s.data)) {
		return 0, errors.New("a hole")
	}
	s.data = append(s.data, b...)
	return len(b), nil
}

// rising checks that progress goes up to the whole, and keeps the number of calls.
func rising(t *testing.T, calls *int, last *uint64) func(done, size uint64) {
	return func(done, size uint64) {
		if done < *last || done > size {
			t.Errorf("progress from %d to %d of %d", *last, done, size)
		}
		*last = done
		*calls++
	}
}

func uploadOf(data []byte) UploadParams {
	return UploadParams{
		Queue: queue, Key: key("reader"), Blob: sha256.Sum256(data), Size: uint64(len(data)), Days: 7, Source: bytes.NewReader(data),
	}
}

// A blob goes up and comes down again: in parts, several under way and never more than a
// megabyte, answered in any order.
func TestBlobUpAndDown(t *testing.T) {
	for _, size := range []int{1, blobPart - 1, blobPart, blobPart + 1, 40*blobPart + 7} {
		data := random(size)
		up, down := emptyStore(data), emptyStore(data)
		down.data, down.backward = data, true
		bubble(t, func(t *testing.T, p *peer) {
			calls, last := 0, uint64(0)
			params := uploadOf(data)
			params.Progress = rising(t, &calls, &last)
			conn := p.dial()
			if err := conn.Upload(t.Context(), params); err != nil {
				t.Fatal(err)
			}
			conn.Close()
			if last != uint64(size) || !bytes.Equal(up.data, data) || up.days != 7 {
				t.Errorf("%d bytes: the relay has %d, progress said %d", size, len(up.data), last)
			}
			conn, calls, last = p.dial(), 0, 0
			got := new(sink)
			err := conn.Download(t.Context(), DownloadParams{
				Queue: queue, Blob: up.name, Size: uint64(size), Sink: got, Progress: rising(t, &calls, &last),
			})
			if err != nil || !bytes.Equal(got.data, data) || last != uint64(size) {
				t.Errorf("%d bytes: %d came down, %v", size, len(got.data), err)
			}
			conn.Close()
		}, up.serve, down.serve)
		if up.most > blobAhead || down.most > blobAhead {
			t.Errorf("%d bytes up and %d down under way, over %d", up.most, down.most, blobAhead)
		}
		if size > 2*blobAhead && (up.most < blobAhead || down.most < blobAhead) {
			t.Errorf("only %d bytes up and %d down under way", up.most, down.most)
		}
	}
}

// Both go on where they were, with parts of any size.
func TestBlobResumes(t *testing.T) {
	data := random(100_000)
	up, down := emptyStore(data), emptyStore(data)
	up.data, down.data = bytes.Clone(data[:60_001]), data
	bubble(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		calls, last := 0, uint64(0)
		params := uploadOf(data)
		params.Part, params.Progress = 1000, rising(t, &calls, &last)
		if err := conn.Upload(t.Context(), params); err != nil || !bytes.Equal(up.data, data) || up.parts != 40 || calls != 41 {
			t.Errorf("%d parts, %d calls of progress, %v", up.parts, calls, err)
		}
		// What is complete already costs one request.
		if err := conn.Upload(t.Context(), params); err != nil || up.parts != 40 {
			t.Errorf("again: %d parts, %v", up.parts, err)
		}
		conn.Close()
		conn = p.dial()
		got := &sink{bytes.Clone(data[:99_000])}
		q := DownloadParams{Queue: queue, Blob: down.name, Size: 100_000, From: 99_000, Sink: got, Part: 300}
		if err := conn.Download(t.Context(), q); err != nil || !bytes.Equal(got.data, data) || down.parts != 4 {
			t.Errorf("%d parts, %v", down.parts, err)
		}
		if q.From = 100_000; conn.Download(t.Context(), q) != nil || down.parts != 4 {
			t.Error("what is there already was asked for")
		}
		conn.Close()
	}, up.serve, down.serve)
}

func TestBlobRefusals(t *testing.T) {
	data, full := random(3*blobPart), errors.New("disk full")
	bubble(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		params := uploadOf(data)
		params.Key = key("stranger")
		if err := conn.Upload(t.Context(), params); !errors.Is(err, relay.ErrBadProof) {
			t.Errorf("upload after a refused proof: %v", err)
		}
		for _, want := range []error{relay.ErrQuota, relay.ErrLimit, ErrUploadOver, relay.ErrMalformed} {
			if err := conn.Upload(t.Context(), uploadOf(data)); !errors.Is(err, want) || errors.Is(err, ErrDisconnected) {
				t.Errorf("upload: %v, want %v", err, want)
			}
		}
		get := DownloadParams{Queue: queue, Size: 10, Sink: new(sink)}
		if err := conn.Download(t.Context(), get); !errors.Is(err, relay.ErrUnknown) {
			t.Errorf("download: %v", err)
		}
		get.Sink = failingSink{full}
		if err := conn.Download(t.Context(), get); !errors.Is(err, full) {
			t.Errorf("a full disk: %v", err)
		}
		params = uploadOf(data)
		params.Source = bytes.NewReader(data[:100])
		if err := conn.Upload(t.Context(), params); !errors.Is(err, io.EOF) {
			t.Errorf("a source that is too short: %v", err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(full)
		if err := conn.Upload(ctx, uploadOf(data)); !errors.Is(err, full) {
			t.Errorf("a context that is over: %v", err)
		}
		conn.Close()
		if err := conn.Upload(t.Context(), uploadOf(data)); !errors.Is(err, ErrDisconnected) {
			t.Errorf("a Conn that is over: %v", err)
		}
	}, func(l *link) {
		refuse := func(request uint64, code relay.RefusalCode) {
			l.send(&relay.Refused{Request: request, Refusal: relay.Refusal{Code: code}})
		}
		stored := func(request, n uint64) { l.send(&relay.Blob{Request: request, Stored: n}) }
		refuse(next[*relay.Prove](l).Request, relay.CodeBadProof)
		refuse(next[*relay.StoreBlob](l).Request, relay.CodeUnknown)
		l.proved()
		refuse(next[*relay.StoreBlob](l).Request, relay.CodeQuota)
		refuse(next[*relay.StoreBlob](l).Request, relay.CodeLimit)
		for _, last := range []relay.RefusalCode{relay.CodeUnknown, relay.CodeMalformed} {
			stored(next[*relay.StoreBlob](l).Request, 0)
			for i := range uint64(3) {
				put := next[*relay.PutBlob](l)
				if i == 2 || last == relay.CodeUnknown {
					refuse(put.Request, last)
					break
				}
				stored(put.Request, (i+1)*blobPart)
			}
		}
		refuse(next[*relay.GetBlob](l).Request, relay.CodeUnknown)
		l.send(&relay.BlobData{Request: next[*relay.GetBlob](l).Request, Size: 10, Data: data[:10]})
		stored(next[*relay.StoreBlob](l).Request, 0)
		l.untilClosed()
	})
}

type failingSink struct{ err error }

func (f failingSink) WriteAt([]byte, int64) (int, error) { return 0, f.err }

// What no relay takes is not sent, and the Conn lives on.
func TestBlobChecks(t *testing.T) {
	bubble(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		for name, call := range map[string]*BlobCall{
			"nothing to store": conn.StoreBlob(StoreBlobParams{Queue: queue, Key: key("reader")}),
			"too many days":    conn.StoreBlob(StoreBlobParams{Queue: queue, Key: key("reader"), Size: 1, Days: 91}),
			"an empty part":    conn.PutBlob(queue, relay.Hash{}, 0, nil),
		} {
			if _, err := call.Result(); !errors.Is(err, relay.ErrMalformed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := conn.PutBlob(queue, relay.Hash{}, 0, make([]byte, relay.MaxBlobPart+1)).Result(); !errors.Is(err, relay.ErrTooLarge) {
			t.Errorf("too large a part: %v", err)
		}
		for length, want := range map[uint32]error{0: relay.ErrMalformed, relay.MaxBlobPart + 1: relay.ErrTooLarge, 1<<32 - 1: relay.ErrTooLarge} {
			if _, err := conn.GetBlob(queue, relay.Hash{}, 0, length).Result(); !errors.Is(err, want) {
				t.Errorf("%d bytes asked for: %v", length, err)
			}
		}
		if conn.Err() != nil {
			t.Error(conn.Err())
		}
		conn.Close()
	}, func(l *link) {
		if f, err := l.ReadFrame(); err == nil {
			t.Errorf("%T was sent", f)
		}
	})
}
