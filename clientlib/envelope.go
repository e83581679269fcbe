package clientlib

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/relay"
)

// Layout of a group's envelope (DESIGN section 4): nonce, hint, then the sealed
// length, content and zero padding, with the tag at the end. The whole is a power of two.
const (
	envelopeVersion = 1
	nonceSize       = chacha20poly1305.NonceSizeX
	hintSize        = 8
	lengthSize      = 4
	envelopeExtra   = nonceSize + hintSize + lengthSize + chacha20poly1305.Overhead
	minEnvelope     = 512
	maxEnvelope     = 512 << 10
)

// Errors of opening an envelope. Both end in skipping the entry and counting it.
var (
	errOtherEpoch  = errors.New("clientlib: envelope belongs to no kept epoch")
	errBadEnvelope = errors.New("clientlib: envelope is damaged")
)

// exporter is what an epoch's keys come from: a group, or the epoch that a staged commit leads to.
type exporter interface {
	Export(label string, context []byte, length int) ([]byte, error)
}

// epochKeys are the keys that one epoch of a group gives its queue.
type epochKeys struct {
	queue    relay.QueueID
	envelope secret
	hint     secret
	writer   secret
	signal   secret
	knock    secret // seals knocks of who is stuck in this epoch
}

func newEpochKeys(e exporter, queue relay.QueueID) (*epochKeys, error) {
	k := &epochKeys{queue: queue}
	for _, d := range []struct {
		label string
		to    *secret
	}{{exportEnvelope, &k.envelope}, {exportHint, &k.hint}, {exportWriter, &k.writer}, {exportSignal, &k.signal}, {exportKnock, &k.knock}} {
		out, err := e.Export(d.label, queue[:], 32)
		if err != nil {
			return nil, fmt.Errorf("deriving the epoch's queue keys: %w", err)
		}
		*d.to = out
	}
	return k, nil
}

// hintFor tells members, and nobody else, which epoch an envelope belongs to. It is new for
// each envelope because the nonce is.
func (k *epochKeys) hintFor(nonce []byte) []byte {
	m := hmac.New(sha256.New, k.hint)
	m.Write(nonce)
	return m.Sum(nil)[:hintSize]
}

// aad binds an envelope to its queue and to the operation that carries it, so the relay
// cannot present a message as a commit.
func (k *epochKeys) aad(kind relay.Kind) []byte {
	out := append([]byte{envelopeVersion}, k.queue[:]...)
	return append(out, byte(kind))
}

// seal encloses content. It fails with [ErrTooLarge] when no envelope holds it.
func (k *epochKeys) seal(kind relay.Kind, content []byte) ([]byte, error) {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	return k.sealWith(nonce, kind, content)
}

// sealWith is seal under a nonce that nothing else is sealed under with these keys.
func (k *epochKeys) sealWith(nonce []byte, kind relay.Kind, content []byte) ([]byte, error) {
	size := minEnvelope
	for size < len(content)+envelopeExtra {
		if size *= 2; size > maxEnvelope {
			return nil, fmt.Errorf("%w: %d bytes do not fit an envelope of %d", ErrTooLarge, len(content), maxEnvelope)
		}
	}
	aead, err := chacha20poly1305.NewX(k.envelope)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, size), nonce...)
	out = append(out, k.hintFor(nonce)...)
	plain := make([]byte, size-nonceSize-hintSize-chacha20poly1305.Overhead)
	binary.BigEndian.PutUint32(plain, uint32(len(content)))
	copy(plain[lengthSize:], content)
	return aead.Seal(out, nonce, plain, k.aad(kind)), nil
}

// open returns the content of an envelope of this epoch.
func (k *epochKeys) open(kind relay.Kind, envelope []byte) ([]byte, error) {
	if len(envelope) < minEnvelope || len(envelope) > maxEnvelope || len(envelope)&(len(envelope)-1) != 0 {
		return nil, errBadEnvelope
	}
	nonce, hint := envelope[:nonceSize], envelope[nonceSize:nonceSize+hintSize]
	if subtle.ConstantTimeCompare(hint, k.hintFor(nonce)) != 1 {
		return nil, errOtherEpoch
	}
	aead, err := chacha20poly1305.NewX(k.envelope)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nonce, envelope[nonceSize+hintSize:], k.aad(kind))
	if err != nil {
		return nil, errBadEnvelope
	}
	return unpad(plain)
}

// unpad takes content out of uint32 length, content, zeros. Padding that is not zero is
// refused: it would be a channel that no honest client uses.
func unpad(plain []byte) ([]byte, error) {
	r := wire.NewReader(plain)
	content := r.Raw(int(r.Uint32()))
	for _, b := range r.Rest() {
		if b != 0 {
			return nil, errBadEnvelope
		}
	}
	if r.Err() != nil {
		return nil, errBadEnvelope
	}
	return content, nil
}
