package relayclient

import (
	"fmt"

	"github.com/sealpost/sealpost/relay"
)

// An Event is what a Stream yields: [Delivery], [Gap], [End], [Signalled], and as
// the last one [Detached] or [ChainBroken].
type Event interface{ event() }

// Delivery carries verified entries, at least one, contiguous with all that the
// Stream has yielded before.
type Delivery struct{ Entries []Entry }

// Entry is one entry of the log. Its seq and chain were verified; Reader was
// not, since the chain does not cover it.
type Entry struct {
	Position relay.Position // after this entry; Position.Seq is the entry's seq
	Kind     relay.Kind     // pass over an unknown one
	Reader   *relay.PublicKey
	Blobs    []relay.Hash // that a COMMIT keeps: the relay has them while it has the entry
	// Envelope shares its memory with the other entries of the Delivery.
	Envelope []byte
}

// Gap tells that the entries From to To, both included, are not to be had. The
// chain across it is the relay's word: compare Position with what other members
// have seen.
type Gap struct {
	From, To uint64
	Reason   relay.GapReason
	Position relay.Position // after the gap; Seq is To
}

// End tells that the reader was removed and has now read everything up to its
// removal.
type End struct{ Position relay.Position }

// Detached is the last event of an attachment that the relay ended, or the
// caller's Detach. Without it a closed Stream ended with its Conn.
type Detached struct{ Reason relay.DetachReason }

// Violation says how a relay broke a log's chain.
type Violation uint8

// The violations.
const (
	Skipped    Violation = 1 // an entry was left out, repeated or moved, without a gap
	Forged     Violation = 2 // the entries do not give the chain that the relay claims
	RolledBack Violation = 3 // the log ends before the caller's position, or differs at it
	Disowned   Violation = 4 // the log differs from one that the relay answered for in this session
	Renamed    Violation = 5 // the incarnation changed without a loss
)

// String names the violation in words.
func (v Violation) String() string {
	switch v {
	case Skipped:
		return "entries left out or moved"
	case Forged:
		return "entries do not match their chain"
	case RolledBack:
		return "log shorter than or different from what was read before"
	case Disowned:
		return "log different from what was answered"
	case Renamed:
		return "incarnation changed without a loss"
	}
	return fmt.Sprintf("violation %d", uint8(v))
}

// ChainBroken is evidence of a relay that lies about a log, or has lost part of
// it without noticing: an event, the last one of its Stream, and an error.
// Nothing of the frame that it was found in has been yielded.
type ChainBroken struct {
	Violation Violation
	Verified  relay.Position // the last position that held
	Expected  relay.Position // what had to come; a zero Chain stands for any
	Got       relay.Position // what the relay said instead
}

// Error names the violation and the seqs, no id.
func (e *ChainBroken) Error() string {
	return fmt.Sprintf("relayclient: chain broken after seq %d: %v (expected seq %d, got %d)",
		e.Verified.Seq, e.Violation, e.Expected.Seq, e.Got.Seq)
}

func (Delivery) event()     {}
func (Gap) event()          {}
func (End) event()          {}
func (Detached) event()     {}
func (*ChainBroken) event() {}
