package relay

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
)

// RefusalCode says why a request was refused.
type RefusalCode uint16

// The refusal codes. Everyone without a proven place in a queue hears CodeUnknown, the
// same as for a queue that does not exist (ATTACKS R01).
const (
	CodeUnknown   RefusalCode = 1  // no such queue, or none that this session has a place in
	CodeStale     RefusalCode = 2  // a recent writer key, replaced; position is the head
	CodeConflict  RefusalCode = 3  // expect is not the last commit; position is the last commit
	CodeBadProof  RefusalCode = 4  // a signature does not verify, or a proof was not made
	CodeMalformed RefusalCode = 5  // well-formed bytes with contents that the protocol forbids
	CodeTooLarge  RefusalCode = 6  // the envelope is larger than allowed here
	CodeLimit     RefusalCode = 7  // too often or too many; limit says of what, retry_ms when again
	CodeQuota     RefusalCode = 8  // storage is used up; limit says whose, retry_ms when to ask again
	CodeClosed    RefusalCode = 9  // DELETE closed the queue; it takes votes alone
	CodeReused    RefusalCode = 10 // the idempotency id was used for other bytes
	CodeRollback  RefusalCode = 11 // the client's position is not in this log; position is the head
	CodeForbidden RefusalCode = 12 // the key has a place in the queue, but does not own that field
	CodeBusy      RefusalCode = 13 // the server cannot store now; retry_ms
	CodeDraining  RefusalCode = 14 // the server is going away; reconnect
	CodeNoBlob    RefusalCode = 15 // a blob that the request names is not there complete; store it first
	CodeSuspended RefusalCode = 16 // the relay's operator stopped the queue; retry_ms
)

var codeNames = [...]string{
	CodeUnknown: "unknown queue", CodeStale: "stale writer key", CodeConflict: "commit conflict",
	CodeBadProof: "bad proof", CodeMalformed: "malformed", CodeTooLarge: "envelope too large",
	CodeLimit: "limit reached", CodeQuota: "over quota", CodeClosed: "queue closed",
	CodeReused: "idempotency id reused", CodeRollback: "position not in the log",
	CodeForbidden: "forbidden", CodeBusy: "busy", CodeDraining: "draining",
	CodeNoBlob: "blob missing", CodeSuspended: "queue suspended by the operator",
}

// String names the code in words.
func (c RefusalCode) String() string {
	if int(c) < len(codeNames) && codeNames[c] != "" {
		return codeNames[c]
	}
	return fmt.Sprintf("refusal %d", uint16(c))
}

// Limit says which limit a [CodeLimit] or [CodeQuota] is about.
type Limit uint8

// The limits. A client treats an unknown one like LimitNone.
const (
	LimitNone        Limit = 0
	LimitCreate      Limit = 1  // CREATEs from this part of the network
	LimitAppends     Limit = 2  // rate of this writer
	LimitCommits     Limit = 3  // accepted COMMITs of this reader: 20 at once, then one a minute
	LimitConflicts   Limit = 4  // refused COMMITs of this reader
	LimitKnocks      Limit = 5  // one an hour for each reader
	LimitVotes       Limit = 6  // KNOCKs of class announcement or vote
	LimitConfigures  Limit = 7  // CONFIGUREs of this key
	LimitReaders     Limit = 8  // readers and tickets of the queue
	LimitWriters     Limit = 9  // contact writers of the queue
	LimitProofs      Limit = 10 // proofs of this session
	LimitAttachments Limit = 11 // attachments of this session
	LimitUploads     Limit = 12 // uploads open in this session
	LimitStorage     Limit = 13 // QUOTA: the queue's entries, which live readers hold
	LimitShare       Limit = 14 // QUOTA: this contact writer's entries
	LimitBlobs       Limit = 15 // QUOTA: the queue's blobs
	LimitBlobShare   Limit = 16 // QUOTA: this contact writer's blobs
	LimitRelayBlobs  Limit = 17 // QUOTA: the relay's blobs
)

// Refusal is the relay's no to one request. It is an error; the sentinels below match it
// by code with [errors.Is]. Nothing was changed by a refused request.
type Refusal struct {
	Code       RefusalCode
	Position   *Position     // STALE and ROLLBACK: the head; CONFLICT: the last commit; else nil
	Limit      Limit         // which one, for LIMIT and QUOTA
	RetryAfter time.Duration // for LIMIT, QUOTA and BUSY; whole milliseconds, at most 49 days
}

// The sentinels. What the caller does next: UNKNOWN, BAD_PROOF, MALFORMED, TOO_LARGE,
// CLOSED, REUSED, FORBIDDEN are final for the request; STALE and CONFLICT mean catch up and
// send anew; NO_BLOB means store the blob and send the same again; LIMIT, QUOTA, BUSY and DRAINING mean the same request later;
// SUSPENDED means to go on over another queue, and to ask here again seldom; ROLLBACK is
// evidence against the relay.
var (
	ErrUnknown   error = &Refusal{Code: CodeUnknown}
	ErrStale     error = &Refusal{Code: CodeStale}
	ErrConflict  error = &Refusal{Code: CodeConflict}
	ErrBadProof  error = &Refusal{Code: CodeBadProof}
	ErrMalformed error = &Refusal{Code: CodeMalformed}
	ErrTooLarge  error = &Refusal{Code: CodeTooLarge}
	ErrLimit     error = &Refusal{Code: CodeLimit}
	ErrQuota     error = &Refusal{Code: CodeQuota}
	ErrClosed    error = &Refusal{Code: CodeClosed}
	ErrReused    error = &Refusal{Code: CodeReused}
	ErrRollback  error = &Refusal{Code: CodeRollback}
	ErrForbidden error = &Refusal{Code: CodeForbidden}
	ErrBusy      error = &Refusal{Code: CodeBusy}
	ErrDraining  error = &Refusal{Code: CodeDraining}
	ErrNoBlob    error = &Refusal{Code: CodeNoBlob}
	ErrSuspended error = &Refusal{Code: CodeSuspended}
)

// Error names the code, and the wait if there is one. It holds no id.
func (r *Refusal) Error() string {
	if r.RetryAfter > 0 {
		return fmt.Sprintf("relay: refused: %v (again in %v)", r.Code, r.RetryAfter)
	}
	return fmt.Sprintf("relay: refused: %v", r.Code)
}

// Is reports whether target is a Refusal with the same code.
func (r *Refusal) Is(target error) bool {
	t, ok := target.(*Refusal)
	return ok && t.Code == r.Code
}

// AsRefusal returns the Refusal in err's chain; an err of another kind becomes BUSY, which
// tells the client nothing and lets it try again. It returns nil for nil.
func AsRefusal(err error) *Refusal {
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	return &Refusal{Code: CodeBusy, RetryAfter: time.Second}
}

// MarshalWire writes code, optional position, limit, retry_ms.
func (r *Refusal) MarshalWire(w *wire.Writer) {
	w.Uint16(uint16(r.Code))
	wire.WriteOptional(w, r.Position, writePosition)
	w.Uint8(uint8(r.Limit))
	w.Uint32(milliseconds(r.RetryAfter))
}

// UnmarshalWire reads what MarshalWire wrote.
func (r *Refusal) UnmarshalWire(rd *wire.Reader) {
	r.Code = RefusalCode(rd.Uint16())
	r.Position = wire.Optional(rd, readPosition)
	r.Limit = Limit(rd.Uint8())
	r.RetryAfter = time.Duration(rd.Uint32()) * time.Millisecond
}

// milliseconds rounds up, so that nobody is told to come back too early, and saturates.
func milliseconds(d time.Duration) uint32 {
	if d <= 0 {
		return 0
	}
	ms := (d + time.Millisecond - 1) / time.Millisecond
	return uint32(min(ms, math.MaxUint32))
}
