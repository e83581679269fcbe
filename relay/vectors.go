package relay

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/internal/vectorfile"
	"github.com/sealpost/sealpost/internal/wire"
)

// vectorKinds are the files of test vectors about this package.
var vectorKinds = vectorfile.Kinds{
	"frames":        vectorfile.Case(checkFrameVector),
	"proofs":        vectorfile.Case(checkProofVector),
	"chain":         vectorfile.Case(checkChainVector),
	"relay-address": vectorfile.Case(checkAddressVector),
}

// CheckVectors runs every case of a file of test vectors: frames, proofs, chain or
// relay-address (testvectors/README.md). The error is [vectorfile.ErrFile]; cases that fail
// are in the report.
func CheckVectors(kind string, data []byte) (vectorfile.Report, error) {
	return vectorKinds.Check(kind, data)
}

// vectorErrors are the error classes of the files.
var vectorErrors = map[string]error{
	"empty": ErrEmptyFrame, "unknown_type": ErrUnknownFrame, "truncated": wire.ErrTruncated, "trailing": wire.ErrTrailing,
	"varint_not_shortest": wire.ErrNonMinimal, "varint_reserved": wire.ErrVarint, "not_a_bool": wire.ErrOptional,
	"too_many": ErrTooMany, "entry_size": ErrEntrySize,
	"bad_proof": ErrBadProof, "malformed": ErrMalformed, "too_large": ErrTooLarge,
	"address": ErrAddress,
}

// frameVector is one frame with its length, and what it says or how it is refused.
type frameVector struct {
	Name    string         `json:"name"`
	Frame   string         `json:"frame"` // as in PROTOCOL.md
	Type    uint8          `json:"type"`
	From    string         `json:"from"` // client or server
	Fields  map[string]any `json:"fields"`
	Bytes   vectorfile.Hex `json:"bytes"`
	Refused string         `json:"refused"` // decodes, and no queue takes it
	Error   string         `json:"error"`   // does not decode
}

func checkFrameVector(v *frameVector) error {
	body, err := vectorFrameBody(v.Bytes)
	if err != nil {
		return err
	}
	f, err := ParseFrame(body)
	if v.Error != "" {
		return vectorfile.Refused(err, v.Error, vectorErrors)
	}
	if err != nil {
		return err
	}
	for n := 1; n < len(body); n++ {
		if _, err := ParseFrame(body[:n]); !errors.Is(err, wire.ErrTruncated) {
			return fmt.Errorf("its first %d bytes: %v, want truncated", n, err)
		}
	}
	if _, err := ParseFrame(append(body[:len(body):len(body)], 0)); !errors.Is(err, wire.ErrTrailing) {
		return fmt.Errorf("with a byte more: %v, want trailing", err)
	}
	again, err := AppendFrame(nil, f)
	if err != nil {
		return err
	}
	var refused error
	if c, ok := f.(interface{ Check() error }); ok {
		refused = c.Check()
	}
	return vectorfile.First(
		vectorfile.Bytes("the encoding", again, v.Bytes),
		vectorfile.Value("the type", uint8(f.Type()), v.Type),
		vectorfile.Value("the name", vectorFrameName(f), strings.ReplaceAll(v.Frame, "_", "")),
		vectorfile.Value("from the client", f.Type().FromClient(), v.From == "client"),
		vectorfile.Value("from the server", f.Type().FromServer(), v.From == "server"),
		compareFields(f, v.Fields),
		vectorfile.Refused(refused, v.Refused, vectorErrors),
	)
}

// vectorFrameBody takes the length off a frame.
func vectorFrameBody(b []byte) ([]byte, error) {
	if len(b) < 4 || binary.BigEndian.Uint32(b) != uint32(len(b)-4) {
		return nil, errors.New("the length does not count type and body")
	}
	return b[4:], nil
}

// vectorFrameName is the name in PROTOCOL.md without the underscores.
func vectorFrameName(f Frame) string {
	return strings.ToUpper(strings.TrimPrefix(fmt.Sprintf("%T", f), "*relay."))
}

// addressVector is a relay's address and its parts, or text that is none.
type addressVector struct {
	Name    string          `json:"name"`
	Address string          `json:"address"`
	Host    string          `json:"host"`
	Key     vectorfile.Hex  `json:"key"`
	Pin     *vectorfile.Hex `json:"pin"`
	Error   string          `json:"error"`
}

func checkAddressVector(v *addressVector) error {
	a, err := ParseAddress(v.Address)
	if err != nil || v.Error != "" {
		return vectorfile.Refused(err, v.Error, vectorErrors)
	}
	want := Address{Host: v.Host}
	if err := vectorfile.Fill("key", want.Key[:], v.Key); err != nil {
		return err
	}
	if v.Pin != nil {
		want.Pin = new(Hash)
		if err := vectorfile.Fill("pin", want.Pin[:], *v.Pin); err != nil {
			return err
		}
	}
	pin := func(a Address) string {
		if a.Pin == nil {
			return "none"
		}
		return hex.EncodeToString(a.Pin[:])
	}
	return vectorfile.First(
		vectorfile.Value("the host", a.Host, want.Host),
		vectorfile.Value("the key", a.Key, want.Key),
		vectorfile.Value("the pin", pin(a), pin(want)),
		vectorfile.Value("what its parts make", want.String(), v.Address),
	)
}
