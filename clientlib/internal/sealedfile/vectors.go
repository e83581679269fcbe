package sealedfile

import (
	"bytes"
	"errors"

	"github.com/sealpost/sealpost/internal/vectorfile"
)

// CheckVectors runs every case of a file of test vectors: file (testvectors/README.md). The
// error is [vectorfile.ErrFile]; cases that fail are in the report.
func CheckVectors(kind string, data []byte) (vectorfile.Report, error) {
	return vectorfile.Kinds{"file": vectorfile.Case(checkFileVector)}.Check(kind, data)
}

// vectorErrors are the error classes of the file.
var vectorErrors = map[string]error{
	"damaged": ErrDamaged, "segment": ErrSegment, "length": ErrLength, "padding": ErrPadding,
}

// fileVector is a sealed file. A large one is told by its hash: its content is Content, Times
// times.
type fileVector struct {
	Name    string         `json:"name"`
	Key     vectorfile.Hex `json:"key"`
	Content vectorfile.Hex `json:"content"`
	Times   int            `json:"times"`
	Plain   int64          `json:"plain"` // bytes of content
	Size    int64          `json:"size"`  // bytes, sealed
	Hash    vectorfile.Hex `json:"hash"`
	Sealed  vectorfile.Hex `json:"sealed"` // left out of large ones
	Error   string         `json:"error"`
}

// mostTimes keeps a wrong file of vectors from taking all memory.
const mostTimes = 1 << 12

func checkFileVector(v *fileVector) error {
	info := Info{Plain: v.Plain}
	if err := vectorfile.First(
		vectorfile.Fill("key", info.Key[:], v.Key),
		vectorfile.Fill("hash", info.Hash[:], v.Hash)); err != nil {
		return err
	}
	var opened bytes.Buffer
	if v.Error != "" {
		err := Open(&opened, bytes.NewReader(v.Sealed), info)
		return vectorfile.First(
			vectorfile.Refused(err, v.Error, vectorErrors),
			vectorfile.Value("bytes that were given out", opened.Len() > 0 && v.Error == "damaged", false))
	}
	if v.Times < 1 || v.Times > mostTimes || len(v.Content) == 0 && v.Times > 1 || (v.Times == 1) != (v.Sealed != nil) {
		return errors.New("content that is repeated too often or never, or sealed bytes where they should not stand")
	}
	content := bytes.Repeat(v.Content, v.Times)
	var sealed bytes.Buffer
	got, err := seal(&sealed, bytes.NewReader(content), info.Key, MaxSize)
	if err != nil {
		return err
	}
	if v.Sealed != nil {
		err = vectorfile.Bytes("the sealed file", sealed.Bytes(), v.Sealed)
	}
	return vectorfile.First(err,
		vectorfile.Value("the length", got.Plain, v.Plain),
		vectorfile.Value("the sealed size", got.Size(), v.Size),
		vectorfile.Value("the bytes written", int64(sealed.Len()), v.Size),
		vectorfile.Bytes("the hash", got.Hash[:], v.Hash),
		Open(&opened, bytes.NewReader(sealed.Bytes()), info),
		vectorfile.Value("what opens is the content", bytes.Equal(opened.Bytes(), content), true))
}
