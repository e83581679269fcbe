package keyserver

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// The ways to name an account in a [LookupRequest].
const (
	byHandle  uint8 = 1
	byAccount uint8 = 2
)

// LookupRequest asks for an account by exactly one of its names (PROTOCOL.md section 4.3).
type LookupRequest struct {
	Handle  string // empty: look up Account
	Account AccountID
}

// MarshalWire writes the request's body.
func (q *LookupRequest) MarshalWire(w *wire.Writer) {
	if q.Handle != "" {
		w.Uint8(byHandle)
		w.Bytes([]byte(q.Handle))
		return
	}
	w.Uint8(byAccount)
	w.Raw(q.Account[:])
}

// UnmarshalWire reads the request's body.
func (q *LookupRequest) UnmarshalWire(r *wire.Reader) {
	switch by := r.Uint8(); by {
	case byHandle:
		q.Handle = string(atMost(r, MaxHandle))
		if r.Err() == nil && q.Handle == "" {
			r.Fail(ErrInvalid)
		}
	case byAccount:
		r.Copy(q.Account[:])
	default:
		r.Fail(fmt.Errorf("look-up by %d: %w", by, ErrInvalid))
	}
}

// LookupReply is what the server knows of an account. None of it is proven before
// [LookupReply.Verify].
type LookupReply struct {
	Account AccountID
	Handle  string // an alias, given by the directory; no signature covers it
	Entries [][]byte
}

// Verify checks the chain and that it is the chain of the named account.
func (p *LookupReply) Verify() (*Account, error) {
	a, err := VerifyChain(p.Entries)
	if err != nil {
		return nil, err
	}
	if a.ID != p.Account {
		return nil, fmt.Errorf("the chain is another account's: %w", ErrLied)
	}
	return a, nil
}

// MarshalWire writes the answer's body.
func (p *LookupReply) MarshalWire(w *wire.Writer) {
	w.Raw(p.Account[:])
	w.Bytes([]byte(p.Handle))
	wire.WriteVector(w, p.Entries, (*wire.Writer).Bytes)
}

// UnmarshalWire reads the answer's body.
func (p *LookupReply) UnmarshalWire(r *wire.Reader) {
	r.Copy(p.Account[:])
	p.Handle = string(atMost(r, MaxHandle))
	p.Entries = vectorAtMost(r, MaxEntries, func(r *wire.Reader) []byte { return atMost(r, MaxEntry) })
}

// vectorAtMost reads a vector of at most n elements and stops at the first too many, so that
// a body of one-byte elements costs no slice header for each of its bytes.
func vectorAtMost[T any](r *wire.Reader, n int, elem func(*wire.Reader) T) []T {
	seen := 0
	return wire.Vector(r, func(r *wire.Reader) (v T) {
		if seen++; seen > n {
			r.Fail(ErrTooLarge)
			return v
		}
		return elem(r)
	})
}
