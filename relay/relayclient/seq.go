package relayclient

import (
	"fmt"
	"math"

	"github.com/sealpost/sealpost/relay"
)

// maxSeq bounds what a relay may give as a seq. Callers store seqs in signed 64 bits, where
// the largest stands for "not in the log yet" and a larger one is negative; an honest relay
// that took a thousand million entries a second would get there in 292 years.
const maxSeq = math.MaxInt64 - 1

// checkSeqs refuses a frame that names a larger seq, before anything of it is
// believed, passed on or remembered. An error ends the session.
func checkSeqs(f relay.Frame) error {
	var highest uint64
	switch f := f.(type) {
	case *relay.Accepted:
		highest = f.Position.Seq
	case *relay.Refused:
		if f.Refusal.Position != nil {
			highest = f.Refusal.Position.Seq
		}
	case *relay.Attached:
		highest = max(f.Head.Seq, f.LastCommit.Seq)
	case *relay.Deliver:
		for _, e := range f.Entries {
			highest = max(highest, e.Seq)
		}
	case *relay.Gap:
		highest = max(f.From, f.To, f.After.Seq)
	case *relay.End:
		highest = f.Position.Seq
	}
	if highest > maxSeq {
		return fmt.Errorf("%w: a seq above 2^63 - 2", ErrProtocol)
	}
	return nil
}
