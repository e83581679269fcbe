package clientlib

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/sealpost/sealpost/clientlib/internal/sealedfile"
	"github.com/sealpost/sealpost/internal/vectorfile"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// vectorKinds are the files of test vectors about this package.
var vectorKinds = vectorfile.Kinds{
	"envelope":   vectorfile.Case(checkEnvelopeVector),
	"signal":     vectorfile.Case(checkSignalVector),
	"invitation": vectorfile.Case(checkInvitationVector),
}

// CheckVectors runs every case of a file of test vectors: envelope, signal, invitation or file
// (testvectors/README.md). The error is [vectorfile.ErrFile]; cases that fail are in the
// report.
func CheckVectors(kind string, data []byte) (vectorfile.Report, error) {
	if kind == "file" {
		return sealedfile.CheckVectors(kind, data)
	}
	return vectorKinds.Check(kind, data)
}

// vectorErrors are the error classes of the files.
var vectorErrors = map[string]error{
	"other_epoch": errOtherEpoch, "damaged": errBadEnvelope, "bad_signal": errBadSignal, "bad_signature": mls.ErrInvalid,
	"refused": errBadInvitation,
}

// envelopeVector is an envelope and all that it is made of, from the epoch's exporter secret.
type envelopeVector struct {
	Name           string         `json:"name"`
	CipherSuite    uint16         `json:"cipher_suite"`
	ExporterSecret vectorfile.Hex `json:"exporter_secret"`
	Queue          vectorfile.Hex `json:"queue"`
	EnvelopeKey    vectorfile.Hex `json:"envelope_key"`
	HintKey        vectorfile.Hex `json:"hint_key"`
	WriterSeed     vectorfile.Hex `json:"writer_seed"`
	WriterKey      vectorfile.Hex `json:"writer_key"`
	Kind           uint8          `json:"kind"`
	Nonce          vectorfile.Hex `json:"nonce"`
	Hint           vectorfile.Hex `json:"hint"`
	AAD            vectorfile.Hex `json:"aad"`
	Content        vectorfile.Hex `json:"content"`
	Plaintext      vectorfile.Hex `json:"plaintext"` // without the padding's zeros
	Padding        int            `json:"padding"`   // how many they are
	Envelope       vectorfile.Hex `json:"envelope"`
	Error          string         `json:"error"`
}

// vectorExporter is MLS-Exporter (RFC 9420 section 8.5) with SHA-256 from a bare exporter
// secret: a group that gave the vector's secrets would have to be made of random keys.
type vectorExporter vectorfile.Hex

func (e vectorExporter) Export(label string, context []byte, length int) ([]byte, error) {
	derived, err := expandWithLabel(e, label, nil, sha256.Size)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(context)
	return expandWithLabel(derived, "exported", hash[:], length)
}

// expandWithLabel is RFC 9420 section 8.
func expandWithLabel(key []byte, label string, context []byte, length int) ([]byte, error) {
	var w wire.Writer
	w.Uint16(uint16(length))
	w.Bytes([]byte("MLS 1.0 " + label))
	w.Bytes(context)
	info, err := w.Finish()
	if err != nil {
		return nil, err
	}
	return hkdf.Expand(sha256.New, key, string(info), length)
}

// vectorEpoch returns what an epoch with this exporter secret gives a queue.
func vectorEpoch(suite uint16, exporterSecret, queueID vectorfile.Hex) (*epochKeys, error) {
	var queue relay.QueueID
	var exporter [sha256.Size]byte // HMAC would take a longer one with zeros at its end for the same
	if err := vectorfile.First(
		vectorfile.Value("the suite", suite, 1),
		vectorfile.Fill("exporter_secret", exporter[:], exporterSecret),
		vectorfile.Fill("queue", queue[:], queueID)); err != nil {
		return nil, err
	}
	return newEpochKeys(vectorExporter(exporter[:]), queue)
}

func checkEnvelopeVector(v *envelopeVector) error {
	keys, err := vectorEpoch(v.CipherSuite, v.ExporterSecret, v.Queue)
	if err != nil {
		return err
	}
	writer := publicKey(keys.writer.signer())
	if err := vectorfile.First(
		vectorfile.Bytes("the envelope key", keys.envelope, v.EnvelopeKey),
		vectorfile.Bytes("the hint key", keys.hint, v.HintKey),
		vectorfile.Bytes("the writer's seed", keys.writer, v.WriterSeed),
		vectorfile.Bytes("the writer", writer[:], v.WriterKey)); err != nil {
		return err
	}
	kind := relay.Kind(v.Kind)
	content, err := keys.open(kind, v.Envelope)
	if err != nil || v.Error != "" {
		return vectorfile.Refused(err, v.Error, vectorErrors)
	}
	if len(v.Nonce) != nonceSize {
		return fmt.Errorf("a nonce of %d bytes", len(v.Nonce))
	}
	again, err := keys.sealWith(v.Nonce, kind, v.Content)
	return vectorfile.First(err,
		vectorfile.Bytes("the content", content, v.Content),
		vectorfile.Bytes("the hint", keys.hintFor(v.Nonce), v.Hint),
		vectorfile.Bytes("the associated data", keys.aad(kind), v.AAD),
		vectorfile.Bytes("the envelope sealed again", again, v.Envelope),
		vectorfile.Value("the padding", len(v.Envelope)-envelopeExtra-len(content), v.Padding),
		vectorfile.Bytes("the plaintext before it", append(wireLength(len(content)), content...), v.Plaintext))
}

// wireLength is the length that stands before sealed content.
func wireLength(n int) []byte {
	var w wire.Writer
	w.Uint32(uint32(n))
	b, _ := w.Finish() // cannot fail: the field is fixed
	return b
}
