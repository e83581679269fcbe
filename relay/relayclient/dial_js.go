package relayclient

import (
	"context"
	"fmt"

	"github.com/coder/websocket"

	"github.com/sealpost/sealpost/relay"
)

// dialTransport opens the browser's WebSocket. The browser verifies the
// certificate by its own roots and shows it to no script, so a pin cannot be
// checked here; the Noise handshake authenticates the relay all the same.
func dialTransport(ctx context.Context, addr relay.Address, _ Options) (*websocket.Conn, error) {
	ws, _, err := websocket.Dial(ctx, "wss://"+addr.Host+relay.Path, &websocket.DialOptions{
		Subprotocols: []string{relay.Subprotocol},
	})
	if err != nil {
		return nil, fmt.Errorf("relayclient: %w", err)
	}
	if ws.Subprotocol() != relay.Subprotocol {
		ws.CloseNow()
		return nil, fmt.Errorf("%w: not the subprotocol %s", ErrProtocol, relay.Subprotocol)
	}
	return ws, nil
}
