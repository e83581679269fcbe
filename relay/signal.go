package relay

import "github.com/sealpost/sealpost/internal/wire"

// Signal goes to whoever else is attached to the queue of one of the session's attachments,
// now or never: it is not stored, has no answer, and is the first to be dropped.
type Signal struct {
	Attachment uint64
	Sealed     [SignalSize]byte
}

// Signalled is a signal on its way to a reader.
type Signalled struct {
	Attachment uint64
	Sealed     [SignalSize]byte
}

// Stream tells that the frames of an attachment come on a stream of its own (WebTransport):
// a backlog then does not stand in the way of the other queues. The stream begins with Name,
// and its records are sealed under Key.
type Stream struct {
	Attachment uint64
	Name       [16]byte // random, and of no meaning to whoever sees the stream
	Key        StreamKey
}

// StreamKey seals the records of one stream, in one direction. It is random for each.
type StreamKey [32]byte

// Type returns TypeSignal.
func (*Signal) Type() FrameType { return TypeSignal }

// MarshalWire writes the body.
func (s *Signal) MarshalWire(w *wire.Writer) {
	w.Uint64(s.Attachment)
	w.Raw(s.Sealed[:])
}

// UnmarshalWire reads the body.
func (s *Signal) UnmarshalWire(r *wire.Reader) {
	s.Attachment = r.Uint64()
	r.Copy(s.Sealed[:])
}

// Type returns TypeSignalled.
func (*Signalled) Type() FrameType { return TypeSignalled }

// MarshalWire writes the body.
func (s *Signalled) MarshalWire(w *wire.Writer) {
	w.Uint64(s.Attachment)
	w.Raw(s.Sealed[:])
}

// UnmarshalWire reads the body.
func (s *Signalled) UnmarshalWire(r *wire.Reader) {
	s.Attachment = r.Uint64()
	r.Copy(s.Sealed[:])
}

// Type returns TypeStream.
func (*Stream) Type() FrameType { return TypeStream }

// MarshalWire writes the body.
func (s *Stream) MarshalWire(w *wire.Writer) {
	w.Uint64(s.Attachment)
	w.Raw(s.Name[:])
	w.Raw(s.Key[:])
}

// UnmarshalWire reads the body.
func (s *Stream) UnmarshalWire(r *wire.Reader) {
	s.Attachment = r.Uint64()
	r.Copy(s.Name[:])
	r.Copy(s.Key[:])
}
