package session

import (
	"bytes"
	"crypto/ecdh"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sealpost/sealpost/internal/vectorfile"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// vectorKinds are the files of test vectors about this package.
var vectorKinds = vectorfile.Kinds{
	"noise":  vectorfile.Case(checkNoiseVector),
	"branch": vectorfile.Case(checkBranchVector),
}

// CheckVectors runs every case of a file of test vectors: noise or branch
// (testvectors/README.md). The error is [vectorfile.ErrFile]; cases that fail are in the
// report.
func CheckVectors(kind string, data []byte) (vectorfile.Report, error) {
	return vectorKinds.Check(kind, data)
}

// vectorErrors are the error classes of the files.
var vectorErrors = map[string]error{
	"handshake": ErrHandshake, "version": ErrVersion, "record": ErrRecord, "frame_too_large": ErrFrameTooLarge,
	"malformed": ErrMalformed, "unexpected": ErrUnexpected, "cut": io.ErrUnexpectedEOF,
}

// noiseVector is a session, from both ends' private keys to its last record.
type noiseVector struct {
	Name            string            `json:"name"`
	Prologue        string            `json:"prologue"`
	RelayPrivate    vectorfile.Hex    `json:"relay_private"`
	RelayKey        vectorfile.Hex    `json:"relay_key"`
	ClientEphemeral vectorfile.Hex    `json:"client_ephemeral"`
	ServerEphemeral vectorfile.Hex    `json:"server_ephemeral"`
	ClientHello     clientHelloVector `json:"client_hello"`
	ServerHello     serverHelloVector `json:"server_hello"`
	Handshake       vectorfile.Hex    `json:"handshake_hash"`
	Records         []recordVector    `json:"records"`
	Error           string            `json:"error"`
	At              string            `json:"at"` // the end that notices: client or server
}

type clientHelloVector struct {
	Versions   []uint16          `json:"versions"`
	MaxFrame   uint32            `json:"max_frame"`
	Extensions []extensionVector `json:"extensions"`
}

type serverHelloVector struct {
	Version     uint16            `json:"version"`
	MaxFrame    uint32            `json:"max_frame"`
	Incarnation vectorfile.Hex    `json:"incarnation"`
	Extensions  []extensionVector `json:"extensions"`
}

type extensionVector struct {
	Type uint16         `json:"type"`
	Data vectorfile.Hex `json:"data"`
}

// recordVector is a record with its length. The first two are the handshake's, and their
// plaintexts the hellos.
type recordVector struct {
	From      string         `json:"from"`
	Plaintext vectorfile.Hex `json:"plaintext"`
	Record    vectorfile.Hex `json:"record"`
}

// vectorStream reads the peer's records and keeps what is written.
type vectorStream struct{ in, out bytes.Buffer }

func (s *vectorStream) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s *vectorStream) Write(b []byte) (int, error) { return s.out.Write(b) }
func (*vectorStream) Close() error                  { return nil }

// end returns one end of the vector's session, before its handshake.
func (v *noiseVector) end(client bool) (*Session, *vectorStream, error) {
	stream, ephemeral := new(vectorStream), make([]byte, keySize)
	for _, r := range v.Records {
		if client == (r.From == "server") {
			stream.in.Write(r.Record)
		}
	}
	s := &Session{stream: stream, client: client, random: bytes.NewReader(ephemeral)}
	err := vectorfile.Fill("relay_key", s.binding.RelayKey[:], v.RelayKey)
	if client {
		for _, e := range v.ClientHello.Extensions {
			s.features = append(s.features, Feature(e.Type))
		}
		return s, stream, vectorfile.First(err, vectorfile.Fill("client_ephemeral", ephemeral, v.ClientEphemeral))
	}
	return s, stream, vectorfile.First(err,
		vectorfile.Fill("server_ephemeral", ephemeral, v.ServerEphemeral),
		vectorfile.Fill("incarnation", s.incarnation[:], v.ServerHello.Incarnation))
}

// handshake runs the product's handshake for that end.
func (v *noiseVector) handshake(s *Session) error {
	if s.client {
		return s.clientHandshake(s.binding.RelayKey)
	}
	var secret [32]byte
	if err := vectorfile.Fill("relay_private", secret[:], v.RelayPrivate); err != nil {
		return err
	}
	key, err := NewPrivateKey(secret)
	if err != nil {
		return err
	}
	if err := vectorfile.Value("the relay's key", key.Public(), s.binding.RelayKey); err != nil {
		return err
	}
	return s.serverHandshake(key, atOnce, func() {})
}

func checkNoiseVector(v *noiseVector) error {
	if err := vectorfile.Value("the prologue", prologue, v.Prologue); err != nil {
		return err
	}
	if v.Error != "" {
		return v.checkRefusal()
	}
	if len(v.Records) < 2 || v.Records[0].From != "client" || v.Records[1].From != "server" {
		return errors.New("a session begins with a record of the client and one of the server")
	}
	hello, err := v.checkHellos()
	if err != nil {
		return err
	}
	if err := v.checkEnd(false); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	// A hello of a later version is one that this client does not send.
	if ours, err := wire.Marshal(ownHello(hello.features())); err != nil || !bytes.Equal(ours, v.Records[0].Plaintext) {
		return v.checkEphemeral()
	}
	if err := v.checkEnd(true); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	return nil
}

// checkHellos compares the handshake's payloads with their fields.
func (v *noiseVector) checkHellos() (*clientHello, error) {
	c, s := new(clientHello), new(serverHello)
	if err := vectorfile.First(
		wire.Unmarshal(v.Records[0].Plaintext, c),
		wire.Unmarshal(v.Records[1].Plaintext, s)); err != nil {
		return nil, err
	}
	extensions := func(got []extension, want []extensionVector) error {
		if !slices.EqualFunc(got, want, func(a extension, b extensionVector) bool {
			return a.kind == b.Type && bytes.Equal(a.data, b.Data)
		}) {
			return fmt.Errorf("the extensions are %v, want %v", got, want)
		}
		return nil
	}
	return c, vectorfile.First(
		vectorfile.Value("versions", fmt.Sprint(c.versions), fmt.Sprint(v.ClientHello.Versions)),
		vectorfile.Value("the client's max_frame", c.maxFrame, v.ClientHello.MaxFrame),
		extensions(c.extensions, v.ClientHello.Extensions),
		vectorfile.Value("version", s.version, v.ServerHello.Version),
		vectorfile.Value("the server's max_frame", s.maxFrame, v.ServerHello.MaxFrame),
		vectorfile.Bytes("incarnation", s.incarnation[:], v.ServerHello.Incarnation),
		extensions(s.extensions, v.ServerHello.Extensions))
}

// checkEphemeral compares the client's ephemeral key with the one that its record begins with.
func (v *noiseVector) checkEphemeral() error {
	e, err := ecdh.X25519().NewPrivateKey(v.ClientEphemeral)
	if err != nil {
		return err
	}
	return vectorfile.Bytes("the client's ephemeral key", e.PublicKey().Bytes(), v.Records[0].Record[2:2+keySize])
}

// checkEnd runs one end against the other's records: it must read the other's frames, and
// write its own records byte for byte.
func (v *noiseVector) checkEnd(client bool) error {
	s, stream, err := v.end(client)
	if err != nil {
		return err
	}
	if err := v.handshake(s); err != nil {
		return err
	}
	var in, out, read []byte
	for i, r := range v.Records {
		switch {
		case r.From != "client" && r.From != "server":
			return fmt.Errorf("record %d is from %q", i, r.From)
		case client == (r.From == "client"):
			out = append(out, r.Record...)
			if i > 1 {
				err = s.sealRecord(r.Plaintext)
			}
		case i > 1:
			in = append(in, r.Plaintext...)
		}
		if err != nil {
			return err
		}
	}
	for {
		f, err := s.ReadFrame()
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		if read, err = relay.AppendFrame(read, f); err != nil {
			return err
		}
	}
	return vectorfile.First(
		vectorfile.Bytes("the records written", stream.out.Bytes(), out),
		vectorfile.Bytes("the frames read", read, knownFrames(in)),
		vectorfile.Bytes("the handshake hash", s.binding.Handshake[:], v.Handshake),
		vectorfile.Bytes("the incarnation", s.incarnation[:], v.ServerHello.Incarnation))
}

// knownFrames leaves out the frames that a receiver passes over.
func knownFrames(plain []byte) (known []byte) {
	for len(plain) > 4 {
		n := min(4+int(binary.BigEndian.Uint32(plain)), len(plain))
		if !relay.FrameType(plain[4]).Skippable() {
			known = append(known, plain[:n]...)
		}
		plain = plain[n:]
	}
	return append(known, plain...)
}

// checkRefusal runs the end that must notice something, up to where it does.
func (v *noiseVector) checkRefusal() error {
	if v.At != "client" && v.At != "server" {
		return fmt.Errorf("%q is no end of a session", v.At)
	}
	s, _, err := v.end(v.At == "client")
	if err != nil {
		return err
	}
	err = v.handshake(s)
	for err == nil {
		_, err = s.ReadFrame()
	}
	if err == io.EOF {
		return fmt.Errorf("accepted, and must be refused as %s", v.Error)
	}
	return vectorfile.Refused(err, v.Error, vectorErrors)
}
