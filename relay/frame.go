package relay

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// Frame is one message of the protocol. Pointers to the frame structs implement it.
type Frame interface {
	Type() FrameType
	wire.Marshaler   // writes the body, without length and type
	wire.Unmarshaler // reads the body
}

// Request is a frame whose answer names it by a number that the client chooses, unique
// among its requests without an answer in this session.
type Request interface {
	Frame
	RequestNumber() uint64
	SetRequest(uint64)
}

// Mutation is a request that changes a queue. It is answered by ACCEPTED or REFUSED.
type Mutation interface {
	Request
	// Header returns what every mutation has: its request number, the queue, the key that
	// authorises it and its idempotency id.
	Header() (request uint64, queue QueueID, key PublicKey, id IdempotencyID)
	// Digest is the hash of type and fields without request and signatures: what a retry
	// under the same idempotency id must equal, else it is REUSED.
	Digest() Hash
	// Check returns the *Refusal for contents that no queue takes (sizes, counts, ranges),
	// or nil. It looks at no state and verifies no signature.
	Check() error
	// Sign signs for the session of b with the keys that the frame names. A retry over
	// another session is signed again. APPEND has no signature and does nothing.
	Sign(b Binding, s Signer) error
	// Verify returns [ErrBadProof] unless every signature holds in the session of b.
	// APPEND returns nil: its authority is the session's proofs.
	Verify(b Binding) error
}

// Errors of [ParseFrame]; they and the errors of package wire end a session.
var (
	ErrUnknownFrame = errors.New("relay: unknown frame type")
	ErrEmptyFrame   = errors.New("relay: frame without a type")
	ErrTooMany      = errors.New("relay: vector has more elements than the protocol allows")
	ErrEntrySize    = errors.New("relay: entry with an invalid envelope size")
)

// frames makes an empty frame of each type.
var frames = map[FrameType]func() Frame{
	TypeProve:     func() Frame { return new(Prove) },
	TypeCreate:    func() Frame { return new(Create) },
	TypeConfigure: func() Frame { return new(Configure) },
	TypeLeave:     func() Frame { return new(Leave) },
	TypeAppend:    func() Frame { return new(Append) },
	TypeCommit:    func() Frame { return new(Commit) },
	TypeAttach:    func() Frame { return new(Attach) },
	TypeAck:       func() Frame { return new(Ack) },
	TypeDetach:    func() Frame { return new(Detach) },
	TypeRekey:     func() Frame { return new(Rekey) },
	TypeKnock:     func() Frame { return new(Knock) },
	TypeDelete:    func() Frame { return new(Delete) },
	TypePing:      func() Frame { return new(Ping) },
	TypeSignal:    func() Frame { return new(Signal) },
	TypeStoreBlob: func() Frame { return new(StoreBlob) },
	TypePutBlob:   func() Frame { return new(PutBlob) },
	TypeGetBlob:   func() Frame { return new(GetBlob) },
	TypeProved:    func() Frame { return new(Proved) },
	TypeAccepted:  func() Frame { return new(Accepted) },
	TypeRefused:   func() Frame { return new(Refused) },
	TypeAttached:  func() Frame { return new(Attached) },
	TypeDeliver:   func() Frame { return new(Deliver) },
	TypeGap:       func() Frame { return new(Gap) },
	TypeEnd:       func() Frame { return new(End) },
	TypeDetached:  func() Frame { return new(Detached) },
	TypeGoAway:    func() Frame { return new(GoAway) },
	TypePong:      func() Frame { return new(Pong) },
	TypeClose:     func() Frame { return new(Close) },
	TypeStream:    func() Frame { return new(Stream) },
	TypeSignalled: func() Frame { return new(Signalled) },
	TypeBlob:      func() Frame { return new(Blob) },
	TypeBlobData:  func() Frame { return new(BlobData) },
}

// ParseFrame decodes one frame, type and body, without its length. Byte strings in the
// result alias b. It costs at most a small multiple of len(b) in memory.
func ParseFrame(b []byte) (Frame, error) {
	if len(b) == 0 {
		return nil, ErrEmptyFrame
	}
	empty, ok := frames[FrameType(b[0])]
	if !ok {
		return nil, fmt.Errorf("%w 0x%02x", ErrUnknownFrame, b[0])
	}
	f := empty()
	if err := wire.Unmarshal(b[1:], f); err != nil {
		return nil, err
	}
	return f, nil
}

// AppendFrame appends uint32 length, type and body of f to dst. On an error dst is
// returned as it was.
func AppendFrame(dst []byte, f Frame) ([]byte, error) {
	start := len(dst)
	w := wire.NewWriter(dst)
	w.Uint32(0)
	w.Uint8(uint8(f.Type()))
	f.MarshalWire(w)
	out, err := w.Finish()
	if err != nil {
		return dst, fmt.Errorf("encoding %T: %w", f, err)
	}
	n := len(out) - start - 4
	if n > MaxServerFrame {
		return dst, fmt.Errorf("encoding %T of %d bytes: %w", f, n, wire.ErrTooLong)
	}
	binary.BigEndian.PutUint32(out[start:], uint32(n))
	return out, nil
}

// Fields that several frames share.

func writeKey(w *wire.Writer, k PublicKey) { w.Raw(k[:]) }

func readKey(r *wire.Reader) (k PublicKey) {
	r.Copy(k[:])
	return k
}

func writeHash(w *wire.Writer, h Hash) { w.Raw(h[:]) }

func readHash(r *wire.Reader) (h Hash) {
	r.Copy(h[:])
	return h
}

func writeKeys(w *wire.Writer, keys []PublicKey) { wire.WriteVector(w, keys, writeKey) }

func readKeys(r *wire.Reader, most int) []PublicKey { return readVector(r, most, readKey) }

// readVector reads a vector of at most so many elements, so that small elements cannot
// make a frame cost a large multiple of its size.
func readVector[T any](r *wire.Reader, most int, elem func(*wire.Reader) T) []T {
	n := 0
	return wire.Vector(r, func(sub *wire.Reader) T {
		if n++; n > most {
			sub.Fail(ErrTooMany)
		}
		return elem(sub)
	})
}

// head is what every mutation's fields begin with.
func writeHead(w *wire.Writer, id IdempotencyID, queue QueueID, key PublicKey) {
	w.Raw(id[:])
	w.Raw(queue[:])
	w.Raw(key[:])
}

func readHead(r *wire.Reader, id *IdempotencyID, queue *QueueID, key *PublicKey) {
	r.Copy(id[:])
	r.Copy(queue[:])
	r.Copy(key[:])
}
