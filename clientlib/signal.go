package clientlib

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// SignalKind says what a signal tells. The numbers are the wire's.
type SignalKind uint8

// Kinds of signal.
const (
	SignalTyping  SignalKind = 1 // writes a message
	SignalStopped SignalKind = 2 // does so no more
	SignalPresent SignalKind = 3 // looks at the app
	SignalAway    SignalKind = 4 // does so no more
)

// String names the kind in words.
func (k SignalKind) String() string {
	switch k {
	case SignalTyping:
		return "typing"
	case SignalStopped:
		return "stopped typing"
	case SignalPresent:
		return "present"
	case SignalAway:
		return "away"
	}
	return "unknown"
}

const (
	signalVersion = 1
	// signalLife is how long a signal says anything. Clocks may be apart as much.
	signalLife = 30 * time.Second
	// signalPause is how long the same signal is not repeated: it is still in force.
	signalPause = 3 * time.Second
	// kindOfSignal stands in a signal's AAD where an entry's kind stands in an envelope's: no
	// entry has it, so neither can be presented as the other.
	kindOfSignal relay.Kind = 0

	signalPlain = relay.SignalSize - nonceSize - hintSize - chacha20poly1305.Overhead
)

var errBadSignal = errors.New("clientlib: signal is damaged, old or a repetition")

// signal is what stands in a sealed signal: outside the ratchet, because losing one must not
// matter, and signed by the leaf, because the key is every member's.
//
//	struct { uint8 version = 1; uint8 kind; uint32 leaf; uint64 counter; opaque signature<V>; } and zeros
//
// The counter is milliseconds since 1970, raised where two would be equal: so it needs no
// memory on disk to rise.
type signal struct {
	Kind      SignalKind
	Leaf      mls.LeafIndex
	Counter   uint64
	Signature []byte
}

// signed is what the leaf's signature covers; the queue, so that no signal counts in another group.
func (s *signal) signed(queue relay.QueueID) []byte {
	out := append([]byte{signalVersion, byte(s.Kind)}, queue[:]...)
	out = binary.BigEndian.AppendUint32(out, uint32(s.Leaf))
	return binary.BigEndian.AppendUint64(out, s.Counter)
}

func (s *signal) MarshalWire(w *wire.Writer) {
	w.Uint8(signalVersion)
	w.Uint8(uint8(s.Kind))
	w.Uint32(uint32(s.Leaf))
	w.Uint64(s.Counter)
	w.Bytes(s.Signature)
}

// UnmarshalWire reads a signal and its padding, which must be zero.
func (s *signal) UnmarshalWire(r *wire.Reader) {
	if r.Uint8() != signalVersion {
		r.Fail(errBadSignal)
	}
	s.Kind = SignalKind(r.Uint8())
	s.Leaf = mls.LeafIndex(r.Uint32())
	s.Counter = r.Uint64()
	s.Signature = r.Bytes()
	for _, b := range r.Rest() {
		if b != 0 {
			r.Fail(errBadSignal)
		}
	}
}

// sealSignal encloses a signal in its one size.
func (k *epochKeys) sealSignal(s *signal) ([relay.SignalSize]byte, error) {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	return k.sealSignalWith(nonce, s)
}

// sealSignalWith is sealSignal under a nonce that nothing else is sealed under with these keys.
func (k *epochKeys) sealSignalWith(fresh []byte, s *signal) (out [relay.SignalSize]byte, err error) {
	body, err := wire.Marshal(s)
	if err != nil {
		return out, err
	}
	if len(body) > signalPlain {
		return out, ErrTooLarge // no suite's signature is that long
	}
	aead, err := chacha20poly1305.NewX(k.signal)
	if err != nil {
		return out, err
	}
	nonce := out[:nonceSize]
	copy(nonce, fresh)
	copy(out[nonceSize:], k.hintFor(nonce))
	plain := make([]byte, signalPlain)
	copy(plain, body)
	aead.Seal(out[:nonceSize+hintSize], nonce, plain, k.aad(kindOfSignal))
	return out, nil
}

// openSignal is the inverse of sealSignal. The signature is still to be verified.
func (k *epochKeys) openSignal(sealed [relay.SignalSize]byte) (*signal, error) {
	nonce, hint := sealed[:nonceSize], sealed[nonceSize:nonceSize+hintSize]
	if subtle.ConstantTimeCompare(hint, k.hintFor(nonce)) != 1 {
		return nil, errOtherEpoch
	}
	aead, err := chacha20poly1305.NewX(k.signal)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nonce, sealed[nonceSize+hintSize:], k.aad(kindOfSignal))
	if err != nil {
		return nil, errBadSignal
	}
	s := new(signal)
	if err := wire.Unmarshal(plain, s); err != nil {
		return nil, errBadSignal
	}
	return s, nil
}

// signalBook is what a group remembers of signals; owned by run, and of this epoch only.
type signalBook struct {
	counter uint64                   // the last that this device used
	sent    map[SignalKind]time.Time // when
	heard   map[mls.LeafIndex]uint64 // the newest counter of each leaf
}

// next is a counter that this device has not used, in this run or an earlier one.
func (b *signalBook) next(now time.Time) uint64 {
	b.counter = max(b.counter+1, uint64(now.UnixMilli()))
	return b.counter
}

// fresh reports whether a signal of leaf is neither old nor a repetition, and notes it.
func (b *signalBook) fresh(s *signal, now time.Time) bool {
	age := now.Sub(time.UnixMilli(int64(s.Counter)))
	if age > signalLife || age < -signalLife || s.Counter <= b.heard[s.Leaf] {
		return false
	}
	if b.heard == nil {
		b.heard = map[mls.LeafIndex]uint64{}
	}
	b.heard[s.Leaf] = s.Counter
	return true
}
