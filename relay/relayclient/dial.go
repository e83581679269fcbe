package relayclient

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/race"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// Dial opens a session with the relay at addr. It races the transports: each that starts
// makes its own connection and the Noise handshake, the first complete handshake wins, and the
// others are ended. All of it takes ten seconds at most, or until ctx ends. After Dial has
// returned, ctx has no more effect; the caller closes the Conn.
//
// The error joins those of all transports that were tried, so errors.Is and errors.As find
// each: certpin.ErrMismatch and its siblings, [*UpgradeError], [ErrProtocol],
// session.ErrHandshake when whoever answers does not hold the relay's key,
// session.ErrVersion, [ErrTimeout], and those of net, crypto/tls and quic-go.
// [relay.ErrAddress] and [ErrNoTransport] mean that nothing was tried.
func Dial(ctx context.Context, addr relay.Address, opt Options) (*Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, ErrTimeout)
	defer cancel()
	if _, _, err := net.SplitHostPort(addr.Host); err != nil {
		return nil, fmt.Errorf("%w: %w", relay.ErrAddress, err)
	}
	order := opt.order(addr.Key)
	if len(order) == 0 {
		return nil, ErrNoTransport
	}
	var attempts []race.Attempt[dialled]
	for i, t := range order {
		attempts = append(attempts, race.Attempt[dialled]{
			Name: t.String(), After: headStarts[i],
			Run: func(ctx context.Context) (dialled, error) { return dial(ctx, t, addr, opt) },
		})
	}
	won, err := race.First(ctx, func(d dialled) { d.carrier.abandon() }, attempts...)
	if err != nil {
		return nil, fmt.Errorf("relayclient: dial: %w", err)
	}
	if opt.Remember != nil {
		opt.Remember.note(addr.Key, order[won.Index], won.Index == 0)
	}
	c := newConn(won.Value.carrier, won.Value.session, opt)
	if errors.Is(won.Failed, session.ErrHandshake) || errors.Is(won.Failed, certpin.ErrMismatch) {
		c.log.Warn("another transport was answered by somebody who is not the relay")
	}
	c.running.Go(won.Wait)
	return c, nil
}

// dialled is a session without a Conn.
type dialled struct {
	carrier *carrier
	session *session.Session
}

// dial opens a session over one transport.
func dial(ctx context.Context, t Transport, addr relay.Address, opt Options) (dialled, error) {
	stream, err := open(ctx, t, addr, opt)
	if err != nil {
		return dialled{}, err
	}
	c := newCarrier(stream, t)
	var features []session.Feature
	if c.brancher() != nil {
		features = append(features, session.FeatureStreams)
	}
	s, err := session.Client(ctx, c, addr.Key, features...)
	if err != nil {
		c.abandon()
		return dialled{}, err
	}
	return dialled{c, s}, nil
}
