package relayclient

import (
	"fmt"

	"github.com/sealpost/sealpost/relay"
)

// deliver verifies a DELIVER against the position and yields it. Nothing of a
// frame with a violation is yielded. An error ends the session.
func (s *Stream) deliver(f *relay.Deliver) error {
	if len(f.Entries) == 0 {
		return fmt.Errorf("%w: DELIVER without entries", ErrProtocol)
	}
	at := s.position
	if !s.known {
		// Without a position of the caller's, the log begins at its beginning or
		// with a gap up to where it does.
		at.Incarnation = s.conn.Incarnation()
		at.Chain = relay.ChainStart(s.conn.binding.RelayKey, s.queue, at.Incarnation)
	}
	entries := make([]Entry, 0, len(f.Entries))
	for _, e := range f.Entries {
		if e.Seq != at.Seq+1 {
			s.violation(Skipped, relay.Position{Incarnation: at.Incarnation, Seq: at.Seq + 1},
				relay.Position{Incarnation: at.Incarnation, Seq: e.Seq})
			return nil
		}
		at.Seq, at.Chain = e.Seq, relay.ChainNext(at.Chain, e.Seq, e.Kind, e.Envelope, e.Blobs...)
		if want, ok := s.promises[at.Seq]; ok && want != at.Chain {
			s.violation(Disowned, relay.Position{Incarnation: at.Incarnation, Seq: at.Seq, Chain: want}, at)
			return nil
		}
		delete(s.promises, at.Seq)
		entries = append(entries, Entry{Position: at, Kind: e.Kind, Reader: e.Reader, Blobs: e.Blobs, Envelope: e.Envelope})
	}
	if at.Chain != f.Chain {
		s.violation(Forged, at, relay.Position{Incarnation: at.Incarnation, Seq: at.Seq, Chain: f.Chain})
		return nil
	}
	s.known, s.position = true, at
	return s.yield(Delivery{Entries: entries}, at.Seq, entries...)
}

// gap verifies what can be: that the gap begins where the log stands, that it
// says where it ends, and that only a loss changes the incarnation.
func (s *Stream) gap(f *relay.Gap) error {
	if f.To < f.From || f.After.Seq != f.To {
		return fmt.Errorf("%w: a gap that does not end where it says", ErrProtocol)
	}
	if s.known && f.From != s.position.Seq+1 {
		s.violation(Skipped, relay.Position{Incarnation: s.position.Incarnation, Seq: s.position.Seq + 1},
			relay.Position{Incarnation: f.After.Incarnation, Seq: f.From})
		return nil
	}
	if s.known && f.After.Incarnation != s.position.Incarnation && !loss(f.Reason) {
		s.violation(Renamed, s.position, f.After)
		return nil
	}
	if f.After.Incarnation == s.position.Incarnation {
		if want, ok := s.promises[f.To]; ok && want != f.After.Chain {
			s.violation(Disowned, relay.Position{Incarnation: f.After.Incarnation, Seq: f.To, Chain: want}, f.After)
			return nil
		}
	} else {
		clear(s.promises)
	}
	for seq := range s.promises {
		if seq <= f.To {
			delete(s.promises, seq)
		}
	}
	s.known, s.position = true, f.After
	return s.yield(Gap{From: f.From, To: f.To, Reason: f.Reason, Position: f.After}, f.To)
}

// loss reports whether a gap of this reason may change the incarnation. Unknown
// reasons are treated as lost (PROTOCOL.md section 8).
func loss(r relay.GapReason) bool {
	switch r {
	case relay.GapExpired, relay.GapRemoved, relay.GapAcked, relay.GapQuota:
		return false
	}
	return true
}

// end verifies that a removed reader got everything up to its removal.
func (s *Stream) end(f *relay.End) error {
	if s.known && f.Position != s.position {
		s.violation(Skipped, s.position, f.Position)
		return nil
	}
	return s.yield(End{Position: f.Position}, f.Position.Seq)
}

// promise remembers a position that the relay has answered with, to compare it
// when the log gets there. Those behind the verified position are the caller's
// to compare: the stream does not keep what it has yielded.
func (s *Stream) promise(p relay.Position) {
	if s.over() || p.IsZero() || s.known && p.Incarnation != s.position.Incarnation {
		return
	}
	want, ok := s.promises[p.Seq]
	if s.known && p.Seq == s.position.Seq {
		want, ok = s.position.Chain, true
	}
	switch {
	case ok && want != p.Chain:
		s.violation(Disowned, relay.Position{Incarnation: p.Incarnation, Seq: p.Seq, Chain: want}, p)
	case !ok && p.Seq > s.position.Seq && len(s.promises) < maxPromises:
		s.promises[p.Seq] = p.Chain
	}
}

func (s *Stream) violation(v Violation, expected, got relay.Position) {
	s.broken(&ChainBroken{Violation: v, Verified: s.position, Expected: expected, Got: got})
}
