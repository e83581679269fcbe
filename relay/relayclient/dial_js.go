package relayclient

import (
	"context"
	"fmt"
	"io"

	"github.com/coder/websocket"

	"github.com/sealpost/sealpost/relay"
)

// usable: a browser's scripts have no sockets.
func (o *Options) usable(t Transport) bool { return t == WebSocket }

// open opens the browser's WebSocket. The browser verifies the
// certificate by its own roots and shows it to no script, so a pin cannot be
// checked here; the Noise handshake authenticates the relay all the same.
func open(ctx context.Context, _ Transport, addr relay.Address, _ Options) (io.ReadWriteCloser, error) {
	ws, _, err := websocket.Dial(ctx, "wss://"+addr.Host+relay.Path, &websocket.DialOptions{
		Subprotocols: []string{relay.Subprotocol},
	})
	if err != nil {
		return nil, err
	}
	if ws.Subprotocol() != relay.Subprotocol {
		ws.CloseNow()
		return nil, fmt.Errorf("%w: not the subprotocol %s", ErrProtocol, relay.Subprotocol)
	}
	return newWebSocket(ws), nil
}
