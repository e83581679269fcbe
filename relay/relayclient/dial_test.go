package relayclient

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/session"
)

// Whoever answers without the relay's two keys is refused.
func TestImpostors(t *testing.T) {
	loopback(t, func(t *testing.T, p *peer) {
		wrongPin := p.addr
		wrongPin.Pin = new(*p.addr.Pin)
		wrongPin.Pin[0] ^= 1
		if _, err := Dial(t.Context(), wrongPin, p.opt); !errors.Is(err, certpin.ErrMismatch) {
			t.Errorf("another certificate: %v", err)
		}
		noPin := p.addr
		noPin.Pin = nil
		_, err := Dial(t.Context(), noPin, p.opt)
		if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
			t.Errorf("a self-signed certificate without a pin: %v", err)
		}
		wrongKey := p.addr
		wrongKey.Key[0] ^= 1
		if _, err := Dial(t.Context(), wrongKey, p.opt); err == nil {
			t.Error("another Noise key was accepted")
		}
		// The one script is used up by the handshake that failed above.
		if _, err := Dial(t.Context(), p.addr, p.opt); err == nil {
			t.Error("no script is left")
		} else if e, ok := errors.AsType[*UpgradeError](err); !ok || e.Status != http.StatusServiceUnavailable {
			t.Errorf("an HTTP server that is busy: %v", err)
		} else if RetryAfter(err) != 7*time.Second {
			t.Errorf("it says when to come again, and we hear %v", RetryAfter(err))
		}
	}, (*link).untilClosed)
}

// An impostor with the pinned certificate but another Noise key cannot answer
// the handshake.
func TestHandshakeByAnother(t *testing.T) {
	bubble(t, func(t *testing.T, p *peer) {
		other, err := session.NewPrivateKey([32]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		p.addr.Key = other.Public()
		if c, err := Dial(t.Context(), p.addr, p.opt); err == nil {
			c.Close()
			t.Error("a relay with another key was accepted")
		}
	}, (*link).untilClosed)
}

// Whatever phase is swallowed, Dial ends after ten seconds or with the caller's
// context, and leaves nothing behind.
func TestDialEnds(t *testing.T) {
	for name, swallow := range map[string]func(ctx context.Context) (net.Conn, error){
		"nobody answers TCP": func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"nobody answers TLS": func(ctx context.Context) (net.Conn, error) {
			a, _ := net.Pipe()
			return a, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, p *peer) {
				p.opt.DialNet = func(ctx context.Context, _, _ string) (net.Conn, error) { return swallow(ctx) }
				start := time.Now()
				if _, err := Dial(t.Context(), p.addr, p.opt); !errors.Is(err, ErrTimeout) || time.Since(start) != dialTimeout {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := Dial(ctx, p.addr, p.opt); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the caller's deadline: %v", err)
				}
			})
		})
	}
	t.Run("bad address", func(t *testing.T) {
		if _, err := Dial(t.Context(), relay.Address{Host: "no port"}, Options{}); !errors.Is(err, relay.ErrAddress) {
			t.Errorf("got %v", err)
		}
	})
}
