package relay

import (
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
)

// Ping asks for a PONG with the same value. A client sends one often enough that the
// server hears something every [IdleTimeout].
type Ping struct{ Value uint64 }

// Pong answers PING.
type Pong struct{ Value uint64 }

// GoAway tells that the server stops taking requests and will close the session. The
// client reconnects after about Reconnect, jittered.
type GoAway struct{ Reconnect time.Duration } // whole milliseconds

// CloseCode says why the server ends a session.
type CloseCode uint16

// The codes of CLOSE.
const (
	CloseProtocol  CloseCode = 1 // a frame that a client does not send, or of an unknown type
	CloseMalformed CloseCode = 2 // a frame that does not decode
	CloseTooLarge  CloseCode = 3 // a frame longer than max_frame
	CloseIdle      CloseCode = 4 // nothing heard for IdleTimeout
	CloseDraining  CloseCode = 5 // the server has drained
)

// String names the code in words.
func (c CloseCode) String() string {
	switch c {
	case CloseProtocol:
		return "protocol violation"
	case CloseMalformed:
		return "malformed frame"
	case CloseTooLarge:
		return "frame too large"
	case CloseIdle:
		return "idle"
	case CloseDraining:
		return "draining"
	}
	return fmt.Sprintf("close %d", uint16(c))
}

// Close is the last frame of a session that the server ends.
type Close struct{ Code CloseCode }

// Type returns TypePing.
func (*Ping) Type() FrameType { return TypePing }

// MarshalWire writes the body.
func (p *Ping) MarshalWire(w *wire.Writer) { w.Uint64(p.Value) }

// UnmarshalWire reads the body.
func (p *Ping) UnmarshalWire(r *wire.Reader) { p.Value = r.Uint64() }

// Type returns TypePong.
func (*Pong) Type() FrameType { return TypePong }

// MarshalWire writes the body.
func (p *Pong) MarshalWire(w *wire.Writer) { w.Uint64(p.Value) }

// UnmarshalWire reads the body.
func (p *Pong) UnmarshalWire(r *wire.Reader) { p.Value = r.Uint64() }

// Type returns TypeGoAway.
func (*GoAway) Type() FrameType { return TypeGoAway }

// MarshalWire writes the body.
func (g *GoAway) MarshalWire(w *wire.Writer) { w.Uint32(milliseconds(g.Reconnect)) }

// UnmarshalWire reads the body.
func (g *GoAway) UnmarshalWire(r *wire.Reader) {
	g.Reconnect = time.Duration(r.Uint32()) * time.Millisecond
}

// Type returns TypeClose.
func (*Close) Type() FrameType { return TypeClose }

// MarshalWire writes the body.
func (c *Close) MarshalWire(w *wire.Writer) { w.Uint16(uint16(c.Code)) }

// UnmarshalWire reads the body.
func (c *Close) UnmarshalWire(r *wire.Reader) { c.Code = CloseCode(r.Uint16()) }
