package relayclient

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/sealpost/sealpost/relay"
)

// mute is a connection on which nothing can be written from a moment on.
type mute struct {
	net.Conn
	from  <-chan struct{}
	tried chan<- struct{} // told of the first that fails; cap 1
}

func (m *mute) Write(p []byte) (int, error) {
	select {
	case <-m.from:
		select {
		case m.tried <- struct{}{}:
		default:
		}
		return 0, errors.New("reset by peer")
	default:
		return m.Conn.Write(p)
	}
}

// TestR37_GoAwayOutlivesWriting: a relay that goes away takes no more from a client in the
// middle of writing. The client hears all the same when to come back.
func TestR37_GoAwayOutlivesWriting(t *testing.T) {
	var from, tried chan struct{}
	bubble(t, func(t *testing.T, p *peer) {
		from, tried = make(chan struct{}), make(chan struct{}, 1)
		dial := p.opt.DialNet
		p.opt.DialNet = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return &mute{conn, from, tried}, err
		}
		c := p.dial()
		close(from)
		call := c.Append(queue, id(1), key("writer"), envelope(1))
		<-c.Done()
		if len(c.GoAway()) != 1 || <-c.GoAway() != time.Minute {
			t.Error("no advice when to come back")
		}
		if closed, ok := errors.AsType[*CloseError](c.Err()); !ok || closed.Code != relay.CloseDraining {
			t.Errorf("the session ended with %v", c.Err())
		}
		if _, err := call.Result(); !errors.Is(err, ErrDisconnected) {
			t.Errorf("the call: %v", err)
		}
		c.Close()
	}, func(l *link) {
		<-tried
		l.send(&relay.GoAway{Reconnect: time.Minute}, &relay.Close{Code: relay.CloseDraining})
	})
}
