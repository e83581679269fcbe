package mls

import (
	"errors"
	"fmt"
)

// What a caller does next decides which of these an error matches (errors.Is). Several may
// match one error: a commit with a broken signature is [ErrInvalidCommit] and [ErrInvalid].
var (
	// ErrMalformed: the bytes are no message of RFC 9420. They never will be.
	ErrMalformed = errors.New("mls: malformed message")
	// ErrInvalid: a rule of RFC 9420 is broken; the error is an [Error] that names it.
	ErrInvalid = errors.New("mls: invalid")
	// ErrInvalidCommit: the commit fails a public check and counts for no member.
	ErrInvalidCommit = errors.New("mls: commit does not count")
	// ErrCannotFollow, as a [FollowError]: the commit passes the public checks, but this member cannot open its
	// path secret, lacks a pre-shared key ([ErrUnknownPSK]) or comes to another confirmation
	// tag. Only being replaced helps, or finding the key. The tag of an external commit is
	// covered by nothing that is public, so that whoever relays it can damage it, too.
	ErrCannotFollow = errors.New("mls: commit cannot be followed")
	// ErrUnknownPSK: a pre-shared key is named that this member does not have; the error is a
	// [PSKError].
	ErrUnknownPSK = errors.New("mls: unknown pre-shared key")
	// ErrUnsupported: a suite or feature that this package refuses as a whole.
	ErrUnsupported = errors.New("mls: not supported")
	// ErrExpired: a lifetime does not contain the caller's time, or is too long.
	ErrExpired = errors.New("mls: outside its lifetime")
	// ErrNotForUs: a Welcome that holds no secrets for this KeyPackage.
	ErrNotForUs = errors.New("mls: welcome is for another key package")
	// ErrTreeMismatch: the ratchet tree is not the one that the Welcome speaks of.
	ErrTreeMismatch = errors.New("mls: ratchet tree does not match")
	// ErrWrongGroup: the message belongs to another group.
	ErrWrongGroup = errors.New("mls: message of another group")
	// ErrPastEpoch: the message belongs to an epoch that is over.
	ErrPastEpoch = errors.New("mls: message of a past epoch")
	// ErrFutureEpoch: the message belongs to an epoch that has not begun here.
	ErrFutureEpoch = errors.New("mls: message of a future epoch")
	// ErrDecrypt: no key of this epoch opens the message.
	ErrDecrypt = errors.New("mls: message does not open")
	// ErrConsumed: the message's key was used before (a replay) or dropped from the window.
	ErrConsumed = errors.New("mls: message key is gone")
	// ErrTooFarAhead: the generation is beyond the bounded skip.
	ErrTooFarAhead = errors.New("mls: generation too far ahead")
	// ErrOwnMessage: this member's own leaf signed it, and this state never did. Another copy
	// of the state is in use, or this one was copied back: going on would use keys twice.
	ErrOwnMessage = errors.New("mls: own message that this state did not make")
	// ErrPendingProposals: a commit comes before application data (RFC 9420 section 12.4).
	ErrPendingProposals = errors.New("mls: proposals wait for a commit")
	// ErrRemoved: this member is no longer in the group.
	ErrRemoved = errors.New("mls: removed from the group")
	// ErrReInit: the group was reinitialized and is closed; its members go on in another one,
	// which [Group.Successor] makes and [Join] enters.
	ErrReInit = errors.New("mls: group was reinitialized")
	// ErrStale: the staged commit was made for another state of the group.
	ErrStale = errors.New("mls: staged commit is for another epoch")
	// ErrLimit: one of this package's own bounds is reached.
	ErrLimit = errors.New("mls: limit reached")
	// ErrCorrupt: stored state is damaged, or its parts do not belong together.
	ErrCorrupt = errors.New("mls: stored state is corrupt")
)

// An Error names the rule of RFC 9420 that a message broke. It matches [ErrInvalid].
type Error struct {
	// Rule is the rule's id in VALIDATION.md, such as "leaf.signature".
	Rule   string
	detail string
	cause  error // nil or what a validator or decoder said
}

// Error says which rule was broken, and how.
func (e *Error) Error() string {
	s := "mls: rule " + e.Rule + ": " + e.detail
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Is reports that every broken rule is [ErrInvalid].
func (e *Error) Is(target error) bool { return target == ErrInvalid }

// Unwrap returns the cause, if another error stands behind the broken rule.
func (e *Error) Unwrap() error { return e.cause }

func broken(rule, format string, args ...any) error {
	return &Error{Rule: rule, detail: fmt.Sprintf(format, args...)}
}

func brokenBy(rule string, cause error, format string, args ...any) error {
	return &Error{Rule: rule, detail: fmt.Sprintf(format, args...), cause: cause}
}

func malformed(err error) error { return fmt.Errorf("%w: %w", ErrMalformed, err) }
