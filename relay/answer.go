package relay

import "github.com/sealpost/sealpost/internal/wire"

// Proved is the answer to PROVE: the signature holds. It says nothing about the queue.
type Proved struct{ Request uint64 }

// Accepted is the answer to a mutation that is on disk: the position of its entry, or the
// head if it made none. A retry gets the first answer again.
type Accepted struct {
	Request  uint64
	Position Position
}

// Refused is the answer to a request that changed nothing.
type Refused struct {
	Request uint64
	Refusal Refusal
}

// Type returns TypeProved.
func (*Proved) Type() FrameType { return TypeProved }

// RequestNumber returns p.Request.
func (p *Proved) RequestNumber() uint64 { return p.Request }

// MarshalWire writes the body.
func (p *Proved) MarshalWire(w *wire.Writer) { w.Uint64(p.Request) }

// UnmarshalWire reads the body.
func (p *Proved) UnmarshalWire(r *wire.Reader) { p.Request = r.Uint64() }

// Type returns TypeAccepted.
func (*Accepted) Type() FrameType { return TypeAccepted }

// RequestNumber returns a.Request.
func (a *Accepted) RequestNumber() uint64 { return a.Request }

// MarshalWire writes the body.
func (a *Accepted) MarshalWire(w *wire.Writer) {
	w.Uint64(a.Request)
	a.Position.MarshalWire(w)
}

// UnmarshalWire reads the body.
func (a *Accepted) UnmarshalWire(r *wire.Reader) {
	a.Request = r.Uint64()
	a.Position.UnmarshalWire(r)
}

// Type returns TypeRefused.
func (*Refused) Type() FrameType { return TypeRefused }

// RequestNumber returns f.Request.
func (f *Refused) RequestNumber() uint64 { return f.Request }

// MarshalWire writes the body.
func (f *Refused) MarshalWire(w *wire.Writer) {
	w.Uint64(f.Request)
	f.Refusal.MarshalWire(w)
}

// UnmarshalWire reads the body.
func (f *Refused) UnmarshalWire(r *wire.Reader) {
	f.Request = r.Uint64()
	f.Refusal.UnmarshalWire(r)
}
