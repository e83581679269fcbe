package demo

import (
	"context"
	"fmt"
	"net"

	"github.com/sealpost/sealpost/clientlib"
)

// transportsOf says how each of the three reaches the relay. When UDP is blocked, whoever
// would use it finds the next best by itself.
func (r *run) transportsOf(name string) []clientlib.Transport {
	switch name {
	case "bob":
		return []clientlib.Transport{clientlib.WebSocket}
	case "carol":
		return []clientlib.Transport{clientlib.LongPolling}
	}
	if r.BlockUDP {
		return nil
	}
	return []clientlib.Transport{clientlib.WebTransport}
}

// deaf is a UDP socket in a network that drops UDP: what is sent goes nowhere.
type deaf struct{ net.PacketConn }

// WriteTo drops p.
func (deaf) WriteTo(p []byte, _ net.Addr) (int, error) { return len(p), nil }

func listenDeaf(ctx context.Context, network, addr string) (net.PacketConn, error) {
	conn, err := new(net.ListenConfig).ListenPacket(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return deaf{conn}, nil
}

// overWhat waits until a member is connected, and tells over what.
func (p *person) overWhat(ctx context.Context) (over clientlib.Transport, err error) {
	err = p.until(ctx, "a connection", func() (ok bool, err error) {
		over, ok, err = p.client.Connected(ctx)
		return ok, err
	})
	return over, err
}

// sayTransports tells over what each member is connected, and fails if one uses what it was
// not to use, or what is blocked.
func (r *run) sayTransports(ctx context.Context) error {
	var all []any
	for i, p := range r.people {
		over, err := p.overWhat(ctx)
		if err != nil {
			return err
		}
		want := []clientlib.Transport{clientlib.WebTransport, clientlib.WebSocket, clientlib.LongPolling}[i]
		if i == 0 && r.BlockUDP {
			want = clientlib.WebSocket
		}
		if over != want {
			return fmt.Errorf("%s is connected over %v, want %v", p.handle, over, want)
		}
		all = append(all, over)
	}
	r.say("alice is connected over %v, bob over %v, carol over %v", all...)
	return nil
}
