package relay

import (
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/internal/vectorfile"
	"github.com/sealpost/sealpost/internal/wire"
)

// chainVector is a queue's log and what a reader computes from it.
type chainVector struct {
	Name        string             `json:"name"`
	RelayKey    vectorfile.Hex     `json:"relay_key"`
	Queue       vectorfile.Hex     `json:"queue"`
	Incarnation vectorfile.Hex     `json:"incarnation"`
	Start       vectorfile.Hex     `json:"start"`
	Entries     []chainEntryVector `json:"entries"`
}

type chainEntryVector struct {
	Seq      uint64           `json:"seq"`
	Kind     uint8            `json:"kind"`
	Blobs    []vectorfile.Hex `json:"blobs"` // hashes
	Envelope vectorfile.Hex   `json:"envelope"`
	Chain    vectorfile.Hex   `json:"chain"`
	Position vectorfile.Hex   `json:"position"` // as it stands in frames
}

func checkChainVector(v *chainVector) error {
	var relayKey RelayKey
	var queue QueueID
	var at Position
	if v.Entries == nil {
		return errors.New("no list of entries")
	}
	if err := vectorfile.First(
		vectorfile.Fill("relay_key", relayKey[:], v.RelayKey),
		vectorfile.Fill("queue", queue[:], v.Queue),
		vectorfile.Fill("incarnation", at.Incarnation[:], v.Incarnation)); err != nil {
		return err
	}
	at.Chain = ChainStart(relayKey, queue, at.Incarnation)
	if err := vectorfile.Bytes("h(0)", at.Chain[:], v.Start); err != nil {
		return err
	}
	for i, e := range v.Entries {
		if i > 0 && e.Seq != at.Seq+1 {
			return fmt.Errorf("seq %d follows %d", e.Seq, at.Seq)
		}
		blobs := make([]Hash, len(e.Blobs))
		for i, b := range e.Blobs {
			if err := vectorfile.Fill("blob", blobs[i][:], b); err != nil {
				return err
			}
		}
		at.Chain, at.Seq = ChainNext(at.Chain, e.Seq, Kind(e.Kind), e.Envelope, blobs...), e.Seq
		encoded, err := wire.Marshal(&at)
		if err := vectorfile.First(err,
			vectorfile.Bytes("the chain", at.Chain[:], e.Chain),
			vectorfile.Bytes("the position", encoded, e.Position),
			vectorfile.Value("a valid envelope size", ValidEnvelopeSize(len(e.Envelope)), true)); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		var decoded Position
		if err := wire.Unmarshal(e.Position, &decoded); err != nil || decoded != at {
			return fmt.Errorf("entry %d: the position does not decode: %v", i, err)
		}
	}
	return nil
}
