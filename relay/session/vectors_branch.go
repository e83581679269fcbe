package session

import (
	"errors"
	"fmt"
	"io"

	"github.com/sealpost/sealpost/internal/vectorfile"
	"github.com/sealpost/sealpost/relay"
)

// branchVector is what a stream beside the session's own carries after its name.
type branchVector struct {
	Name    string         `json:"name"`
	Key     vectorfile.Hex `json:"key"` // of STREAM
	Records []recordVector `json:"records"`
	Error   string         `json:"error"`
}

func checkBranchVector(v *branchVector) error {
	var key relay.StreamKey
	if len(v.Records) == 0 {
		return errors.New("a branch without records")
	}
	if err := vectorfile.Fill("key", key[:], v.Key); err != nil {
		return err
	}
	in, out := new(vectorStream), new(vectorStream)
	sender := (&Session{maxWrite: relay.MaxServerFrame}).Send(out, key)
	var plain, records, read []byte
	for i, r := range v.Records {
		if r.From != "server" {
			return fmt.Errorf("record %d is from %q, and branches are the server's", i, r.From)
		}
		in.in.Write(r.Record)
		plain, records = append(plain, r.Plaintext...), append(records, r.Record...)
		if err := sender.sealRecord(r.Plaintext); err != nil {
			return err
		}
	}
	receiver := (&Session{client: true}).Receive(in, key)
	for {
		f, err := receiver.ReadFrame()
		if err == io.EOF && v.Error == "" {
			break
		} else if err == io.EOF {
			return fmt.Errorf("accepted, and must be refused as %s", v.Error)
		} else if err != nil {
			return vectorfile.Refused(err, v.Error, vectorErrors)
		}
		if read, err = relay.AppendFrame(read, f); err != nil {
			return err
		}
	}
	return vectorfile.First(
		vectorfile.Bytes("the records written", out.out.Bytes(), records),
		vectorfile.Bytes("the frames read", read, knownFrames(plain)))
}
