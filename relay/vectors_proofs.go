package relay

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/internal/vectorfile"
	"github.com/sealpost/sealpost/internal/wire"
)

// proofVector is a signed frame and everything that its signatures are made of.
type proofVector struct {
	Name       string            `json:"name"`
	RelayKey   vectorfile.Hex    `json:"relay_key"`      // of a LEAVE, and of a DELETE
	Handshake  vectorfile.Hex    `json:"handshake_hash"` // of all but a LEAVE
	Frame      vectorfile.Hex    `json:"frame"`
	Digest     vectorfile.Hex    `json:"mutation_digest"`
	Signatures []signatureVector `json:"signatures"`
	Error      string            `json:"error"`
}

type signatureVector struct {
	Purpose   string         `json:"purpose"`
	Seed      vectorfile.Hex `json:"seed"`
	Key       vectorfile.Hex `json:"key"`
	Digest    vectorfile.Hex `json:"digest"`
	Signed    vectorfile.Hex `json:"signed"`
	Signature vectorfile.Hex `json:"signature"`
}

// signedFrame is a frame with signatures: PROVE and all mutations but APPEND.
type signedFrame interface {
	Frame
	Sign(Binding, Signer) error
	Verify(Binding) error
}

func checkProofVector(v *proofVector) error {
	body, err := vectorFrameBody(v.Frame)
	if err != nil {
		return err
	}
	f, err := ParseFrame(body)
	if err != nil {
		return err
	}
	s, ok := f.(signedFrame)
	if !ok {
		return fmt.Errorf("%s is not signed", vectorFrameName(f))
	}
	b, elsewhere, err := v.bindings(f)
	if err != nil {
		return err
	}
	if err := s.Verify(b); err != nil || v.Error != "" {
		return vectorfile.Refused(err, v.Error, vectorErrors)
	}
	if err := s.Verify(elsewhere); !errors.Is(err, ErrBadProof) {
		return fmt.Errorf("verifies elsewhere: %v", err)
	}
	if m, ok := f.(Mutation); ok {
		d := m.Digest()
		if err := vectorfile.Bytes("the mutation's digest", d[:], v.Digest); err != nil {
			return err
		}
	} else if v.Digest != nil {
		return errors.New("only a mutation has a digest that retries are compared by")
	}
	return signAgain(s, b, v)
}

// bindings returns what the frame is bound to, and something else: a LEAVE to its relay and
// no session, a DELETE to its relay as well, all others to their session.
func (v *proofVector) bindings(f Frame) (b, elsewhere Binding, err error) {
	if f.Type() == TypeLeave {
		err = vectorfile.First(vectorfile.Fill("relay_key", b.RelayKey[:], v.RelayKey), vectorfile.Fill("handshake_hash", nil, v.Handshake))
		elsewhere.RelayKey = b.RelayKey
		elsewhere.RelayKey[0] ^= 1
		return b, elsewhere, err
	}
	var at []byte
	if f.Type() == TypeDelete {
		at = b.RelayKey[:]
	}
	err = vectorfile.First(vectorfile.Fill("relay_key", at, v.RelayKey), vectorfile.Fill("handshake_hash", b.Handshake[:], v.Handshake))
	elsewhere = b
	elsewhere.Handshake[0] ^= 1
	return b, elsewhere, err
}

// signAgain makes the frame's signatures anew: Ed25519 is deterministic, so the frame must
// come out byte for byte, over the very bytes that the vector says.
func signAgain(s signedFrame, b Binding, v *proofVector) error {
	var keys []ed25519.PrivateKey
	for _, sig := range v.Signatures {
		if len(sig.Seed) != ed25519.SeedSize {
			return fmt.Errorf("a seed of %d bytes", len(sig.Seed))
		}
		keys = append(keys, ed25519.NewKeyFromSeed(sig.Seed))
	}
	made := 0
	err := s.Sign(b, func(key PublicKey, message []byte) (Signature, error) {
		i := slices.IndexFunc(v.Signatures, func(sig signatureVector) bool {
			return bytes.Equal(sig.Key, key[:]) && bytes.Equal(sig.Signed, message)
		})
		if i < 0 {
			return Signature{}, fmt.Errorf("no signature of the vector is over %x", message)
		}
		made++
		sig, err := Keys(keys[i])(key, message) // by its own seed, where others have the same key
		return sig, vectorfile.First(err,
			vectorfile.Bytes("the signature", sig[:], v.Signatures[i].Signature),
			b.checkSigned(s, &v.Signatures[i]))
	})
	if err != nil {
		return err
	}
	again, err := AppendFrame(nil, s)
	return vectorfile.First(err,
		vectorfile.Value("the number of signatures", made, len(v.Signatures)),
		vectorfile.Bytes("the frame signed again", again, v.Frame))
}

// checkSigned takes the bytes under a signature apart: purpose and digest are where
// PROTOCOL.md section 5.1 has them.
func (b Binding) checkSigned(s signedFrame, v *signatureVector) error {
	if s.Type() == TypeLeave {
		return vectorfile.First(vectorfile.Value("the purpose", "leave", v.Purpose),
			vectorfile.Value("the bytes of its digest", 0, len(v.Digest)))
	}
	if s.Type() == TypeDelete && v.Purpose == "closed" { // its statement
		return vectorfile.Value("the bytes of its digest", 0, len(v.Digest))
	}
	r := wire.NewReader(v.Signed)
	label := string(r.Bytes())
	var queue QueueID
	r.Copy(make([]byte, len(b.Handshake)))
	r.Copy(queue[:])
	return vectorfile.First(
		vectorfile.Value("the label", label, "sealpost relay 1 "+v.Purpose),
		vectorfile.Bytes("the digest", r.Rest(), v.Digest),
		r.Finish())
}
