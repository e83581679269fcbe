package relayclient

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/sealpost/sealpost/relay"
)

// cutConn ends after left bytes in both directions together.
type cutConn struct {
	net.Conn
	left atomic.Int64
}

var errCut = errors.New("cut")

func (c *cutConn) take(n int) (int, error) {
	left := c.left.Add(-int64(n))
	if left >= 0 {
		return n, nil
	}
	c.Close()
	return max(0, n+int(left)), errCut
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		return n, err
	}
	return c.take(n)
}

func (c *cutConn) Write(p []byte) (int, error) {
	n, cut := c.take(len(p))
	if cut == nil {
		return c.Conn.Write(p)
	}
	// What fits still goes out, on a connection that is then closed.
	return n, cut
}

// honest answers whatever comes, as a relay with one queue, until the session
// ends; it delivers every entry to whoever is attached.
func honest(l *link) {
	log := newLogbook(l.relayKey(), 3)
	attached := false
	for {
		f, err := l.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *relay.Prove:
			err = l.WriteFrames(&relay.Proved{Request: f.Request})
		case *relay.Attach:
			attached = true
			err = l.WriteFrames(&relay.Attached{Request: f.Request, Attachment: 1, Head: log.head()}, log.deliver(1, 1, 3))
		case *relay.Append:
			p := log.add(relay.KindMessage, f.Envelope)
			err = l.WriteFrames(&relay.Accepted{Request: f.Request, Position: p})
			if err == nil && attached {
				err = l.WriteFrames(log.deliver(1, p.Seq, p.Seq))
			}
		}
		if err != nil {
			return
		}
	}
}

// A proxy that cuts the line after any number of bytes leaves each call with an
// outcome or with ErrDisconnected, each stream with a verified beginning of the
// log, and no goroutine.
func TestCutAnywhere(t *testing.T) {
	const last, step = 14_000, 61
	scripts := make([]func(*link), last/step+1)
	for i := range scripts {
		scripts[i] = honest
	}
	dialled, accepted := 0, 0
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
			dialled++
			attach := conn.Attach(queue, key("reader"), nil, 0)
			var calls []*Call
			for i := range 3 {
				calls = append(calls, conn.Append(queue, id(uint64(i)), key("writer"), envelope(uint64(i))))
			}
			for i, call := range calls {
				pos, err := call.Result()
				switch {
				case err == nil && pos.Seq == uint64(i)+4:
					accepted++
				case !errors.Is(err, ErrDisconnected):
					t.Errorf("cut at %d: call %d: %v, %v", limit, i, pos, err)
				}
			}
			s, err := attach.Result()
			if err != nil {
				if !errors.Is(err, ErrDisconnected) {
					t.Errorf("cut at %d: attach: %v", limit, err)
				}
			} else {
				go conn.Close()
				seq := uint64(0)
				for e := range s.Events() {
					for _, entry := range e.(Delivery).Entries {
						if seq++; entry.Position.Seq != seq {
							t.Errorf("cut at %d: seq %d after %d", limit, entry.Position.Seq, seq-1)
						}
					}
				}
			}
			conn.Close()
		}
	}, scripts...)
	if dialled == 0 || dialled == len(scripts) || accepted == 0 || accepted == 3*dialled {
		t.Errorf("%d of %d dials, %d of %d calls: the cuts do not cover the session", dialled, len(scripts), accepted, 3*dialled)
	}
}
