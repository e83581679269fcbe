package relay

import "github.com/sealpost/sealpost/internal/wire"

// Entry is one entry of a queue's log as a reader gets it.
type Entry struct {
	Seq      uint64
	Kind     Kind
	Reader   *PublicKey // of COMMIT and KNOCK, and of messages under named writing
	Blobs    []Hash     // of a COMMIT: what it keeps; covered by the chain
	Envelope []byte     // always a valid envelope size
}

// Deliver carries entries. Their seqs are contiguous within a frame and from frame to
// frame, except that a GAP may stand between.
type Deliver struct {
	Attachment uint64
	Entries    []Entry
	Chain      Hash // after the last of them
}

// GapReason says why entries are missing.
type GapReason uint8

// The reasons of GAP.
const (
	GapExpired GapReason = 1 // kept as long as the retention said
	GapRemoved GapReason = 2 // erased by an admin, or without waiting for a reader that was removed
	GapLost    GapReason = 3 // the store lost them; the incarnation changes here
	GapAcked   GapReason = 4 // acked by every reader that was to have them; before this reader's place
	GapQuota   GapReason = 5 // dropped to make room
)

// Gap tells that the entries From to To, both included, are not to be had, and where the
// log goes on. It is never left out: no entry is skipped in silence.
type Gap struct {
	Attachment uint64
	From, To   uint64
	Reason     GapReason
	After      Position // seq is To; the chain goes on from here
}

// End tells a removed reader that it has read everything up to its removal.
type End struct {
	Attachment uint64
	Position   Position
}

// DetachReason says why an attachment ended.
type DetachReason uint8

// The reasons of DETACHED.
const (
	DetachAsked      DetachReason = 1 // by DETACH
	DetachSuperseded DetachReason = 2 // another session attached as the same reader
	DetachDraining   DetachReason = 3 // the server is going away; reconnect
	DetachRemoved    DetachReason = 4 // the reader was removed
	DetachDeleted    DetachReason = 5 // the queue was erased
	DetachFailed     DetachReason = 6 // the store cannot read the queue now; attach again later
	DetachSuspended  DetachReason = 7 // the relay's operator stopped the queue
)

// Detached is the last frame of an attachment.
type Detached struct {
	Attachment uint64
	Reason     DetachReason
}

// minEntry is the fewest bytes that an Entry takes on the wire.
const minEntry = 8 + 1 + 1 + 1 + 2 + MinEnvelope

// Type returns TypeDeliver.
func (*Deliver) Type() FrameType { return TypeDeliver }

// MarshalWire writes the body.
func (d *Deliver) MarshalWire(w *wire.Writer) {
	w.Uint64(d.Attachment)
	wire.WriteVector(w, d.Entries, writeEntry)
	w.Raw(d.Chain[:])
}

// UnmarshalWire reads the body.
func (d *Deliver) UnmarshalWire(r *wire.Reader) {
	d.Attachment = r.Uint64()
	d.Entries = readVector(r, MaxServerFrame/minEntry, readEntry)
	r.Copy(d.Chain[:])
}

func writeEntry(w *wire.Writer, e Entry) {
	w.Uint64(e.Seq)
	w.Uint8(uint8(e.Kind))
	wire.WriteOptional(w, e.Reader, writeKey)
	wire.WriteVector(w, e.Blobs, writeHash)
	w.Bytes(e.Envelope)
}

func readEntry(r *wire.Reader) (e Entry) {
	e.Seq = r.Uint64()
	e.Kind = Kind(r.Uint8())
	e.Reader = wire.Optional(r, readKey)
	e.Blobs = readVector(r, MaxPins, readHash)
	e.Envelope = r.Bytes()
	if r.Err() == nil && !ValidEnvelopeSize(len(e.Envelope)) {
		r.Fail(ErrEntrySize)
	}
	return e
}

// Type returns TypeGap.
func (*Gap) Type() FrameType { return TypeGap }

// MarshalWire writes the body.
func (g *Gap) MarshalWire(w *wire.Writer) {
	w.Uint64(g.Attachment)
	w.Uint64(g.From)
	w.Uint64(g.To)
	w.Uint8(uint8(g.Reason))
	g.After.MarshalWire(w)
}

// UnmarshalWire reads the body.
func (g *Gap) UnmarshalWire(r *wire.Reader) {
	g.Attachment = r.Uint64()
	g.From = r.Uint64()
	g.To = r.Uint64()
	g.Reason = GapReason(r.Uint8())
	g.After.UnmarshalWire(r)
}

// Type returns TypeEnd.
func (*End) Type() FrameType { return TypeEnd }

// MarshalWire writes the body.
func (e *End) MarshalWire(w *wire.Writer) {
	w.Uint64(e.Attachment)
	e.Position.MarshalWire(w)
}

// UnmarshalWire reads the body.
func (e *End) UnmarshalWire(r *wire.Reader) {
	e.Attachment = r.Uint64()
	e.Position.UnmarshalWire(r)
}

// Type returns TypeDetached.
func (*Detached) Type() FrameType { return TypeDetached }

// MarshalWire writes the body.
func (d *Detached) MarshalWire(w *wire.Writer) {
	w.Uint64(d.Attachment)
	w.Uint8(uint8(d.Reason))
}

// UnmarshalWire reads the body.
func (d *Detached) UnmarshalWire(r *wire.Reader) {
	d.Attachment = r.Uint64()
	d.Reason = DetachReason(r.Uint8())
}
