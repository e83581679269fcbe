package relay

import "github.com/sealpost/sealpost/internal/wire"

// Attach asks for a queue's entries after Position. The session has proven Reader for
// reading in Queue. Answered by ATTACHED, then DELIVER, GAP, END and DETACHED.
type Attach struct {
	Request  uint64
	Queue    QueueID
	Reader   PublicKey
	Position *Position // the last entry the client has; nil: from seq 1, with a GAP for what it may not read
	Window   uint32    // bytes of envelopes delivered and not yet ACKed; one entry always fits
}

// Attached is the answer to ATTACH.
type Attached struct {
	Request    uint64
	Attachment uint64   // the server's number for it, unique in the session
	Head       Position // the queue's last entry at this moment
	LastCommit Position // its last COMMIT entry, valid or not; zero if none
}

// Ack says that the client has stored everything up to Seq. It is cumulative, opens the
// window, and is written lazily: losing one only repeats deliveries. It has no answer.
type Ack struct {
	Attachment uint64
	Seq        uint64
}

// Detach ends an attachment. Answered by DETACHED asked.
type Detach struct{ Attachment uint64 }

// Type returns TypeAttach.
func (*Attach) Type() FrameType { return TypeAttach }

// RequestNumber returns a.Request.
func (a *Attach) RequestNumber() uint64 { return a.Request }

// SetRequest sets a.Request.
func (a *Attach) SetRequest(n uint64) { a.Request = n }

// MarshalWire writes the body.
func (a *Attach) MarshalWire(w *wire.Writer) {
	w.Uint64(a.Request)
	w.Raw(a.Queue[:])
	w.Raw(a.Reader[:])
	wire.WriteOptional(w, a.Position, writePosition)
	w.Uint32(a.Window)
}

// UnmarshalWire reads the body.
func (a *Attach) UnmarshalWire(r *wire.Reader) {
	a.Request = r.Uint64()
	r.Copy(a.Queue[:])
	r.Copy(a.Reader[:])
	a.Position = wire.Optional(r, readPosition)
	a.Window = r.Uint32()
}

// Type returns TypeAttached.
func (*Attached) Type() FrameType { return TypeAttached }

// RequestNumber returns a.Request.
func (a *Attached) RequestNumber() uint64 { return a.Request }

// MarshalWire writes the body.
func (a *Attached) MarshalWire(w *wire.Writer) {
	w.Uint64(a.Request)
	w.Uint64(a.Attachment)
	a.Head.MarshalWire(w)
	a.LastCommit.MarshalWire(w)
}

// UnmarshalWire reads the body.
func (a *Attached) UnmarshalWire(r *wire.Reader) {
	a.Request = r.Uint64()
	a.Attachment = r.Uint64()
	a.Head.UnmarshalWire(r)
	a.LastCommit.UnmarshalWire(r)
}

// Type returns TypeAck.
func (*Ack) Type() FrameType { return TypeAck }

// MarshalWire writes the body.
func (a *Ack) MarshalWire(w *wire.Writer) {
	w.Uint64(a.Attachment)
	w.Uint64(a.Seq)
}

// UnmarshalWire reads the body.
func (a *Ack) UnmarshalWire(r *wire.Reader) {
	a.Attachment = r.Uint64()
	a.Seq = r.Uint64()
}

// Type returns TypeDetach.
func (*Detach) Type() FrameType { return TypeDetach }

// MarshalWire writes the body.
func (d *Detach) MarshalWire(w *wire.Writer) { w.Uint64(d.Attachment) }

// UnmarshalWire reads the body.
func (d *Detach) UnmarshalWire(r *wire.Reader) { d.Attachment = r.Uint64() }
