package keyserver

import (
	"errors"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
)

// Code says on the wire why a request was refused. Unknown codes are treated as
// [CodeUnavailable].
type Code uint16

// The codes, by what the caller does next.
const (
	CodeInvalid     Code = 1  // malformed or against a rule: never send these bytes again
	CodeNotFound    Code = 2  // no such account, handle or chunk
	CodeHandleTaken Code = 3  // another account has the handle: choose another
	CodeConflict    Code = 4  // the chain has moved on: look it up, then build the entry anew
	CodeExpired     Code = 5  // package, credential or the request's time is out of its range
	CodeLimited     Code = 6  // wait for RetryAfter, then repeat as it was
	CodeTooLarge    Code = 7  // over a limit of size: split or shrink it
	CodeQuota       Code = 8  // the pool is full: nothing was stored, upload fewer
	CodeIncarnation Code = 9  // the store lost something: make fresh packages, then upload those
	CodeExhausted   Code = 10 // no device of the account has a package left: try later
	CodeDenied      Code = 11 // not signed by a device of that account
	CodeUnavailable Code = 12 // the server cannot store now: repeat as it was
)

// Error is a refusal by the server. It matches its code's sentinel under [errors.Is], so
// callers compare with [ErrNotFound] and the others; [errors.AsType] gives the details.
type Error struct {
	Code       Code
	Text       string        // for people; at most [MaxErrorText] printable ASCII bytes
	RetryAfter time.Duration // whole seconds; only with [CodeLimited] and [CodeUnavailable]
}

// The refusals that a caller tells apart.
var (
	ErrInvalid     = &Error{Code: CodeInvalid, Text: "request is malformed or breaks a rule"}
	ErrNotFound    = &Error{Code: CodeNotFound, Text: "not found"}
	ErrHandleTaken = &Error{Code: CodeHandleTaken, Text: "handle is taken"}
	ErrConflict    = &Error{Code: CodeConflict, Text: "the chain has another head"}
	ErrExpired     = &Error{Code: CodeExpired, Text: "expired, or not yet valid"}
	ErrLimited     = &Error{Code: CodeLimited, Text: "too many requests"}
	ErrTooLarge    = &Error{Code: CodeTooLarge, Text: "too large"}
	ErrQuota       = &Error{Code: CodeQuota, Text: "the pool is full"}
	ErrIncarnation = &Error{Code: CodeIncarnation, Text: "the store has another incarnation"}
	ErrExhausted   = &Error{Code: CodeExhausted, Text: "no package left"}
	ErrDenied      = &Error{Code: CodeDenied, Text: "not signed by a device of this account"}
	ErrUnavailable = &Error{Code: CodeUnavailable, Text: "the server cannot serve this now"}
)

// What a client finds out for itself about bytes that a server gave it. Each is evidence
// against the server or the peer, and final: the same bytes never become good.
var (
	// ErrChain: a chain that does not verify (a ghost device, ATTACKS B01).
	ErrChain = errors.New("keyserver: account chain does not verify")
	// ErrCredential: a credential that does not verify for its leaf.
	ErrCredential = errors.New("keyserver: credential does not verify")
	// ErrPackage: a KeyPackage that is not what its place claims.
	ErrPackage = errors.New("keyserver: key package does not verify")
	// ErrLied: an answer that contradicts its request: another account, another chunk.
	ErrLied = errors.New("keyserver: the server's answer contradicts the request")
)

func (e *Error) Error() string {
	if e.RetryAfter > 0 {
		return fmt.Sprintf("keyserver: %s (code %d, retry after %s)", e.Text, e.Code, e.RetryAfter)
	}
	return fmt.Sprintf("keyserver: %s (code %d)", e.Text, e.Code)
}

// Is matches errors of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Status returns the HTTP status that carries the code. It is a courtesy to proxies and
// people; clients go by the code.
func (c Code) Status() int {
	switch c {
	case CodeNotFound, CodeExhausted:
		return 404
	case CodeHandleTaken, CodeConflict, CodeQuota, CodeIncarnation:
		return 409
	case CodeLimited:
		return 429
	case CodeTooLarge:
		return 413
	case CodeDenied:
		return 403
	case CodeUnavailable:
		return 503
	}
	return 400
}

// MarshalWire writes the body of an answer whose status is not 200.
func (e *Error) MarshalWire(w *wire.Writer) {
	w.Uint16(uint16(e.Code))
	w.Bytes([]byte(printable(e.Text)))
	w.Uint32(uint32(min(max(e.RetryAfter, 0)/time.Second, 1<<31)))
}

// UnmarshalWire reads the body of an answer whose status is not 200. The text came from a
// server that is not trusted, so it is cut down to what a terminal can show.
func (e *Error) UnmarshalWire(r *wire.Reader) {
	e.Code = Code(r.Uint16())
	text := r.Bytes()
	if len(text) > MaxErrorText {
		r.Fail(ErrTooLarge)
		return
	}
	e.Text = printable(string(text))
	e.RetryAfter = time.Duration(r.Uint32()) * time.Second
	if e.Code == 0 || e.Code > CodeUnavailable {
		e.Code = CodeUnavailable
	}
}

func printable(s string) string {
	b := []byte(s)[:min(len(s), MaxErrorText)]
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}
