package relayclient

import (
	"context"
	"fmt"
	"io"

	"github.com/coder/websocket"
)

// webSocket makes of a WebSocket an ordered byte stream (PROTOCOL.md section 3.1).
type webSocket struct {
	ws     *websocket.Conn
	reader io.Reader // of the message being read; owned by the reading goroutine
}

func newWebSocket(ws *websocket.Conn) *webSocket {
	ws.SetReadLimit(-1) // the session bounds records and frames; messages mean nothing
	return &webSocket{ws: ws}
}

func (w *webSocket) Read(p []byte) (int, error) {
	for {
		if w.reader == nil {
			typ, r, err := w.ws.Reader(context.Background())
			if err != nil {
				return 0, err
			}
			if typ != websocket.MessageBinary {
				return 0, fmt.Errorf("%w: a text message", ErrProtocol)
			}
			w.reader = r
		}
		n, err := w.reader.Read(p)
		if err == io.EOF { // bare: of this message; wrapped: of the connection
			w.reader, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (w *webSocket) Write(p []byte) (int, error) {
	if err := w.ws.Write(context.Background(), websocket.MessageBinary, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *webSocket) Close() error { return w.ws.CloseNow() }
