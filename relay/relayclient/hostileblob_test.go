package relayclient

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"github.com/sealpost/sealpost/relay"
)

// R16, C17: a relay that gives other, more or fewer bytes than it may, or stores otherwise than
// it was told, has broken the protocol. Nothing of its answer reaches the sink.
func TestR16_BlobLies(t *testing.T) {
	data := random(2 * blobPart)
	type lie func(l *link)
	get := func(answer func(*relay.GetBlob) relay.Frame) lie {
		return func(l *link) { l.send(answer(next[*relay.GetBlob](l))) }
	}
	store := func(stored uint64, complete bool) lie {
		return func(l *link) {
			l.proved()
			l.send(&relay.Blob{Request: next[*relay.StoreBlob](l).Request, Stored: stored, Complete: complete})
		}
	}
	put := func(stored uint64, complete bool) lie {
		return func(l *link) {
			store(0, false)(l)
			l.send(&relay.Blob{Request: next[*relay.PutBlob](l).Request, Stored: stored, Complete: complete})
		}
	}
	const size, part = 2 * blobPart, blobPart
	for name, c := range map[string]struct {
		up  bool
		lie lie
	}{
		"another size": {false, get(func(g *relay.GetBlob) relay.Frame {
			return &relay.BlobData{Request: g.Request, Size: size + 1, Data: data[:part]}
		})},
		"no size": {false, get(func(g *relay.GetBlob) relay.Frame {
			return &relay.BlobData{Request: g.Request, Size: 0, Data: data[:part]}
		})},
		"a shorter blob": {false, get(func(g *relay.GetBlob) relay.Frame {
			return &relay.BlobData{Request: g.Request, Size: 10, Data: data[:10]}
		})},
		"too much": {false, get(func(g *relay.GetBlob) relay.Frame {
			return &relay.BlobData{Request: g.Request, Size: size, Data: data[:part+1]}
		})},
		"too little": {false, get(func(g *relay.GetBlob) relay.Frame {
			return &relay.BlobData{Request: g.Request, Size: size, Data: data[:part-1]}
		})},
		"nothing": {false, get(func(g *relay.GetBlob) relay.Frame { return &relay.BlobData{Request: g.Request, Size: size, Data: nil} })},
		"another's answer": {false, get(func(g *relay.GetBlob) relay.Frame {
			return &relay.Blob{Request: g.Request, Stored: size, Complete: true}
		})},
		"a mutation's":      {false, get(func(g *relay.GetBlob) relay.Frame { return &relay.Accepted{Request: g.Request} })},
		"no request's":      {false, get(func(g *relay.GetBlob) relay.Frame { return &relay.BlobData{Request: 99, Size: size, Data: data[:part]} })},
		"more than all":     {true, store(size+1, false)},
		"complete, in part": {true, store(size-1, true)},
		"all, not complete": {true, store(size, false)},
		"less than sent":    {true, put(part-1, false)},
		"more than sent":    {true, put(size+1, false)},
		"complete too soon": {true, put(part, true)},
		"data for BLOB": {true, func(l *link) {
			l.proved()
			l.send(&relay.BlobData{Request: next[*relay.StoreBlob](l).Request, Size: size, Data: data[:part]})
		}},
		"a put accepted": {true, func(l *link) { store(0, false)(l); l.send(&relay.Accepted{Request: next[*relay.PutBlob](l).Request}) }},
		"never complete": {true, func(l *link) {
			put(part, false)(l)
			l.send(&relay.Blob{Request: next[*relay.PutBlob](l).Request, Stored: size})
		}},
	} {
		bubble(t, func(t *testing.T, p *peer) {
			conn, got := p.dial(), new(sink)
			var err error
			if c.up {
				err = conn.Upload(t.Context(), uploadOf(data))
			} else {
				err = conn.Download(t.Context(), DownloadParams{Queue: queue, Size: size, Sink: got})
			}
			if !errors.Is(err, ErrProtocol) || len(got.data) > 0 {
				t.Errorf("%s: %v, and %d bytes", name, err, len(got.data))
			}
			<-conn.Done()
			if !errors.Is(conn.Err(), ErrProtocol) {
				t.Errorf("%s: the Conn ended with %v", name, conn.Err())
			}
			conn.Close()
		}, func(l *link) { c.lie(l); l.untilClosed() })
	}
}

// A caller that asks for much waits before a relay's answers could fill memory.
func TestBlobBackpressure(t *testing.T) {
	asked := 0
	bubble(t, func(t *testing.T, p *peer) {
		conn := p.dial()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range uint64(1000) {
				conn.GetBlob(queue, relay.Hash{}, i*relay.MaxBlobPart, relay.MaxBlobPart)
			}
		}()
		synctest.Wait()
		if most := maxFlightBytes/relay.MaxBlobPart + 1; asked == 0 || asked > most {
			t.Errorf("%d parts were asked for, at most %d may be under way", asked, most)
		}
		select {
		case <-done:
			t.Error("nobody made the caller wait")
		default:
		}
		conn.Close()
		<-done
	}, func(l *link) {
		for {
			if _, err := l.ReadFrame(); err != nil {
				return
			}
			asked++
		}
	})
}

// The line is cut anywhere: the error says so, and what the sink has is a beginning of the blob.
func TestA20_BlobCutAnywhere(t *testing.T) {
	data := random(20_000)
	const last, step = 60_000, 997
	scripts := make([]func(*link), last/step+1)
	for i := range scripts {
		scripts[i] = func(l *link) {
			b := emptyStore(data)
			b.data, b.prompt = data, true
			b.serve(l)
		}
	}
	whole, partly := 0, 0
	bubble(t, func(t *testing.T, p *peer) {
		dial := p.opt.DialNet
		for limit := int64(0); limit < last; limit += step {
			p.opt.DialNet = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dial(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				c := &cutConn{Conn: conn}
				c.left.Store(limit)
				return c, nil
			}
			conn, err := Dial(t.Context(), p.addr, p.opt)
			if err != nil {
				continue
			}
			got := new(sink)
			err = conn.Download(t.Context(), DownloadParams{Queue: queue, Size: 20_000, Sink: got, Part: 1000})
			switch {
			case err == nil && bytes.Equal(got.data, data):
				whole++
			case !errors.Is(err, ErrDisconnected) || !bytes.HasPrefix(data, got.data):
				t.Errorf("cut at %d: %v, %d bytes", limit, err, len(got.data))
			case len(got.data) > 0:
				partly++
			}
			conn.Close()
		}
	}, scripts...)
	if whole == 0 || partly < 5 {
		t.Errorf("%d whole, %d in part: the cuts do not cover the session", whole, partly)
	}
}
