package relayclient

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// transport makes of a WebSocket the ordered byte stream that a session runs
// over. Read and Write may be called concurrently with each other, not with
// themselves; Close with anything.
type transport struct {
	ws     *websocket.Conn
	reader io.Reader // of the message being read; owned by the reading goroutine

	// dead fires when no byte was read for deadAfter, slow when one write takes
	// longer than writeTimeout. Both end the connection.
	dead, slow *time.Timer

	mu    sync.Mutex
	cause error // why it ended by itself; guarded by mu
}

func newTransport(ws *websocket.Conn) *transport {
	ws.SetReadLimit(-1) // the session bounds records and frames; messages mean nothing
	t := &transport{ws: ws}
	t.dead = time.AfterFunc(deadAfter, t.expire)
	t.slow = time.AfterFunc(writeTimeout, t.expire)
	t.slow.Stop()
	return t
}

func (t *transport) expire() {
	t.mu.Lock()
	t.cause = ErrTimeout
	t.mu.Unlock()
	t.Close()
}

// Close ends the connection without a closing handshake: whoever waits in Read
// or Write gets an error now. Safe to call many times.
func (t *transport) Close() error {
	t.dead.Stop()
	t.slow.Stop()
	return t.ws.CloseNow()
}

// explain replaces an error that only tells that the connection was closed by
// the reason for closing it.
func (t *transport) explain(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cause != nil {
		return t.cause
	}
	return err
}

func (t *transport) Read(p []byte) (int, error) {
	for {
		if t.reader == nil {
			typ, r, err := t.ws.Reader(context.Background())
			if err != nil {
				return 0, t.explain(err)
			}
			if typ != websocket.MessageBinary {
				return 0, fmt.Errorf("%w: a text message", ErrProtocol)
			}
			t.reader = r
		}
		n, err := t.reader.Read(p)
		if err == io.EOF { // bare: of this message; wrapped: of the connection
			t.reader, err = nil, nil
		}
		if n > 0 {
			t.dead.Reset(deadAfter)
		}
		if n > 0 || err != nil {
			return n, t.explain(err)
		}
	}
}

func (t *transport) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		chunk := p[:min(len(p), writeChunk)]
		t.slow.Reset(writeTimeout)
		err := t.ws.Write(context.Background(), websocket.MessageBinary, chunk)
		t.slow.Stop()
		if err != nil {
			return written, t.explain(err)
		}
		written += len(chunk)
		p = p[len(chunk):]
	}
	return written, nil
}
