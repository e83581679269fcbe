package clientlib

import (
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// maxEvidenceMessage bounds the envelope that goes into evidence; of a larger one the position is
// enough to ask the relay for it.
const maxEvidenceMessage = 64 << 10

const evidenceVersion = 1

var errNoEvidence = errors.New("clientlib: the event carries no evidence")

// Evidence is what an event about a relay holds on to. Known and Shown cannot both be places in one
// log of the queue, unless a loss is told of (EventGap). A position's chain covers all entries up
// to it, so anybody who has the entries, or a relay that says that it is honest, can check which of
// the two is true. It names a queue, and is not for whoever must not know that.
type Evidence struct {
	Relay string        // the relay's address
	Queue relay.QueueID // where it is
	Known relay.Position
	Shown relay.Position
	At    relay.Position // the entry that made it known; zero if none did

	// Envelope is that entry's, if it is a member's message of at most 64 KiB: the other members can
	// open it, and its signed part says what its sender had seen.
	Envelope []byte
}

func (ev *Evidence) MarshalWire(w *wire.Writer) {
	w.Uint8(evidenceVersion)
	w.Bytes([]byte(ev.Relay))
	w.Raw(ev.Queue[:])
	for _, p := range []*relay.Position{&ev.Known, &ev.Shown, &ev.At} {
		p.MarshalWire(w)
	}
	w.Bytes(ev.Envelope)
}

func (ev *Evidence) UnmarshalWire(r *wire.Reader) {
	if r.Uint8() != evidenceVersion {
		r.Fail(errNoEvidence)
	}
	ev.Relay = string(r.Bytes())
	r.Copy(ev.Queue[:])
	for _, p := range []*relay.Position{&ev.Known, &ev.Shown, &ev.At} {
		p.UnmarshalWire(r)
	}
	ev.Envelope = r.Bytes()
}

// Proof decodes the event's evidence. Events of other kinds than EventGap, EventForkSuspected,
// EventRollback, EventClosed and some of EventCannotFollow have none, which is an error.
func (e Event) Proof() (*Evidence, error) {
	ev := new(Evidence)
	if err := wire.Unmarshal(e.Evidence, ev); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoEvidence, err)
	}
	return ev, nil
}

// proof is evidence about a group's queue, encoded.
func (g *group) proof(known, shown relay.Position, en *relayclient.Entry) ([]byte, error) {
	ev := Evidence{Relay: g.rec.Relay, Queue: g.rec.Queue, Known: known, Shown: shown}
	if en != nil {
		if ev.At = en.Position; len(en.Envelope) <= maxEvidenceMessage {
			ev.Envelope = en.Envelope
		}
	}
	return wire.Marshal(&ev)
}

// emitProof stores an event with its evidence.
func (e *engine) emitProof(tx *state.Tx, g *group, ev Event, known, shown relay.Position, en *relayclient.Entry) error {
	var err error
	if ev.Evidence, err = g.proof(known, shown, en); err != nil {
		return err
	}
	return e.emit(tx, ev)
}
